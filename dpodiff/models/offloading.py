"""Networks whose weights stay in the memory of the CPU until they are needed.

Accelerate offers two methods. One loads the weights of each layer for its own computation, and a
graph keeps those that its backward pass needs; `offload` uses this one. The other moves whole
networks (`enable_model_cpu_offload` of a pipeline). It is faster, but the weights in the graph are
moved away with the network, so gradients are not available.
"""

import torch
from torch import nn

from dpodiff.names import LoadError


def offload(network: nn.Module, device: torch.device) -> None:
    """Keep the weights of a network in the memory of the CPU and compute on a device.

    Args:
        network: a network of torch; its outputs and gradients stay the same.
        device: device of the computation. On a CPU there is no effect.

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
    """Refuse gradients through a network that is moved as a whole.

    Raises:
        ValueError: if it is; the message says what allows gradients.
    """
    from accelerate.hooks import CpuOffload

    if isinstance(getattr(network, "_hf_hook", None), CpuOffload):
        raise ValueError(
            f"no gradients while {name} is offloaded with enable_model_cpu_offload, which moves "
            "the weights of its graph: call pipeline.remove_all_hooks() and "
            "dpodiff.load(pipeline, offload=True), or search with solver='epo'"
        )
