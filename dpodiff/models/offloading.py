"""Networks whose weights lie in the memory of the CPU while they are not needed.

Accelerate has two ways. One loads the weights of each layer for its own computation, and a graph
keeps those that its backward pass needs; that is what `offload` sets. The other moves whole
networks to and fro (`enable_model_cpu_offload` of a pipeline). It is faster, but a network that was
moved away takes the weights of its graph along, so that no gradient is available.
"""

import torch
from torch import nn

from dpodiff.names import LoadError


def offload(network: nn.Module, device: torch.device) -> None:
    """Keep the weights of a network in the memory of the CPU; its computation stays on a device.

    Args:
        network: of torch; images and gradients stay the same.
        device: that it computes on. On a CPU nothing is gained.

    Raises:
        LoadError: if the network is offloaded already.
    """
    from accelerate import cpu_offload

    if hasattr(network, "_hf_hook"):
        raise LoadError(
            f"the pipeline's {type(network).__name__} is offloaded already: leave out offload=True"
        )
    cpu_offload(network, device)


def check_graph(network: nn.Module, name: str) -> None:
    """Refuse a graph through a network that is moved as a whole.

    Raises:
        ValueError: naming what allows gradients.
    """
    from accelerate.hooks import CpuOffload

    if isinstance(getattr(network, "_hf_hook", None), CpuOffload):
        raise ValueError(
            f"no gradients while {name} is offloaded with enable_model_cpu_offload, which moves "
            "the weights of its graph: call pipeline.remove_all_hooks() and "
            "dpodiff.load(pipeline, offload=True), or search with solver='epo'"
        )
