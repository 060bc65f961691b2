"""Record negative prompts that act in some of the steps: dpodiff/results/recorded/windows.

    python book/record_windows.py                   # about 20 minutes on one core
    python book/record_windows.py --prompts 1 --folder /tmp/windows      # a test run

Three experiments, each with its own prompts and seeds:

    remove KIND   every window on images that show a thing, with a negative prompt that names it
    induce KIND   a negative prompt in the first steps only, on images without its thing
    search WHICH  a search of the negative prompt, without and with its window, at equal cost

In the rows of the first two, "before" is without a negative prompt.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch
from recording import SEARCH, Tables, arguments, check_ended, mixed_prompts, models, record

import dpodiff
from dpodiff.models.window import Window
from dpodiff.toy.model import Toy
from dpodiff.toy.scenes import TYPICAL_DEFECTS, Scene
from dpodiff.toy.words import NPLIB, toy_lexicon

BATCH = 32
LOOKED_AT, USED = range(100, 112), 4  # seeds, and number of their images that show the thing
INDUCED = range(200, 204)
FIRST = (1, 2, 3, Toy.steps)  # numbers of first steps in which an absent thing is named
BUDGET, SEEDS, UNSEEN = 20, 4, range(1000, 1008)

OBJECTS = ("ball", "house", "boat", "car", "tree", "fish", "cup", "heart")
COLORS = ("red", "blue", "yellow", "green", "pink", "orange", "purple", "white")
PLACES = {
    "night": "at night",
    "sea": "on the sea",
    "desert": "in the desert",
    "room": "in a room",
    "snow": "in the snow",
}
# Objects beside those of `OBJECTS`, and backgrounds, in the same order.
BESIDE = ("star", "moon", "house", "tree", "plane", "box", "star", "boat")
BACKGROUNDS = ("snow", "night", "desert", "meadow", "sunset", "sea", "room", "sky")


class Kind(NamedTuple):
    """A kind of thing to remove.

    Attributes:
        prompts: prompts that may show it.
        word: function from a prompt index and a reading to the word for what is shown.
        shows: function that returns whether a reading shows what a word names.
    """

    prompts: tuple[str, ...]
    word: Callable[[int, Scene], str]
    shows: Callable[[Scene, str], bool]


def _shows_object(scene: Scene, word: str) -> bool:
    return word in {thing.object for thing in scene.things}


def _shows_color(scene: Scene, word: str) -> bool:
    return word in {thing.color for thing in scene.things}


def _shows_background(scene: Scene, word: str) -> bool:
    return scene.background == word


def _shows_defect(scene: Scene, word: str) -> bool:
    return scene.defect == word


def _first_color(_: int, scene: Scene) -> str:
    return str(scene.things[0].color) if scene.things else COLORS[0]


PAIRS = list(zip(COLORS, OBJECTS, strict=True))
DEFECTIVE = [list(PLACES)[k % len(PLACES)] for k in range(len(PAIRS))]
KINDS = {
    "defect": Kind(
        tuple(f"a {c} {o} {PLACES[d]}" for (c, o), d in zip(PAIRS, DEFECTIVE, strict=True)),
        lambda k, _: TYPICAL_DEFECTS[DEFECTIVE[k]][0],
        _shows_defect,
    ),
    "background": Kind(
        tuple(f"a {c} {o}" for c, o in PAIRS), lambda _, s: str(s.background), _shows_background
    ),
    "color": Kind(tuple(f"a {o} in a room" for o in OBJECTS), _first_color, _shows_color),
    "object": Kind(
        tuple(f"a {c} {o} and a {b} on the sea" for (c, o), b in zip(PAIRS, BESIDE, strict=True)),
        lambda k, _: BESIDE[k],
        _shows_object,
    ),
}
# Words for the first steps on prompts without them: prompts, words, and how they are recognized.
ABSENT = {
    "object": (tuple(f"a {c} {o} on the sea" for c, o in PAIRS), BESIDE, _shows_object),
    "color": (tuple(f"a {o} in a room" for o in OBJECTS), COLORS, _shows_color),
    "background": (tuple(f"a {c} {o}" for c, o in PAIRS), BACKGROUNDS, _shows_background),
}


def windows() -> list[Window]:
    """Return all windows of whole steps."""
    ends = itertools.combinations(range(Toy.steps + 1), 2)
    return [(start / Toy.steps, end / Toy.steps) for start, end in ends]


def made(
    prompt: str, words: Sequence[str], seeds: Sequence[int], window: Window | None = None
) -> torch.Tensor:
    """Return images (seeds, 3, height, width) of a prompt, each with its negative prompt."""
    model, jobs = models()["model"], list(zip(words, seeds, strict=True))
    batches = [jobs[k : k + BATCH] for k in range(0, len(jobs), BATCH)]
    return torch.cat(
        [
            model.generate(
                [prompt] * len(batch), *map(list, zip(*batch)), windows=[window] * len(batch)
            )
            for batch in batches
        ]
    )


def rest(before: Scene, after: Scene, kind: str) -> float:
    """Return the unchanged share of what was not named: objects, first color, background, defect.

    A background has its typical defect, so neither counts if a background is removed.
    """
    named = {"background": ("background", "defect")}.get(kind, (kind,))
    first = before.things[:1]
    kept = {
        "object": {t.object for t in before.things} == {t.object for t in after.things},
        "color": {t.color for t in first} <= {t.color for t in after.things},
        "background": before.background == after.background,
        "defect": before.defect == after.defect,
    }
    if kind == "object":  # the second thing is the named one
        kept["first"] = {t.object for t in first} <= {t.object for t in after.things}
    values = [same for name, same in kept.items() if name not in named]
    return sum(values) / len(values)


def removal(kind: str, prompt: str) -> pd.DataFrame:
    """Return for every window whether the shown thing is removed, and what else changes."""
    own, judge = KINDS[kind], models()["judge"]
    found = made(prompt, [""] * len(LOOKED_AT), LOOKED_AT)
    place, shown = own.prompts.index(prompt), []
    for seed, image, scene in zip(LOOKED_AT, found, judge.read(found), strict=True):
        word = own.word(place, scene)
        if own.shows(scene, word):
            shown.append((seed, image, scene, word))
    shown, rows = shown[:USED], []
    for window in windows() if shown else []:
        seeds, before, scenes, words = zip(*shown, strict=True)
        images = made(prompt, words, seeds, window)
        after = judge.read(images)
        gone = [not own.shows(scene, word) for scene, word in zip(after, words, strict=True)]
        kept = [rest(a, b, kind) for a, b in zip(scenes, after, strict=True)]
        far = (images - torch.stack(before)).square().mean((1, 2, 3)).sqrt().tolist()
        for name, start, values in (("removed", 0, gone), ("rest", 1, kept), ("distance", 0, far)):
            rows.append(_row(name, start, sum(values) / len(values), window, len(values)))
    return pd.DataFrame(rows or [_row("removed", 0, float("nan"), (0.0, 1.0), 0)])


def induced(kind: str, prompt: str) -> pd.DataFrame:
    """Test a negative prompt in the first steps, and the word of another prompt as a control."""
    prompts, words, shows = ABSENT[kind]
    place = prompts.index(prompt)
    word, other = words[place], words[(place + 1) % len(words)]
    judge, rows, seeds = models()["judge"], [], INDUCED

    def share(named: str, window: Window | None) -> float:
        scenes = judge.read(made(prompt, [named] * len(seeds), seeds, window))
        return sum(shows(scene, word) for scene in scenes) / len(seeds)

    before = share("", None)
    for name, named in (("shown", word), ("shown, other word", other)):
        for first in FIRST:
            window = (0.0, first / Toy.steps)
            rows.append(_row(name, before, share(named, window), window, len(seeds)))
    return pd.DataFrame(rows)


def searched(which: str, prompt: str, search_seed: int) -> pd.DataFrame:
    """Search the negative prompt, and judge it on new seeds."""
    have = models()
    space = dpodiff.antonym_space(prompt, toy_lexicon()) + dpodiff.nplib_space(prompt, NPLIB)
    if which == "window":
        space += dpodiff.window_space(prompt)
    result = dpodiff.improve(
        prompt,
        model=have["model"],
        space=space,
        budget=BUDGET,
        seeds=SEEDS,
        seed=search_seed,
        verify=0,
        progress=False,
    )
    check_ended(result, {"prompt": prompt, "solver": which})
    losses = {"loss of the held-out CLIP": have["second"]}
    table = dpodiff.held_out(result, UNSEEN, losses, have["judge"])
    own = pd.DataFrame(
        {
            "before": [sum(result.baseline_losses) / SEEDS],
            "after": [sum(result.losses) / SEEDS],
        },
        index=["loss, search seeds"],
    )
    table = pd.concat([table.drop(columns="difference"), own])
    start, end = result.prompts.window or (0.0, 1.0)
    return table.rename_axis("measure").reset_index().assign(start=start, end=end, images=SEEDS)


def _row(measure: str, before: float, after: float, window: Window, images: int) -> dict[str, Any]:
    start, end = window
    values = {"measure": measure, "before": before, "after": after}
    return values | {"start": start, "end": end, "images": images}


def run(solver: str, prompt: str, search_seed: int) -> Tables:
    """Run one part: an experiment on a prompt."""
    experiment, which = solver.split(" ")
    if experiment == "search":
        table = searched(which, prompt, search_seed)
    else:
        table = {"remove": removal, "induce": induced}[experiment](which, prompt)
    who = {"solver": solver, "prompt": prompt, "search_seed": search_seed}
    return {"table.csv": table.round(6).assign(**who)}


if __name__ == "__main__":
    parser = arguments(__doc__, "windows", 14)
    options = parser.parse_args()
    few = options.prompts  # each kind has fewer
    parts = [(f"remove {kind}", p, 0) for kind, own in KINDS.items() for p in own.prompts[:few]]
    parts += [(f"induce {kind}", p, 0) for kind, own in ABSENT.items() for p in own[0][:few]]
    parts += [
        (f"search {which}", prompt, 0)
        for prompt in mixed_prompts(few)
        for which in ("full", "window")
    ]
    settings = {
        "steps": Toy.steps,
        "guidance": Toy.guidance,
        "budget": BUDGET,
        "seeds": SEEDS,
        "unseen_seeds": len(UNSEEN),
    }
    record(options.folder, parts, SEARCH, run, settings, options.workers)
