"""Cross-attention maps of a U-Net: which image regions attend to which token of the text.

A wrapper around the U-Net's own attention processors reads them. It is set as in diffusers
(`set_attn_processor`). The output of the U-Net does not change.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch.nn import functional as F


class MapSums:
    """Sums of cross-attention maps over all layers and heads.

    Maps are resized to one size and clamped at 0, as in Ban et al. (2024).

    Args:
        size: height and width of the maps.

    Attributes:
        maps: mean over heads of the maps (row, token, size, size), summed over layers.
        squares: mean over pixels of the squared maps (row, token), summed over layers and heads.

    Examples:
        >>> from dpodiff.models.attention import MapSums
        >>> sums = MapSums(size=2)
        >>> sums.add(torch.full((1, 8, 4, 5), 0.25))  # row, head, pixel, token
        >>> sums.maps[0, 0].tolist(), sums.squares[0, 0].item()
        ([[0.25, 0.25], [0.25, 0.25]], 0.5)
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.maps = self.squares = torch.zeros(())

    def add(self, probabilities: torch.Tensor) -> None:
        """Add the attention probabilities of a layer (row, head, pixel, token) of square maps."""
        rows, heads, pixels, tokens = probabilities.shape
        side = round(pixels**0.5)
        maps = probabilities.float().transpose(2, 3).reshape(rows, heads * tokens, side, side)
        if side != self.size:
            maps = F.interpolate(maps, size=(self.size, self.size), mode="bicubic").clamp(min=0)
        maps = maps.unflatten(1, (heads, tokens))
        self.maps = self.maps + maps.mean(1).cpu()
        self.squares = self.squares + maps.square().mean((3, 4)).sum(1).cpu()


class _Reading:
    """An attention processor that adds the maps of cross-attention to a `MapSums`."""

    def __init__(self, processor: Any, sums: MapSums) -> None:
        self._processor, self._sums = processor, sums

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        *arguments: Any,
        **named: Any,
    ) -> torch.Tensor:
        if encoder_hidden_states is not None:
            # Computed again, since the fused kernel of the stock processor returns no
            # probabilities.
            query = attn.head_to_batch_dim(attn.to_q(hidden_states))
            key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
            probabilities = attn.get_attention_scores(query, key)
            self._sums.add(probabilities.unflatten(0, (len(hidden_states), attn.heads)))
        return self._processor(attn, hidden_states, encoder_hidden_states, *arguments, **named)


@contextmanager
def reading_maps(unet: UNet2DConditionModel, size: int) -> Iterator[MapSums]:
    """Read the cross-attention maps of a U-Net inside a `with` block.

    Args:
        unet: U-Net of Stable Diffusion 1 or 2, or XL.
        size: height and width of the maps.

    Yields:
        the sums of the maps over all calls of the U-Net.

    Examples:
        >>> from dpodiff.models.attention import reading_maps
        >>> model = dpodiff.load("toy")
        >>> with torch.no_grad(), reading_maps(model.unet, size=16) as sums:
        ...     _ = model.denoise(model.latents([0]), 999, model.encode(["a red ball"]))
        >>> tuple(sums.maps.shape)  # one image, all tokens
        (1, 32, 16, 16)
    """
    sums, before = MapSums(size), unet.attn_processors
    readers: Any = {name: _Reading(own, sums) for name, own in before.items()}
    unet.set_attn_processor(readers)
    try:
        yield sums
    finally:
        unet.set_attn_processor(before)
