"""Record verified searches on toy prompts, with baselines: dpodiff/results/recorded/verified.

    python book/record_claims.py                  # a night on two cores; can be resumed
    python book/record_claims.py --arms "matcher and CLIP: epo" "fixed negative prompt" --searches 1
    python book/record_claims.py --prompts 2 --folder runs/verified      # a test run

Every loss is searched by every solver with the same budget, including verification, on reported
prompts, easy and hard ones. The found and the verified prompts are judged on new seeds: columns
"before", "after" and "verified" of `table.csv`. Texts and costs are in `found.csv`. The baselines
need no search: other guidances, a fixed negative prompt, and the best of as many images of the
unchanged prompt as a search makes. All arms of one prompt share images, so one process runs them
all. All prompts are searched once before any is searched again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recording import (
    BOTH,
    SEARCH,
    Tables,
    Verdicts,
    arguments,
    check_ended,
    curve_of,
    mixed_prompts,
    models,
    record,
)
from scorers import ENSEMBLES, MATCHER_AND_CLIP, Loss, fitted, loss

import dpodiff
from dpodiff.api.defaults import DEFAULT_SPACE, default_second_losses
from dpodiff.spaces.lexicons.builders import not_in_prompt
from dpodiff.toy.digests import scorers_digest
from dpodiff.toy.model import Toy

BUDGET, SEEDS, FRESH = 40, 4, 40  # fresh seeds are paid from the same budget
SEARCH_SEEDS = 2  # searches per prompt and arm
UNSEEN = range(1000, 1010)
DRAWN = 2000  # first seed of "best of N"
FITTED = range(94_000, 94_016)  # seeds to calibrate an ensemble, paid from its budget
BATCH = 16
NEGATIVE = "antonym+nplib"  # the space of the paper
FIXED = "dark, duplicate, watermark"
MODIFIERS = ("sharp", "clean", "detailed", "crisp")
BLAME = "bad, ugly"
HELD_OUT = "spherical, held-out CLIP"
MEASURE = f"judge, {BOTH}"


@dataclass(frozen=True)
class Arm:
    """A search: its loss, solver, space and first candidates; None is the default."""

    loss: str
    solver: str  # a name in `dpodiff.solvers.recipes.RECIPES`
    space: str = DEFAULT_SPACE
    first: str | tuple[()] | None = None
    verify: int | None = None  # fresh seeds; 0 leaves all of the budget; None is FRESH


@dataclass(frozen=True)
class Fixed:
    """A baseline without a search: another guidance, modifiers, or a negative prompt."""

    guidance: float | None = None
    modifiers: tuple[str, ...] = ()
    negative: str = ""


@dataclass(frozen=True)
class BestOf:
    """A baseline that spends the budget on images of the unchanged prompt, and keeps the best."""

    loss: str
    kept: int


COMPARED = ("spherical", "contrastive", "matcher", MATCHER_AND_CLIP)  # losses
SOLVERS = ("epo", "dpodiff-epo", "random", "gpo", "hpo")
DEFAULT = f"{MATCHER_AND_CLIP}: epo"
OTHER_SOLVERS = ("sparse-epo", "forward", "raced-forward", "tpe")  # with the default loss only
# Ordered by solver: searches of several losses by one solver share most images.
ARMS: dict[str, Arm | Fixed | BestOf] = {
    "unchanged": Fixed(),
    "fixed negative prompt": Fixed(negative=FIXED),
    "fixed modifiers": Fixed(modifiers=MODIFIERS),
    "fixed modifiers, negative prompt": Fixed(modifiers=MODIFIERS, negative=BLAME),
    **{f"guidance {guidance:g}": Fixed(guidance) for guidance in (2.0, 4.0, 5.0, 7.5)},
    **{f"best of N, one kept: {name}": BestOf(name, 1) for name in COMPARED},
    **{f"best of N, four kept: {name}": BestOf(name, 4) for name in COMPARED},
    **{f"{name}: {solver}": Arm(name, solver) for solver in SOLVERS for name in COMPARED},
    **{
        f"spherical: {solver}, negative space, not verified": Arm(
            "spherical", solver, NEGATIVE, verify=0
        )
        for solver in ("epo", "dpodiff-epo")
    },
    f"{DEFAULT}, not verified": Arm(MATCHER_AND_CLIP, "epo", verify=0),
    **{f"{MATCHER_AND_CLIP}: {solver}": Arm(MATCHER_AND_CLIP, solver) for solver in OTHER_SOLVERS},
    f"{DEFAULT}, negative space": Arm(MATCHER_AND_CLIP, "epo", NEGATIVE),
    f"{DEFAULT}, guidance": Arm(MATCHER_AND_CLIP, "epo", f"{DEFAULT_SPACE}+guidance"),
    f"{DEFAULT}, nothing first": Arm(MATCHER_AND_CLIP, "epo", first=()),
    f"{DEFAULT}, diagnosis": Arm(MATCHER_AND_CLIP, "epo", first="diagnosis"),
    f"{MATCHER_AND_CLIP}: first candidates only": Arm(MATCHER_AND_CLIP, "listed"),
    f"{MATCHER_AND_CLIP}: diagnosis only": Arm(MATCHER_AND_CLIP, "listed", first="diagnosis"),
}


def run(name: str, prompt: str, search_seed: int) -> Tables:
    """Run one arm on one prompt; return measures, texts with cost, and the search's curve."""
    arm, who = ARMS[name], {"prompt": prompt, "solver": name, "search_seed": search_seed}
    if isinstance(arm, Arm):
        tables = searched(arm, who)
    elif isinstance(arm, Fixed):
        tables = fixed(arm, prompt)
    else:
        tables = best_of(arm, prompt, search_seed)
    return {name: table.assign(**who) for name, table in tables.items()}


def searched(arm: Arm, who: Mapping[str, Any]) -> Tables:
    """Run a verified search, and judge the found and the verified prompt."""
    prompt = who["prompt"]
    calibration = FITTED if arm.loss in ENSEMBLES else ()
    paid = len(calibration) / SEEDS
    searched_loss = fitted(arm.loss, prompt, generate(prompt, FITTED))
    result = dpodiff.improve(
        prompt,
        model=models()["model"],
        loss=searched_loss,
        space=arm.space,
        solver=arm.solver,
        first=arm.first,
        budget=BUDGET - round(paid),
        seeds=SEEDS,
        seed=who["search_seed"],
        verify=FRESH if arm.verify is None else arm.verify,
        second_loss=second_loss(arm),
        progress=False,
    )
    check_ended(result, who)
    found = result.found
    text = {
        "positive": found.prompts.positive,
        "negative": found.prompts.negative,
        "guidance": found.prompts.guidance,
        "verdict": verdict(result),
        "spent": result.cost.spent + paid,
        "images": result.cost.images + len(calibration),
        "seconds": round(result.cost.seconds, 3),
    }
    return {
        "table.csv": judged(result, searched_loss),
        "found.csv": pd.DataFrame([text]),
        "curves.csv": curve_of(found),
    }


def second_loss(arm: Arm) -> "dict[str, Loss] | None":
    """Return the default second losses for the default loss; other losses have none."""
    model = models()["model"]
    return default_second_losses(model) if arm.loss == MATCHER_AND_CLIP else None


def verdict(result: dpodiff.Result) -> str:
    """Return the outcome of the verification in a word or two."""
    if result.verification is None:
        return "not verified"
    return "accepted" if result.verification.accepted else "refused"


def judged(result: dpodiff.Result, searched_loss: Loss) -> pd.DataFrame:
    """Return measures on new seeds, and the searched loss on its own seeds, one row each."""
    found, losses = result.found, {"loss, new seeds": searched_loss, **held_out_loss()}
    judge = Verdicts(models()["judge"])
    table = dpodiff.held_out(found, UNSEEN, losses, judge)
    chosen = dpodiff.held_out(result, UNSEEN, losses, judge)["after"]
    seen = {
        "before": np.mean(found.baseline_losses),
        "after": np.mean(found.losses),
        "verified": np.mean(result.losses),
    }
    own = pd.DataFrame(seen, index=["loss, search seeds"])
    table = table.drop(columns="difference").assign(verified=chosen)
    return pd.concat([own, table]).round(5).rename_axis("measure").reset_index()


def fixed(arm: Fixed, prompt: str) -> Tables:
    """Run a baseline that changes every prompt in the same way."""
    positive = extended(prompt, not_in_prompt(prompt, arm.modifiers))
    images = generate(positive, UNSEEN, arm.negative, arm.guidance)
    text = {"positive": positive, "negative": arm.negative, "guidance": arm.guidance}
    return compared(prompt, measures(images, prompt), text, 0.0)


def extended(prompt: str, words: Sequence[str]) -> str:
    """Return the prompt followed by as many of the words as the model takes."""
    text = ", ".join([prompt, *words])
    try:
        models()["model"].check(text)
    except dpodiff.PromptError:
        return extended(prompt, words[:-1])
    return text


def best_of(arm: BestOf, prompt: str, search_seed: int) -> Tables:
    """Return the best of as many images as a search makes; the gain belongs to these images."""
    count = BUDGET * SEEDS
    first = DRAWN + search_seed * count
    images = generate(prompt, range(first, first + count))
    own = generate(prompt, FITTED)  # not charged, in favor of the baseline
    order = scores(fitted(arm.loss, prompt, own), images, prompt).argsort()[: arm.kept]
    text = {"positive": prompt, "negative": "", "guidance": None}
    return compared(prompt, measures(images[order], prompt), text, BUDGET)


def compared(
    prompt: str, after: Mapping[str, float], text: Mapping[str, Any], spent: float
) -> Tables:
    """Return the tables of a baseline, which is applied to all prompts and never verified."""
    before = measures(generate(prompt, UNSEEN), prompt)
    columns = {"before": before, "after": after, "verified": after}
    cost = {
        "verdict": "baseline",
        "spent": spent,
        "images": int(spent * SEEDS),
        "seconds": 0.0,  # images are shared, so there is no time of its own
    }
    return {
        "table.csv": pd.DataFrame(columns).round(5).rename_axis("measure").reset_index(),
        "found.csv": pd.DataFrame([{**text, **cost}]),
        "curves.csv": pd.DataFrame({"spent": [spent], "best": [float("nan")]}),
    }


def generate(
    prompt: str, seeds: Sequence[int], negative: str = "", guidance: float | None = None
) -> torch.Tensor:
    """Return images (seeds, 3, 64, 64) of one prompt, each made once."""
    rollout = {} if guidance is None else {"guidance": guidance}
    parts = []
    for start in range(0, len(seeds), BATCH):
        batch = list(seeds[start : start + BATCH])
        texts = [prompt] * len(batch), [negative] * len(batch)
        parts.append(models()["model"].generate(*texts, batch, **rollout))
    return torch.cat(parts)


@torch.no_grad()
def scores(by: Loss, images: torch.Tensor, prompt: str) -> torch.Tensor:
    """Return the losses (images,)."""
    return torch.cat([by(batch, [prompt] * len(batch)) for batch in images.split(BATCH)])


def measures(images: torch.Tensor, prompt: str) -> dict[str, float]:
    """Return the mean of the held-out loss, and the judge's shares."""
    losses = held_out_loss().items()
    means = {name: float(scores(by, images, prompt).mean()) for name, by in losses}
    return means | Verdicts(models()["judge"]).measures(images, prompt)


def held_out_loss() -> dict[str, Loss]:
    """Return the loss that no search uses, by its name in the tables."""
    return {"loss, held-out CLIP": loss(HELD_OUT)}


def main() -> None:
    parser = arguments(__doc__, "verified", 60)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM")
    parser.add_argument("--searches", type=int, default=SEARCH_SEEDS, help="a prompt and arm")
    options = parser.parse_args()
    parts = [
        (name, prompt, seed)
        for seed in range(options.searches)
        for prompt in mixed_prompts(options.prompts)
        for name in options.arms
    ]
    settings = {
        "budget": BUDGET,
        "seeds": SEEDS,
        "fresh_seeds": FRESH,
        "unseen_seeds": len(UNSEEN),
        "steps": Toy.steps,
        "guidance": Toy.guidance,
        "space": DEFAULT_SPACE,
        "fixed": FIXED,
        "scorers": scorers_digest(),
    }
    together = len(options.arms)  # number of arms that share images
    record(options.folder, parts, SEARCH, run, settings, options.workers, together)
    if options.prompts > 1:
        print(report(options.folder).to_string())


def report(folder: Path) -> pd.DataFrame:
    """Return the change of the main measure by each arm, found and verified."""
    recorded = dpodiff.Recorded.load(folder.name, folder.parent)
    tables = {"found": recorded, "verified": recorded.verified()}
    changes = {name: one.changes(MEASURE) for name, one in tables.items()}
    return pd.concat(changes, axis=1).round(3)


if __name__ == "__main__":
    main()
