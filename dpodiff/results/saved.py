"""A result read from its folder, without the model.

result.save("runs/plane")
saved = dpodiff.load_result("runs/plane")
"""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dpodiff.results.folder import FORMAT, RESULT, TRACE
from dpodiff.results.html import page, summary
from dpodiff.results.record import loss_text
from dpodiff.results.trace import Trace
from dpodiff.spaces.json_file import read_json, write_text
from dpodiff.spaces.prompts import Prompts, prompts_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SavedResult:
    """A result without its model, as `load_result` reads it.

    Attributes:
        folder: folder of the result.
        verdict: one line, as in `Result.verdict`.
        user_prompts: the user's own prompts.
        prompts: prompts of the result.
        losses: losses of the result, one per seed.
        baseline_losses: losses of the user's own prompt, one per seed.
        seeds: seeds of the search.
        status: why the search ended, as in `Result`.
        ended_by: the status, and the text of an error.
        cost: cost by the names of `Cost`.
        search: the result before its verification, which `found` returns; None if there was none.

    Examples:
        >>> gray = dpodiff.BlackBox(lambda *job: np.full((8, 8, 3), 0.5))
        >>> settings = {"model": gray, "loss": "white", "space": "nplib", "progress": False}
        >>> result = dpodiff.improve("a gray wall", budget=1, seeds=1, verify=0, **settings)
        >>> saved = dpodiff.load_result(result.save("runs/gray"))
        >>> saved.status, tuple(saved.before.shape), len(saved.trace.records)
        ('budget', (1, 3, 8, 8), 1)
    """

    folder: Path
    verdict: str
    user_prompts: Prompts
    prompts: Prompts
    losses: tuple[float, ...]
    baseline_losses: tuple[float, ...]
    seeds: tuple[int, ...]
    status: str
    ended_by: str
    cost: dict[str, float]
    search: "SavedResult | None" = None

    @property
    def found(self) -> "SavedResult":
        """The best candidate of the search, accepted or not."""
        return self if self.search is None else self.search

    @cached_property
    def before(self) -> "torch.Tensor":
        """Images (seeds, 3, height, width) in [0, 1] of the user's own prompt, with 8 bits."""
        return _read_images(self.folder, "before", self.seeds)

    @cached_property
    def images(self) -> "torch.Tensor":
        """Images (seeds, 3, height, width) in [0, 1] of the result, with 8 bits."""
        if self.prompts != self.found.prompts:  # refused, so these are the user's own prompts
            return self.before
        return _read_images(self.folder, "found", self.seeds)

    @cached_property
    def trace(self) -> Trace:
        """The records of the search."""
        return Trace.load(self.folder / TRACE)

    def __str__(self) -> str:
        return (
            f"{self.verdict}\n"
            f"prompt:           {self.prompts.positive}\n"
            f"negative prompt:  {self.prompts.negative}\n"
            f"mean loss:        {loss_text(self.baseline_losses, self.found.losses)}\n"
            f"folder:           {self.folder}"
        )

    def _repr_html_(self) -> str:
        return summary(self)

    def compare(self, path: str | os.PathLike) -> Path:
        """Write a page with the images before and after; see `Result.compare`."""
        found = self.found
        return write_text(path, page(self, self.before, found.images, found.prompts))


def load_result(folder: str | os.PathLike) -> "SavedResult":
    """Read a result without its model, saved by `Result.save` or the command line.

    Args:
        folder: folder of the result.

    Raises:
        OSError: if a file is missing.
        ValueError: if a file is not one of this version of the package; the message names it.

    Examples:
        >>> gray = dpodiff.BlackBox(lambda *job: np.full((8, 8, 3), 0.5))
        >>> settings = {"model": gray, "loss": "white", "space": "nplib", "progress": False}
        >>> result = dpodiff.improve("a wall", budget=2, seeds=2, verify=0, **settings)
        >>> saved = dpodiff.load_result(result.save("runs/wall"))
        >>> saved.user_prompts.positive, saved.losses, tuple(saved.images.shape)
        ('a wall', (-0.5, -0.5), (2, 3, 8, 8))
    """
    folder = Path(folder)
    data, _ = read_json(folder / RESULT)
    if data.get("format") != FORMAT:
        raise ValueError(f"{folder / RESULT}: not format {FORMAT} of a result, which is read here")
    try:
        found = _saved(folder, data, data["found"], None)
        return _saved(folder, data, data, found)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / RESULT}: not of a result: {error!r}") from None


def _saved(
    folder: Path, data: dict[str, Any], half: dict[str, Any], search: "SavedResult | None"
) -> "SavedResult":
    return SavedResult(
        folder=folder,
        verdict=data["verdict"],
        user_prompts=_prompts(data["user"]),
        prompts=_prompts(half),
        losses=_losses(half["losses"]),
        baseline_losses=_losses(data["baseline_losses"]),
        seeds=tuple(data["seeds"]),
        status=data["status"],
        ended_by=data["ended_by"],
        cost=data["cost"],
        search=search,
    )


def _losses(values: list[float | None]) -> tuple[float, ...]:
    """Read losses; null becomes NaN, since JSON has no NaN."""
    return tuple(float("nan") if value is None else value for value in values)


def _prompts(data: dict[str, Any]) -> Prompts:
    window = data.get("window")  # missing in older files
    return prompts_of(
        data["prompt"],
        data["negative_prompt"],
        data["guidance"],
        None if window is None else tuple(window),
    )


def _read_images(folder: Path, name: str, seeds: tuple[int, ...]) -> "torch.Tensor":
    import torch

    images = [_read_image(folder / f"{name}-{seed}.png") for seed in seeds]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


def _read_image(path: Path) -> np.ndarray:
    """Return an image (height, width, 3) of bytes.

    Raises:
        ValueError: if the file is not an image; the message names it.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except FileNotFoundError:
        raise
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not an image: {error}") from None
