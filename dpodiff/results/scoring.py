"""Scores of many prompts by many measures; each image is made once and kept only for its batch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from dpodiff.checks import check_kind
from dpodiff.losses.base import values
from dpodiff.models.batches import Batches
from dpodiff.objective.images import Job, render
from dpodiff.results.held_out import Judge
from dpodiff.results.result import Result
from dpodiff.results.statistics import change_over_seeds
from dpodiff.spaces.prompts import Prompts

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.models.base import TextToImage

Measures = dict[str, float]  # measures of one image, by name


class Asked(NamedTuple):
    """An image to make, and the prompt to score it with.

    Attributes:
        wanted: prompt for the losses and the judge.
        prompts: prompts of the image.
        seed: seed of its noise.
    """

    wanted: str
    prompts: Prompts
    seed: int


def scores(
    model: "TextToImage",
    asked: Iterable[Asked],
    losses: "Mapping[str, Loss]",
    judge: Judge | None = None,
    *,
    eta: float = 0.0,
) -> dict[Asked, Measures]:
    """Return the losses and the judge's measures of each image, by name.

    An image that is requested several times, or compared with several prompts, is made once.

    Args:
        model: model that makes the images.
        asked: the images, in any order.
        losses: losses by name.
        judge: judge, called with one image at a time so that its measures can be paired.
        eta: see `dpodiff.models.noise`.

    Examples:
        >>> from dpodiff.results.scoring import Asked, scores
        >>> model = dpodiff.BlackBox(lambda prompt, negative, seed: np.full((8, 8, 3), 0.25))
        >>> asked = [Asked("a wall", dpodiff.Prompts("a wall", ""), seed) for seed in (0, 1)]
        >>> scores(model, asked, {"white": dpodiff.losses.white})[asked[0]]
        {'white': -0.25}
    """
    wanted: dict[Job, list[str]] = {}
    for text, prompts, seed in dict.fromkeys(asked):
        wanted.setdefault((prompts, seed), []).append(text)

    def work(batch: Sequence[Job]) -> list[Measures]:
        rows = [row for row, job in enumerate(batch) for _ in wanted[job]]
        texts = [text for job in batch for text in wanted[job]]
        return _measured(render(model, batch, eta).cpu()[rows], texts, losses, judge)

    parts = Batches(model).map(work, list(wanted))
    keys = [Asked(text, *job) for job, texts in wanted.items() for text in texts]
    return dict(zip(keys, (row for part in parts for row in part), strict=True))


def changes(
    known: Mapping[Asked, Measures],
    before: Sequence[Asked],
    after: Sequence[Asked],
    level: float = 0.95,
) -> Iterator[dict[str, Any]]:
    """Yield one row per measure with the means before and after, and the change with its interval.

    Args:
        known: measures of the images, as `scores` returns them.
        before, after: images in pairs, one per seed.
        level: coverage of the interval, which is exact (`subset_interval`).
    """
    for measure in known[before[0]]:
        old, new = ([known[image][measure] for image in images] for images in (before, after))
        change = change_over_seeds(old, new, level=level)
        means = {"before": sum(old) / len(old), "after": sum(new) / len(new)}
        yield {"measure": measure, **means, **change._asdict()}


def check_words(name: str, result: Any) -> None:
    """Check that a value is the result of a search of words.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    check_kind(name, result, Result, "the Result of a search")
    if result.noise is not None:
        raise ValueError(f"{name} is the noise of its own seeds, which belongs to no prompt")


@torch.no_grad()
def _measured(
    images: torch.Tensor, texts: list[str], losses: "Mapping[str, Loss]", judge: Judge | None
) -> list[Measures]:
    """Return the measures of each image (batch, 3, height, width), by name."""
    columns = [values(loss, images, texts).double().tolist() for loss in losses.values()]
    rows = [{name: c[i] for name, c in zip(losses, columns)} for i in range(len(texts))]
    if judge is None:
        return rows
    singles = zip(rows, images.split(1), texts, strict=True)
    return [row | judge.measures(image, text) for row, image, text in singles]
