"""Held-out evaluation: unseen seeds, held-out losses, and an independent judge.

A search lowers the loss that it was given. `held_out` measures the prompts before and after with
seeds, losses and judges that the search did not use. Searched noise belongs to its own images, so
`on_search_seeds` measures its gain on these. For an attack there are two more measures: the
similarity of the words, and the distance of the images.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from dpodiff.checks import (
    check_callable,
    check_each,
    check_kind,
    check_seed,
    check_text,
    shown,
)
from dpodiff.results.result import Result
from dpodiff.weighted_text import plain

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from dpodiff.losses import SphericalCLIP
    from dpodiff.losses.base import Loss
    from dpodiff.spaces.constraints import Encoder


class Judge(Protocol):
    """The interface of an independent judge of images, such as `dpodiff.toy.judge.Judge`.

    Examples:
        >>> class Brightness:
        ...     def measures(self, images, prompt):
        ...         return {"brightness": images.mean().item()}
        >>> Brightness().measures(torch.ones(2, 3, 8, 8), "a white wall")
        {'brightness': 1.0}
    """

    def measures(self, images: "torch.Tensor", prompt: str) -> dict[str, float]:
        """Return the measures of images (batch, 3, height, width) of one prompt, by name."""
        ...


def held_out(
    result: Result,
    seeds: Iterable[int],
    losses: Mapping[str, "Loss"],
    judge: Judge | None = None,
    *,
    encoder: "Encoder | None" = None,
    clip: "SphericalCLIP | None" = None,
) -> "pd.DataFrame":
    """Score the user's own prompt and the found one on other seeds, at no cost to the search.

    Args:
        result: result of a search; for a refused one use `result.found`.
        seeds: seeds that neither the search nor its verification has used.
        losses: losses by name; all are computed on the same images.
        judge: judge whose measures are added. For the toy world these are the shares of images that
            show all that the prompt asks for ("judge, all as asked", more is better) and of images
            without a defect ("judge, clean").
        encoder: function from n texts to vectors (n, dim). It adds the cosine of the positive
            prompt with the user's own ("similarity", 1 before).
        clip: CLIP that adds the mean `visual_distance` to the user's own images ("visual distance",
            0 before).

    Returns:
        One row per measure, with the columns "before", "after" and "difference".

    Raises:
        ValueError: if an argument is invalid, or one of the seeds was used by the search or its
            verification.

    Examples:
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((8, 8, 3), 0.75 if negative_prompt else 0.25)
        >>> settings = {"loss": "white", "space": "nplib", "budget": 3, "progress": False}
        >>> model = dpodiff.BlackBox(paint)
        >>> result = dpodiff.improve("a wall", model=model, **settings)
        >>> losses = {"white": dpodiff.losses.white}
        >>> print(dpodiff.held_out(result, seeds=[10, 11], losses=losses))
                 before  after  difference
        measure
        white     -0.25  -0.75        -0.5
    """
    check_kind("result", result, Result, "the Result of a search")
    seeds = fresh_seeds(result, seeds)
    check_measures(losses, judge)
    check_callable("encoder", encoder, "a callable from texts to vectors, or None", optional=True)
    check_clip(clip, optional=True)
    objective = result.objective
    candidates = {"before": objective.space.identity, "after": result.candidate}
    images = {column: objective.images(c, seeds) for column, c in candidates.items()}
    prompt = objective.space.prompt
    rows = {column: _measures(images[column], prompt, losses, judge) for column in images}
    if encoder is not None:
        rows["before"]["similarity"] = 1.0
        rows["after"]["similarity"] = _similarity(result, encoder)
    if clip is not None:
        for column, row in rows.items():
            distances = visual_distance(images["before"], images[column], clip)
            row["visual distance"] = float(distances.mean())
    return _table(rows)


def on_search_seeds(
    result: Result, losses: Mapping[str, "Loss"], judge: Judge | None = None
) -> "pd.DataFrame":
    """Score the images of the search on the noise that it chose, at no cost to the search.

    The gain of noise can only be measured on these images. A loss that the search used is biased.

    Args:
        losses, judge: as for `held_out`.

    Returns:
        One row per measure, with the columns "before", "after" and "difference".

    Examples:
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((8, 8, 3), 0.75 if negative_prompt else 0.25)
        >>> settings = {"loss": "white", "space": "nplib", "budget": 3, "progress": False}
        >>> model = dpodiff.BlackBox(paint)
        >>> result = dpodiff.improve("a wall", model=model, **settings)
        >>> losses = {"white": dpodiff.losses.white}
        >>> print(dpodiff.on_search_seeds(result, losses))
                 before  after  difference
        measure
        white     -0.25  -0.75        -0.5
    """
    check_kind("result", result, Result, "the Result of a search")
    check_measures(losses, judge)
    images = {"before": result.before, "after": result.images}
    prompt = result.objective.space.prompt
    return _table({k: _measures(images[k], prompt, losses, judge) for k in images})


def visual_distance(
    before: "torch.Tensor", after: "torch.Tensor", clip: "SphericalCLIP"
) -> "torch.Tensor":
    """Return 1 - cosine of CLIP's features, pairwise for two batches of images.

    The range is 0 to 2. Images of one prompt with different seeds have a distance above 0 too.
    Compare with it to tell which distances are large.

    Args:
        before, after: images (batch, 3, height, width) in [0, 1].
        clip: CLIP whose features are compared. The CLIP of the search's loss is biased.

    Returns:
        distances (batch,).

    Raises:
        ValueError: if an argument is not such images, their numbers differ, or `clip` is not a
            CLIP.

    Examples:
        >>> clip = dpodiff.SphericalCLIP("toy-heldout")
        >>> white, black = torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
        >>> dpodiff.visual_distance(white, white, clip)
        tensor([0.])
        >>> bool(dpodiff.visual_distance(white, black, clip) > 0)
        True
    """
    check_clip(clip)
    first, second = clip.features(before), clip.features(after)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} images before, but {len(second)} after")
    apart = first - second
    return apart.square().sum(dim=-1) / 2  # 1 - cosine of unit vectors, exactly 0 if equal


def check_clip(clip: Any, *, optional: bool = False) -> None:
    """Check that a value returns features of images; an optional argument may be None.

    Raises:
        ValueError: if not; the message says what would.
    """
    if not (optional and clip is None) and not callable(getattr(clip, "features", None)):
        raise ValueError(f"clip must be a SphericalCLIP, not {shown(clip)}")


def fresh_seeds(result: Result, seeds: Iterable[int]) -> list[int]:
    """Return seeds, none of which the search or its verification has used.

    Raises:
        ValueError: if there are none, or one was used; the message names it.
    """
    seeds = check_each("seeds", seeds, check_seed)
    if not seeds:
        raise ValueError("seeds is empty: at least one fresh seed is needed")
    used = {"search": result.objective.seeds}
    if result.verification is not None:
        used["verification"] = result.verification.seeds
    for name, taken in used.items():
        if seen := sorted(set(seeds) & set(taken)):
            raise ValueError(f"seed {seen[0]} was used by the {name}, so it tells nothing new")
    return seeds


def check_measures(losses: Any, judge: Any) -> None:
    """Check a mapping from names to losses, and a judge or None.

    Raises:
        ValueError: if one is wrong; the message names the argument.
    """
    check_kind("losses", losses, Mapping, "a mapping from names to losses")
    for name, loss in losses.items():
        check_text("each name of losses", name)
        check_callable(f"the loss {name}", loss, "a callable from images and prompts to losses")
    if judge is not None and not callable(getattr(judge, "measures", None)):
        raise ValueError(f"judge must have measures(images, prompt), which {shown(judge)} has not")


def _similarity(result: Result, encoder: "Encoder") -> float:
    from dpodiff.spaces.constraints import Similarity

    return Similarity(result.objective.space.prompt, encoder).similarity(
        plain(result.prompts.positive)
    )


def _table(rows: Mapping[str, Mapping[str, float]]) -> "pd.DataFrame":
    import pandas as pd

    table = pd.DataFrame(rows)
    return table.assign(difference=table["after"] - table["before"]).rename_axis("measure")


def _measures(
    images: "torch.Tensor", prompt: str, losses: Mapping[str, "Loss"], judge: Judge | None
) -> dict[str, float]:
    from dpodiff.losses.base import values

    prompts = [prompt] * len(images)
    row = {name: float(values(loss, images, prompts).mean()) for name, loss in losses.items()}
    return row if judge is None else row | judge.measures(images, prompt)
