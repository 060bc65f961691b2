"""The linear layers from features to a score, used by Aesthetic and ImageReward.

The releases have dropout between the layers, which is inactive after training, and no activations.
"""

from collections.abc import Mapping

import torch
from torch import nn

from dpodiff.names import LoadError


def linear_head(tensors: Mapping[str, torch.Tensor], source: str) -> nn.Sequential:
    """Return the layers whose tensors are named "N.weight" and "N.bias", in the order of N.

    Raises:
        LoadError: if there are none, or the last one does not return one number.
    """
    order = sorted(int(name.removesuffix(".weight")) for name in tensors if name.endswith("weight"))
    layers = [_linear(tensors[f"{n}.weight"], tensors[f"{n}.bias"]) for n in order]
    if not layers or layers[-1].out_features != 1:
        raise LoadError(f"{source} holds no linear layers 'layers.N.weight' that end in one score")
    return nn.Sequential(*layers)


def _linear(weight: torch.Tensor, bias: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer
