"""Noise that fits a prompt, chosen before any image is made, for the recorder of patches.

The methods are fitted by the matcher on images of other prompts; the judge is not involved.
"""

from functools import cache

import numpy as np
import torch
from recording import models

from dpodiff import patches
from dpodiff.toy.captions import parse
from dpodiff.toy.matcher import Matcher
from dpodiff.toy.places import matcher_places
from dpodiff.toy.prompts import hard_prompts
from dpodiff.toy.render import PLACES, SIZE as PIXELS

SIZE = 7  # latent pixels of a patch: the side of one of two large things
COLORS = (("red", "blue"), ("green", "yellow"), ("purple", "orange"), ("white", "pink"))
FITTED = (("ball", "cup"), ("house", "heart"), ("cup", "tree"))  # objects of the templates
DONORS = range(16)
POOL, ASIDE = range(10_000, 10_512), range(8)  # seeds to choose from, and for first estimates
WAYS = (
    "as it comes",
    "trigger patches",
    "trigger patches, worst",
    "first estimate",
    "first estimate, worst",
    "first estimate of another prompt",
)


def paired(objects: tuple[tuple[str, str], ...], swapped: bool = False) -> list[str]:
    """Return prompts of two things without a relation; with `swapped` the colors are exchanged."""
    texts = [
        f"a {pair[swapped]} {one} and a {pair[not swapped]} {other}"
        for pair in COLORS
        for one, other in objects
    ]
    return [text.replace("a orange", "an orange") for text in texts]


def related(count: int) -> list[str]:
    """Return the hardest prompts that state the colors of two things and their relation."""
    return [prompt for prompt in hard_prompts(300) if _is_layout(prompt)][:count]


def _is_layout(prompt: str) -> bool:
    scene = parse(prompt)
    colored = [thing for thing in scene.things if thing.color is not None]
    return scene.relation is not None and len(colored) == 2


@cache
def matcher() -> Matcher:
    """Return the loss "failure", loaded once."""
    return Matcher.load()


@cache
def fitted() -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return each color's template, and the positions of its thing (donor, prompt, 2)."""
    model, latents, places = models()["model"].model, {}, {}
    prompts = paired(FITTED)
    grid = patches.sample_grid(model, prompts, model.latents(DONORS))
    for column, prompt in enumerate(prompts):
        found = matcher_places(matcher(), grid.images[:, column], prompt)
        for number, thing in enumerate(parse(prompt).things):
            latents.setdefault(thing.color, []).append(grid.latents[:, column])
            places.setdefault(thing.color, []).append(found[:, number])
    templates = {
        color: patches.mean_patch(torch.cat(latents[color]), torch.cat(places[color]), SIZE)
        for color in latents
    }
    return templates, {color: torch.stack(found, 1) for color, found in places.items()}


def layout(prompt: str) -> torch.Tensor:
    """Return the template of the prompt's two things at the places that it states."""
    templates, _ = fitted()
    scene = parse(prompt)
    whole = torch.zeros_like(models()["model"].model.latents([0]))
    for thing, (x, y) in zip(scene.things, PLACES[scene.relation]):
        place = (x / PIXELS, y / PIXELS)
        whole = patches.paste_patch(whole, templates[thing.color][None], place)
    return whole[0]


def chosen(way: str, prompt: str, count: int, other: str = "") -> list[int]:
    """Return seeds of the pool, chosen for a prompt by one of `WAYS`; `other` is another prompt.

    Unselected noise differs between prompts, since some noise gives better images of all prompts.
    """
    if way == "as it comes":
        rng = np.random.default_rng(list(prompt.encode()))
        return rng.permutation(POOL)[:count].tolist()
    model = models()["model"].model
    if way.startswith("trigger patches"):
        template = layout(prompt)
    else:
        text = other if "another" in way else prompt
        template = patches.first_estimate(model, text, model.latents(ASIDE))
    scores = patches.patch_score(model.latents(POOL), template, (0.5, 0.5))
    order = scores.argsort(descending="worst" not in way)
    return [POOL[k] for k in order[:count].tolist()]
