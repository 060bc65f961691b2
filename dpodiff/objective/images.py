"""One batch of an objective: from prompts and seeds to pictures, and from pictures to losses."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from dpodiff.models.noise import Noised, draw
from dpodiff.spaces.space import Prompts

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.models.base import Model
    from dpodiff.models.black_box import BlackBox

Job = tuple[Prompts, int]  # one image to make: its prompts and its seed


def make(
    model: "Model | BlackBox", jobs: Sequence[Job], eta: float = 0.0, stop: int | None = None
) -> torch.Tensor:
    """Images (batch, 3, height, width) of the jobs, without a graph.

    Args:
        model: makes them.
        jobs: one an image.
        eta: see `dpodiff.models.noise`.
        stop: after how many steps the clean image is estimated; None takes all.
    """
    prompts, seeds = zip(*jobs, strict=True)
    positive, negative = zip(*prompts, strict=True)
    early = {} if stop is None else {"stop": stop}
    if eta:
        model = Noised(model, draw(model, seeds, eta), eta)
    with torch.no_grad():
        return model.generate(list(positive), list(negative), list(seeds), **early)


def judge(loss: "Loss", images: torch.Tensor, asked: str) -> torch.Tensor:
    """The losses (batch,) of images, asked about one prompt; with a graph if the images have one.

    Raises:
        ValueError: if the loss does not give one number an image.
    """
    losses = loss(images, [asked] * len(images))
    if tuple(losses.shape) != (len(images),):
        raise ValueError(f"the loss gave {tuple(losses.shape)} for a batch of {len(images)}")
    return losses
