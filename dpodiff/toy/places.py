"""Positions of the things of a prompt on its images, by the judge or by the matcher.

On renders of two things their errors are about two and four pixels. Use the judge for measurements
only. A search must use the matcher, so that the judge stays held out.
"""

import torch

from dpodiff.toy.captions import parse
from dpodiff.toy.judge import Judge
from dpodiff.toy.matcher import CELLS, Matcher, content_words, owners_of
from dpodiff.toy.scenes import COLORS, OBJECTS


@torch.no_grad()
def judge_places(judge: Judge, images: torch.Tensor, prompt: str) -> torch.Tensor:
    """Return the centers of the things of a prompt, NaN for those that the judge does not find.

    A thing is found if its object is present in the color that the prompt states.

    Args:
        judge: judge that reads the images.
        images: (batch, 3, 64, 64) in [0, 1].
        prompt: what all images should show.

    Returns:
        (batch, things, 2) as (x, y) in [0, 1].

    Examples:
        >>> from dpodiff.toy import judge, places, render, scenes
        >>> things = scenes.Thing("ball", "red", "large"), scenes.Thing("cup", "blue", "large")
        >>> scene = scenes.Scene(things, "left of", "snow")
        >>> image = torch.from_numpy(render.render_batch([scene], np.random.default_rng(0)))
        >>> text = "a red ball and a blue cup"
        >>> x, y = places.judge_places(judge.Judge.load(), image, text)[0].T
        >>> bool(x[0] < x[1])
        True
    """
    reading = judge(images)
    places = []
    for thing in parse(prompt).things:
        k = OBJECTS.index(thing.object)
        found = reading.present[:, k] > 0
        if thing.color is not None:
            found &= reading.color[:, k].argmax(-1) == COLORS.index(thing.color)
        places.append(_where(reading.place[:, k], found))
    return torch.stack(places, dim=1)


@torch.no_grad()
def matcher_places(matcher: Matcher, images: torch.Tensor, prompt: str) -> torch.Tensor:
    """Return the centers of the things of a prompt by the matcher, NaN if their words do not hold.

    Args:
        matcher: matcher that reads the images.
        images: (batch, 3, 64, 64) in [0, 1].
        prompt: what all images should show.

    Returns:
        (batch, things, 2) as (x, y) in [0, 1].

    Examples:
        >>> from dpodiff.toy import matcher, places
        >>> images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        >>> found = places.matcher_places(matcher.Matcher.load(), images, "a red ball")
        >>> tuple(found.shape), bool(found.isnan().all())
        ((2, 1, 2), True)
    """
    owners = owners_of(content_words(prompt))
    things = list(dict.fromkeys(filter(None, owners)))
    cells = matcher.cells(images)
    holds = matcher.word_logits(cells, [prompt] * len(images)) > 0  # (batch, word)
    weights = matcher.where(matcher.local_features(cells), [things] * len(images))
    places = []
    for number, thing in enumerate(things):
        own = [place for place, owner in enumerate(owners) if owner == thing]
        found = holds[:, own].all(dim=1)
        places.append(_where(weights[:, number] @ _centers(cells), found))
    return torch.stack(places, dim=1)


def _where(place: torch.Tensor, found: torch.Tensor) -> torch.Tensor:
    return place.masked_fill(~found[:, None], torch.nan)


def _centers(cells: torch.Tensor) -> torch.Tensor:
    """Return the centers (cells, 2) of the matcher's cells as (x, y) in [0, 1].

    With three strides of 2, the receptive field of cell k is centered at pixel 8 k.
    """
    side = torch.arange(CELLS, dtype=cells.dtype, device=cells.device) / CELLS
    return torch.cartesian_prod(side, side).flip(-1)
