"""Record tests of the paper's claims on toy prompts: dpodiff/results/recorded/claims.

    python book/record_paper_claims.py            # 1.5 hours on two cores; can be resumed
    python book/record_paper_claims.py --searches 2                        # each prompt again
    python book/record_paper_claims.py --prompts 2 --folder /tmp/claims    # a test run

All solvers have the same hard prompts, budget, seeds and search seeds. The baseline is one negative
prompt for all of them, without a search. A search adds its rows to `table.csv` (one per measure)
and to `curves.csv` (one per improvement). All prompts are searched once before any is searched
again. The searches of one prompt share images, so one process runs them all, and they are written
together.
"""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from record_claims import FIXED
from recording import SEARCH, Tables, arguments, models, record, searched

import dpodiff
from dpodiff.solvers import GPO, Solver
from dpodiff.solvers.recipes import RECIPES
from dpodiff.toy.model import Toy
from dpodiff.toy.prompts import hard_prompts

BUDGET, SEEDS = 40, 4
UNSEEN = range(1000, 1008)
NEGATIVE = "antonym+nplib"
ENCODER, SIMILARITY = "toy", 0.9


def undirected_gpo(space: dpodiff.Space, *, steps: int, seed: int) -> Solver:
    """Return `dpodiff_gpo` without gradients: it samples from its initial distribution only."""
    return GPO(space, steps=steps, seed=seed, schedule=lambda steps: ())


SOLVERS = RECIPES | {"undirected-gpo": undirected_gpo}


@dataclass(frozen=True)
class Arm:
    """One of the compared methods: its space and its solver.

    Without a solver it is the baseline: one negative prompt for all prompts.
    """

    space: str = ""
    solver: str = ""  # a name in `SOLVERS`
    task: str = "improve"


ARMS = {
    "fixed negative prompt": Arm(),
    "random": Arm(NEGATIVE, "random"),
    "epo": Arm(NEGATIVE, "dpodiff-epo"),
    "gpo": Arm(NEGATIVE, "dpodiff-gpo"),
    "gpo, undirected": Arm(NEGATIVE, "undirected-gpo"),
    "hpo": Arm(NEGATIVE, "dpodiff-hpo"),
    "epo, small": Arm(NEGATIVE, "epo"),
    "hpo, small": Arm(NEGATIVE, "hpo"),
    "epo, screened": Arm(NEGATIVE, "screened-epo"),
    "hpo, screened": Arm(NEGATIVE, "screened-hpo"),
    "epo, positive": Arm("synonym", "dpodiff-epo"),
    "epo, both": Arm(f"synonym+{NEGATIVE}", "dpodiff-epo"),
    "attack, random": Arm("synonym", "random", "attack"),
    "attack, epo": Arm("synonym", "dpodiff-epo", "attack"),
}


def run(name: str, prompt: str, search_seed: int) -> Tables:
    """Run one search; return its tables as in `searched`."""
    arm, have = ARMS[name], models()
    who = {"prompt": prompt, "solver": name, "search_seed": search_seed}
    if not arm.solver:
        result = with_negative(prompt, FIXED)
        return searched(result, measures(result, arm), who)
    how = dpodiff.improve
    settings = {"solver": partial(SOLVERS[arm.solver], steps=Toy.steps)}
    if arm.task == "attack":
        how = dpodiff.attack
        settings |= {"encoder": have["encoder"], "similarity": SIMILARITY}
    result = how(
        prompt,
        model=have["model"],
        loss=have["loss"],
        space=arm.space,
        budget=BUDGET,
        seeds=SEEDS,
        seed=search_seed,
        verify=0,
        progress=False,
        **settings,
    )
    return searched(result, measures(result, arm), who)


def with_negative(prompt: str, negative: str) -> dpodiff.Result:
    """Return the prompt with a given negative prompt as a result, whether it is better or not."""
    have = models()
    space = dpodiff.Space(prompt, [dpodiff.Slot("", ("", negative), "negative")])
    objective = dpodiff.Objective(have["model"], have["loss"], space, range(SEEDS))
    solver = RECIPES["random"](space, steps=Toy.steps, seed=0)
    # The space has two candidates, without and with it. The search evaluates both.
    result = dpodiff.search(solver, objective, dpodiff.Budget(2), progress=False)
    (given,) = objective.evaluate([(1,)])  # known, so it costs nothing
    return replace(result, candidate=(1,), prompts=space.decode((1,)), losses=given.losses)


def measures(result: dpodiff.Result, arm: Arm) -> pd.DataFrame:
    """Return measures before and after, by the searched loss and by held-out measures."""
    have = models()
    losses = {"loss, new seeds": have["loss"], "loss, held-out CLIP": have["second"]}
    attack = {"encoder": have["encoder"], "clip": have["second"]} if arm.task == "attack" else {}
    table = dpodiff.held_out(result, UNSEEN, losses, have["judge"], **attack)
    seen = {"before": np.mean(result.baseline_losses), "after": np.mean(result.losses)}
    return pd.concat([pd.DataFrame(seen, index=["loss, search seeds"]), table])


def searches(count: int, names: list[str], seeds: int) -> list[tuple[str, str, int]]:
    """Return the searches, ordered by search seed and prompt."""
    return [
        (name, attack if ARMS[name].task == "attack" else improve, seed)
        for seed in range(seeds)
        for improve, attack in zip(hard_prompts(count), hard_prompts(count, "attack"))
        for name in names
    ]


if __name__ == "__main__":
    parser = arguments(__doc__, "claims", 60)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM")
    parser.add_argument("--searches", type=int, default=1, help="a prompt and arm")
    options = parser.parse_args()
    settings = {
        "budget": BUDGET,
        "seeds": SEEDS,
        "unseen_seeds": len(UNSEEN),
        "steps": Toy.steps,
        "encoder": ENCODER,
        "similarity": SIMILARITY,
    }
    parts = searches(options.prompts, options.arms, options.searches)
    together = len(options.arms)  # number of searches per prompt
    record(options.folder, parts, SEARCH, run, settings, options.workers, together)
