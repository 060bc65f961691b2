"""Graphs of large networks, recomputed block by block in the backward pass (Chen et al., 2016).

A graph stores the input of every layer. With blocks it stores only the input of each block; the
rest of a block is recomputed in the backward pass, at the cost of one more forward pass. The table
gives the peak memory in MB for one image of 256 x 256 pixels by Stable Diffusion 1.4 in float32. At
512 x 512 it is about four times as much.

                               whole graph    blocks of diffusers    blocks as here
    the denoiser, one branch           387                    158               158
    the decoder                       1525                    819               565

Diffusers splits the denoiser well, into residual blocks and attention layers, but the decoder into
whole levels of resolution. The last level is most of its graph, so it is split further here.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import ModelMixin
from diffusers.models.unets.unet_2d_blocks import UpDecoderBlock2D

from dpodiff.models.checkpointing import again


def checkpoint_blocks(network: ModelMixin, on: bool = True) -> None:
    """Keep the graph of a network in blocks from now on, or as a whole again.

    Without a graph nothing changes. Networks without support in diffusers (`AutoencoderDC`) are
    skipped.

    Args:
        network: a denoiser or an autoencoder of diffusers.
        on: whether to use blocks.
    """
    if not network._supports_gradient_checkpointing:
        return
    if on:
        network.enable_gradient_checkpointing(_layer_by_layer)
    else:
        network.disable_gradient_checkpointing()


def _layer_by_layer(block: Callable[..., Any], x: torch.Tensor, *rest: Any) -> Any:
    if not isinstance(block, UpDecoderBlock2D):
        return again(block, x, *rest)
    for resnet in block.resnets:
        x = again(resnet, x, *rest)
    for upsampler in block.upsamplers or ():
        x = again(upsampler, x)
    return x
