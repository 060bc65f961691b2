"""A detector for any model: the crop of an image that a CLIP loss likes best."""

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from dpodiff.checks import (
    check_callable,
    check_kind,
    check_positive,
    check_share,
    check_text,
    check_whole,
)

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss


@torch.no_grad()
def crop_positions(
    loss: "Loss",
    images: torch.Tensor,
    text: str,
    other: str | None = None,
    *,
    size: float = 0.5,
    steps: int = 5,
) -> np.ndarray:
    """Return the center of the crop that fits a text best, for images of any model.

    It is coarse: a center lies on a grid of `steps` x `steps` places. Crops are enlarged to the
    size of the image before the loss sees them.

    Args:
        loss: from images and texts to losses, such as `SphericalCLIP()`.
        images: (batch, 3, height, width) in [0, 1].
        text: describes the thing, such as "a red ball".
        other: describes another thing of the same images. Its loss is subtracted, so that a crop
            with both things counts less.
        size: side of a crop, as a share of that of the image; above 0, at most 1.
        steps: number of crops per side, at least 2.

    Returns:
        centers (batch, 2) as (x, y) in [0, 1], as `find_positions` takes them from a detector.

    Raises:
        ValueError: if an argument is out of its range, or the images have another shape.

    Examples:
        >>> images = torch.zeros(1, 3, 8, 8)
        >>> images[..., :4, 4:] = 1  # white at the top right
        >>> def brightness(images, texts):
        ...     return -images.mean((1, 2, 3))
        >>> dpodiff.patches.crop_positions(brightness, images, "white", steps=3)
        array([[0.75, 0.25]])
    """
    check_callable("loss", loss, "a callable from images and texts to losses")
    check_kind("images", images, torch.Tensor, "a tensor")
    check_text("text", text)
    if other is not None:
        check_text("other", other)
    check_share("size", size)
    check_positive("crop_positions", size=size)
    check_whole("steps", steps, 2)
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images must be (batch, 3, height, width), not {tuple(images.shape)}")
    sides = images.shape[-2:]
    tall, wide = (max(1, round(size * side)) for side in sides)
    shares = np.linspace(0, 1, steps)
    places = [(x, y) for y, x in product(shares, shares)]
    scores = []
    for x, y in places:
        left, top = round(x * (sides[1] - wide)), round(y * (sides[0] - tall))
        crops = images[..., top : top + tall, left : left + wide]
        crops = torch.nn.functional.interpolate(crops, sides, mode="bilinear")
        score = loss(crops, [text] * len(crops))
        if other is not None:
            score = score - loss(crops, [other] * len(crops))
        scores.append(score)
    best = torch.stack(scores).argmin(0).tolist()
    return np.array([places[k] for k in best]) * (1 - size) + size / 2
