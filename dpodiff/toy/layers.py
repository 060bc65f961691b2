"""Common layers of the toy world's recognizers."""

from torch import nn


def conv_block(inputs: int, outputs: int, stride: int = 2) -> nn.Sequential:
    """Return two 3 x 3 convolutions, the first with the stride; `outputs` is a multiple of 8."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1),
        nn.GroupNorm(8, outputs),
        nn.SiLU(),
    )
