"""One batch of an objective: prompts and seeds to images, and images to losses."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import torch

from dpodiff.checks import shown
from dpodiff.losses.base import values
from dpodiff.models.base import TextToImage, require_model
from dpodiff.models.black_box import as_image, other_size
from dpodiff.models.noise import FixedNoise, draw
from dpodiff.spaces.space import Prompts

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss

Job = tuple[Prompts, int]  # prompts and seed of one image


def render(
    model: TextToImage, jobs: Sequence[Job], eta: float = 0.0, stop: int | None = None
) -> torch.Tensor:
    """Make images (batch, 3, height, width) of the jobs without a graph.

    Args:
        model: model that makes the images. With an eta, a stop, a guidance or a window it must not
            be a black box.
        jobs: one per image. Images with the same guidance are made together.
        eta: see `dpodiff.models.noise`.
        stop: number of steps after which the clean image is estimated; None takes all steps.

    Raises:
        ValueError: if the model is a black box and must not be, or does not return such images.
    """
    rows: dict[float | None, list[int]] = {}  # guidance -> indices of its images
    for row, (prompts, _) in enumerate(jobs):
        rows.setdefault(prompts.guidance, []).append(row)
    made = [
        _render(model, [jobs[row] for row in same], eta, stop, guidance)
        for guidance, same in rows.items()
    ]
    order = torch.tensor([row for same in rows.values() for row in same])
    return torch.cat(made)[order.argsort()]


def _made(model: TextToImage, found: Any, jobs: Sequence[Job]) -> torch.Tensor:
    """Convert the output of a model to images (batch, 3, height, width) in [0, 1].

    It may be a tensor, also of uint8, an array, or a list of PIL images.

    Raises:
        ValueError: if it is not such a batch; the message names the model and the first bad image.
    """
    right = isinstance(found, torch.Tensor) and found.is_floating_point() and found.ndim == 4
    if right and not found.is_meta and found.shape[:2] == (len(jobs), 3):
        low, high = found.aminmax() if found.numel() else (-1, -1)
        if low >= 0 and high <= 1:
            return found
    try:
        made = list(found)
    except TypeError:
        raise ValueError(f"{model.name} returned {shown(found)}, not images") from None
    if len(made) != len(jobs):
        raise ValueError(f"{model.name} returned {len(made)} images for {len(jobs)} prompts")
    images = []
    for ((positive, negative, *_), seed), image in zip(jobs, made, strict=True):
        called = f"{model.name}: generate({positive!r}, {negative!r}, {seed})"
        try:
            images.append(as_image(image))
        except ValueError as error:
            raise ValueError(f"{called} returned no image: {error}") from None
        if images[-1].shape != images[0].shape:
            raise other_size(called, images[0], images[-1])
    return torch.stack(images)


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
    windows = [own.window for own in prompts]
    settings = {
        "stop": stop,
        "guidance": guidance,
        "windows": windows if any(windows) else None,
    }
    rollout = {name: value for name, value in settings.items() if value is not None}
    with torch.no_grad():
        made = _settable(model, rollout).generate(positive, negative, list(seeds), **rollout)
    return _made(model, made, jobs)


def _settable(model: TextToImage, rollout: Collection[str]) -> Any:
    """Return the model if its rollouts have these settings.

    Raises:
        ValueError: if it is a black box.
    """
    if "stop" in rollout:
        require_model(model, "steps")
    if "guidance" in rollout and not hasattr(model, "guidance"):
        raise ValueError(
            f"{model.name} is a black box, whose guidance cannot be chosen: "
            "leave the guidance slot out of the space"
        )
    if "windows" in rollout and not getattr(model, "takes_window", False):
        raise ValueError(
            f"{model.name} is a black box, whose negative prompt acts in all steps: "
            "leave the window slots out of the space"
        )
    return model


def score(loss: "Loss", images: torch.Tensor, prompt: str) -> torch.Tensor:
    """Return the losses (batch,) of images for one prompt, with a graph if the images have one.

    Raises:
        ValueError: if the loss does not return one number per image; the message names it.
    """
    return values(loss, images, [prompt] * len(images))
