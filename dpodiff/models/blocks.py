"""Graphs of large networks, recomputed block by block in the backward pass (Chen et al., 2016).

A graph keeps what every layer was given. Here it keeps only what each block of layers was given;
the rest of a block is recomputed when its gradient is due, at the price of one more forward pass.
 For one image of 256 x 256 pixels by Stable Diffusion 1.4 in float32 the most memory is, in
MB (and about four times as much at 512 x 512):

                               whole graph    blocks of diffusers    blocks as here
    the denoiser, one branch           387                    158               158
    the decoder                       1525                    819               565

Diffusers cuts the denoiser well, into residual blocks and layers of attention, but the decoder into
whole levels of resolution. The last of these is most of its graph, and so is cut once more.
"""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import ModelMixin
from diffusers.models.unets.unet_2d_blocks import UpDecoderBlock2D

from dpodiff.models.checkpointing import again


def checkpoint_blocks(network: ModelMixin, on: bool = True) -> None:
    """Have a network keep a graph in blocks from now on, or whole again.

    Without a graph nothing changes, nor with a network that diffusers cannot cut (`AutoencoderDC`).

    Args:
        network: a denoiser or an autoencoder of diffusers.
        on: whether in blocks.
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
