"""Record the effects of the initial noise: dpodiff/results/recorded/patches, one folder per step.

    python book/record_patches.py                 # a quarter of an hour on one core; can be resumed
    python book/record_patches.py --steps searches --prompts 2 --folder /tmp/patches

`positions`   where the matcher and the judge find things from the same noise under many prompts
`injection`   whether a thing follows a patch that is pasted into other noise
`resampling`  whether a thing moves if only its patch is drawn again
`agreement`   whether noise that fits the prompt gives better images
`searches`    such noise as the start of best of N, DNO and EPO, at equal cost

The methods that choose noise are fitted by the matcher on images of other prompts. The judge only
measures.
"""

from collections.abc import Iterator

import pandas as pd
import torch
from choosing import (
    DONORS,
    FITTED,
    POOL,
    SIZE,
    WAYS,
    chosen,
    fitted,
    matcher,
    paired,
    related,
)
from recording import Tables, Verdicts, arguments, check_ended, models, record

import dpodiff
from dpodiff import patches
from dpodiff.gradients import SDO
from dpodiff.solvers import DNO, Solver
from dpodiff.solvers.recipes import RECIPES
from dpodiff.toy.captions import parse
from dpodiff.toy.model import Toy
from dpodiff.toy.places import judge_places, matcher_places
from dpodiff.toy.render import PLACES, SIZE as PIXELS
from dpodiff.toy.words import NPLIB, toy_lexicon

# Objects of the injections.
UNSEEN = (("star", "boat"), ("fish", "box"), ("moon", "car"), ("plane", "house"))
SEEDS, RECEIVERS = range(48), range(500, 516)  # for positions, and for injections
MOST = 6  # receivers per prompt
SURE = 0.005  # largest entropy of a noise with a trigger patch
EACH = 8  # images per method of choosing noise
WANTED, BUDGET = 4, 8  # images of a search, and its budget in evaluations
TESTED = range(1000, 1008)  # new seeds for the found prompts
LATENT = 16  # latent pixels per side
NEAR = 0.2  # distance, relative to the image side, within which a thing is at a place
METHODS = ("best of N", "DNO", "EPO")


def positions(prompt: str) -> Tables:
    """Return one row per seed and thing, with its position by the matcher and the judge."""
    model, rows = models()["model"].model, []
    images = patches.sample_grid(model, [prompt], model.latents(SEEDS)).images[:, 0]
    by_matcher = matcher_places(matcher(), images, prompt)
    by_judge = judge_places(models()["judge"], images, prompt)
    for number, thing in enumerate(parse(prompt).things):
        places = torch.cat([by_matcher[:, number], by_judge[:, number]], dim=1)
        table = pd.DataFrame(places.numpy(), columns=["x", "y", "judge_x", "judge_y"]).round(4)
        rows.append(table.assign(thing=number, color=thing.color, object=thing.object, seed=SEEDS))
    return {"table.csv": pd.concat(rows).assign(prompt=prompt)}


def injection(prompt: str) -> Tables:
    """Return for each kind of patch how often the first thing is at the place of the patch."""
    noise, own = _found(prompt)
    sites = torch.tensor([first for first, _ in PLACES.values()]) / PIXELS
    place, rows = sites[torch.cdist(own[:, 0], sites).argmax(1)], []
    for name, changed in _injected(noise, place, prompt):
        found = _places_of(changed, prompt)
        near = (found - place[:, None]).norm(dim=-1) < NEAR  # (receiver, thing)
        hits = {
            "first thing at the place": near[:, 0],
            "second thing at the place": near[:, 1],
            "both things found": found.isfinite().flatten(1).all(1),
        }
        rows += [
            {"solver": name, "measure": measure, "before": 0.0, "after": float(hit.float().mean())}
            for measure, hit in hits.items()
        ]
    return {"table.csv": pd.DataFrame(rows).assign(prompt=prompt, receivers=len(noise))}


def _found(prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the noises from which the judge finds both things, with positions (noise, 2, 2)."""
    noise = models()["model"].model.latents(RECEIVERS)
    places = _places_of(noise, prompt)
    known = places.isfinite().flatten(1).all(1)
    if not known.any():
        raise ValueError(f"no image of {prompt!r} shows both things: draw more seeds")
    return noise[known][:MOST], places[known][:MOST]


def _places_of(noise: torch.Tensor, prompt: str) -> torch.Tensor:
    images = patches.sample_grid(models()["model"].model, [prompt], noise).images[:, 0]
    return judge_places(models()["judge"], images, prompt)


def _injected(
    noise: torch.Tensor, place: torch.Tensor, prompt: str
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the noise with each kind of patch at the place; donors alternate."""
    templates, found = fitted()
    first, second = (thing.color for thing in parse(prompt).things)
    contrast = templates[first] - templates[second]
    model, generator = models()["model"].model, torch.Generator().manual_seed(0)
    donors = model.latents(DONORS)

    def pasted(color: str, best: bool = False) -> torch.Tensor:
        sure = torch.from_numpy(patches.position_entropy(found[color]) < SURE)
        rows, centers = sure.nonzero().flatten(), found[color].nanmean(1)  # over prompts
        if best:
            scores = patches.patch_score(donors[rows], contrast, centers[rows])
            rows = rows[scores.topk(3).indices]
        rows = rows.repeat(len(noise))[: len(noise)]
        cut = patches.cut_patch(donors[rows], centers[rows], SIZE)
        return patches.paste_patch(noise, cut, place)

    yield "none", noise
    yield "fresh noise", patches.resample_patch(noise, place, SIZE, generator)
    yield "patch of the other thing", pasted(second)
    yield "trigger patch", pasted(first)
    yield "trigger patch, best score", pasted(first, best=True)
    best = _best_patches(model.latents(POOL), contrast, len(noise))
    yield "best patch of the pool", patches.paste_patch(noise, best, place)


def _across(apart: torch.Tensor) -> torch.Tensor:
    """Return unit vectors (batch, 2) at right angles to others."""
    x, y = torch.nn.functional.normalize(apart, dim=1).unbind(1)
    return torch.stack([-y, x], dim=1)


def _outside(before: torch.Tensor, after: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """Return the mean absolute change (batch,) of the pixels outside of a patch at a place."""
    side = SIZE * PIXELS // LATENT
    kept = patches.paste_patch(torch.ones_like(before), torch.zeros(1, 3, side, side), place)
    return ((after - before).abs() * kept).flatten(1).sum(1) / kept.flatten(1).sum(1)


def _best_patches(pool: torch.Tensor, template: torch.Tensor, count: int) -> torch.Tensor:
    """Return the patches of the pool that fit a template best, at most one per noise."""
    fits = torch.nn.functional.conv2d(pool, template[None]).flatten(1)
    rows = fits.amax(1).topk(count).indices
    windows = pool[rows].unfold(2, SIZE, 1).unfold(3, SIZE, 1).flatten(2, 3)
    return torch.stack([one[:, k] for one, k in zip(windows, fits[rows].argmax(1))])


def resampling(prompt: str) -> Tables:
    """Return for each part of the noise that is drawn again what moves and what stays."""
    model = models()["model"].model
    noise, own = _found(prompt)
    first, second = own.unbind(1)
    before = patches.sample_grid(model, [prompt], noise).images[:, 0]
    generator = torch.Generator().manual_seed(0)
    # Beside the line through both things, where there is nothing.
    empty = (first + second) / 2 + 0.25 * _across(first - second)
    rows = []
    for name, place, size in (
        ("patch of the first thing", first, SIZE),
        ("patch without a thing", empty.clamp(0, 1), SIZE),
        ("all of the noise", first, noise.shape[-1]),
    ):
        changed = patches.resample_patch(noise, place, size, generator)
        after = patches.sample_grid(model, [prompt], changed).images[:, 0]
        found = judge_places(models()["judge"], after, prompt)
        gone = (found - own).norm(dim=-1) >= NEAR  # False for things that are not found
        outside = _outside(before, after, place)
        measures = {
            "first thing moved": gone[:, 0].float().mean(),
            "second thing moved": gone[:, 1].float().mean(),
            "a thing lost": found.isnan().any(-1).any(-1).float().mean(),
            "change outside of the patch": outside.mean(),
        }
        rows += [
            {"solver": name, "measure": key, "before": 0.0, "after": float(value)}
            for key, value in measures.items()
        ]
    return {"table.csv": pd.DataFrame(rows).assign(prompt=prompt, receivers=len(noise))}


def agreement(prompt: str, other: str, way: str) -> Tables:
    """Return measures of images from unselected noise, and from chosen noise."""
    before = measured(_generated(prompt, chosen("as it comes", prompt, EACH)), prompt)
    after = measured(_generated(prompt, chosen(way, prompt, EACH, other)), prompt)
    return {"table.csv": _rows(before, after, prompt=prompt, other=other, solver=way)}


def search(prompt: str, method: str, way: str) -> Tables:
    """Return measures before and after, on the images of the search and on new seeds."""
    if method == "best of N":
        # The first estimate costs eight rows of the denoiser, less than an image.
        count = WANTED * BUDGET - (way == "first estimate")
        drawn = _generated(prompt, chosen(way, prompt, count))
        own = drawn[matcher()(drawn, [prompt] * count).argsort()[:WANTED]]
        new = _generated(prompt, list(TESTED))
    else:
        own, new = _searched(prompt, method, chosen(way, prompt, WANTED))
    plain = _generated(prompt, chosen("as it comes", prompt, WANTED))
    fresh = _generated(prompt, list(TESTED))
    before = measured(plain, prompt, ", own images") | measured(fresh, prompt, ", new seeds")
    after = measured(own, prompt, ", own images") | measured(new, prompt, ", new seeds")
    solver = f"{method}, {way}"
    return {"table.csv": _rows(before, after, prompt=prompt, method=method, way=way, solver=solver)}


def _searched(prompt: str, method: str, seeds: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the final images of a search, and images of its prompt from new seeds."""
    space, model = dpodiff.Space(prompt), models()["model"]
    if method == "EPO":
        space = dpodiff.antonym_space(prompt, toy_lexicon()) + dpodiff.nplib_space(prompt, NPLIB)
    form = "toy-matcher-log" if method == "DNO" else "toy-matcher"
    objective = dpodiff.Objective(model, dpodiff.losses.load(form), space, seeds)
    solver = _solver(method, objective)
    result = dpodiff.search(solver, objective, dpodiff.Budget(BUDGET), progress=False)
    check_ended(result, {"prompt": prompt, "method": method})
    return result.images, objective.images(result.candidate, TESTED)


def _solver(method: str, objective: dpodiff.Objective) -> Solver:
    if method == "EPO":
        return RECIPES["epo"](objective.space, steps=Toy.steps, seed=0)
    estimator = SDO(objective.model.steps // 2)
    return DNO(objective.space, objective.noise(), lr=0.1, gamma=0.05, estimator=estimator)


def _generated(prompt: str, seeds: list[int]) -> torch.Tensor:
    count = len(seeds)
    return models()["model"].generate([prompt] * count, [""] * count, seeds)


@torch.no_grad()
def measured(images: torch.Tensor, prompt: str, where: str = "") -> dict[str, float]:
    """Return the measures of the matcher, the held-out CLIP and the judge."""
    texts = [prompt] * len(images)
    losses = {"loss": matcher(), "loss of the held-out CLIP": models()["second"]}
    found = {name: float(loss(images, texts).mean()) for name, loss in losses.items()}
    found |= Verdicts(models()["judge"]).measures(images, prompt)
    return {name + where: value for name, value in found.items()}


def _rows(before: dict[str, float], after: dict[str, float], **who: str) -> pd.DataFrame:
    table = pd.DataFrame({"before": before, "after": after}).rename_axis("measure").reset_index()
    return table.assign(**who)


def parts_of(step: str, prompts: int) -> list[tuple[str, ...]]:
    """Return the parts of a step, as its columns name them."""
    if step == "positions":
        return [(text,) for text in [*paired(FITTED), *paired(FITTED[:1], swapped=True)][:prompts]]
    if step in ("injection", "resampling"):
        return [(text,) for text in paired(UNSEEN) if "pink" not in text][:prompts]
    texts = related(prompts)
    if step == "agreement":
        others = texts[1:] + texts[:1]
        return [(text, other, way) for text, other in zip(texts, others) for way in WAYS[1:]]
    ways = ("as it comes", "trigger patches", "first estimate")
    return [(text, method, way) for text in texts for method in METHODS for way in ways]


STEPS = {
    "positions": (positions, ("prompt",), 16),
    "injection": (injection, ("prompt",), 12),
    "resampling": (resampling, ("prompt",), 12),
    "agreement": (agreement, ("prompt", "other", "solver"), 24),
    "searches": (search, ("prompt", "method", "way"), 14),
}


if __name__ == "__main__":
    parser = arguments(__doc__, "patches", 24)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    options = parser.parse_args()
    for step in options.steps:
        run, keys, most = STEPS[step]
        parts = parts_of(step, min(options.prompts, most))
        settings = {"steps": Toy.steps, "patch": SIZE, "pool": len(POOL)}
        if step == "searches":
            settings |= {"budget": BUDGET, "seeds": WANTED, "lr": 0.1, "gamma": 0.05}
        record(options.folder / step, parts, keys, run, settings, options.workers)
