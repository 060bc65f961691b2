"""One batch of an objective: from prompts and seeds to images, and from images to losses."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from dpodiff.models.base import TextToImage, require_model
from dpodiff.models.noise import FixedNoise, draw
from dpodiff.spaces.space import Prompts

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss

Job = tuple[Prompts, int]  # one image to make: its prompts and its seed


def render(
    model: TextToImage, jobs: Sequence[Job], eta: float = 0.0, stop: int | None = None
) -> torch.Tensor:
    """Images (batch, 3, height, width) of the jobs, without a graph.

    Args:
        model: makes them; no black box if there is an eta, a stop or a guidance.
        jobs: one per image. Images of one guidance are made together.
        eta: see `dpodiff.models.noise`.
        stop: number of steps after which the clean image is estimated; None takes all steps.

    Raises:
        ValueError: if the model is a black box and must not be.
    """
    rows: dict[float | None, list[int]] = {}  # guidance -> its images
    for row, (prompts, _) in enumerate(jobs):
        rows.setdefault(prompts.guidance, []).append(row)
    made = [
        _render(model, [jobs[row] for row in same], eta, stop, guidance)
        for guidance, same in rows.items()
    ]
    order = torch.tensor([row for same in rows.values() for row in same])
    return torch.cat(made)[order.argsort()]


def _render(
    model: TextToImage,
    jobs: Sequence[Job],
    eta: float,
    stop: int | None,
    guidance: float | None,
) -> torch.Tensor:
    prompts, seeds = zip(*jobs, strict=True)
    positive, negative = (list(texts) for texts in zip(*prompts, strict=True))
    if eta:
        own = require_model(model, "noise")
        model = FixedNoise(own, draw(own, seeds, eta), eta)
    with torch.no_grad():
        if stop is not None:
            own = require_model(model, "steps")
            return own.generate(positive, negative, list(seeds), guidance=guidance, stop=stop)
        if guidance is not None:
            own = _guided(model)
            return own.generate(positive, negative, list(seeds), guidance=guidance)
        return model.generate(positive, negative, list(seeds))


def _guided(model: TextToImage) -> Any:
    """A model that takes a guidance.

    Raises:
        ValueError: if it is a black box.
    """
    if not hasattr(model, "guidance"):
        raise ValueError(
            f"{model.name} is a black box, whose guidance cannot be chosen: "
            "leave the guidance slot out of the space"
        )
    return model


def score(loss: "Loss", images: torch.Tensor, prompt: str) -> torch.Tensor:
    """Losses (batch,) of images for one prompt; with a graph if the images have one.

    Raises:
        ValueError: if the loss does not give one number per image.
    """
    losses = loss(images, [prompt] * len(images))
    if tuple(losses.shape) != (len(images),):
        raise ValueError(f"the loss gave {tuple(losses.shape)} for a batch of {len(images)}")
    return losses
