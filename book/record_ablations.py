"""Record ablations of GPO, EPO and HPO by the outcome of searches: results/recorded/ablations.

    python book/record_ablations.py               # two hours on one core; can be resumed
    python book/record_ablations.py --prompts 2 --folder runs/ablations      # a test run

Every arm changes one setting of the paper's GPO, EPO or HPO. All arms search the same space with
the same loss and budget on the same prompts. There is no verification, so the outcome is that of
the solver alone. The found prompts are judged on new seeds.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from recording import (
    SEARCH,
    Tables,
    Verdicts,
    arguments,
    mixed_prompts,
    models,
    record,
    searched,
)
from scorers import MATCHER_AND_CLIP, loss

import dpodiff
from dpodiff.api.defaults import DEFAULT_SPACE
from dpodiff.solvers import EPO, GPO, HPO, Solver, shortcuts
from dpodiff.solvers.recipes import random_search
from dpodiff.toy.digests import scorers_digest
from dpodiff.toy.model import Toy

BUDGET, SEEDS = 40, 4
UNSEEN = range(1000, 1010)


def gpo(
    space: dpodiff.Space,
    *,
    steps: int,
    seed: int,
    iterations: int = 20,
    first: float = 0.3,
    last: float = 0.48,
    k: int = 1,
    temperature: float = 1.0,
    lr: float = 0.1,
) -> Solver:
    """Return GPO with the paper's settings, except the given ones."""
    schedule = partial(shortcuts, iterations=iterations, first=first, last=last, k=k)
    return GPO(space, steps=steps, seed=seed, schedule=schedule, temperature=temperature, lr=lr)


def undirected(space: dpodiff.Space, *, steps: int, seed: int) -> Solver:
    """Return GPO without gradient steps: it samples from its initial distribution only."""
    return GPO(space, steps=steps, seed=seed, schedule=lambda steps: ())


def epo(
    space: dpodiff.Space,
    *,
    steps: int,
    seed: int,
    population: int = 20,
    mutations: int = 10,
    rate: float = 0.1,
    crossovers: int = 10,
) -> Solver:
    """Return EPO with the paper's settings, except the given ones; half become parents."""
    return EPO(
        space,
        seed=seed,
        population=population,
        parents=population // 2,
        mutations=mutations,
        rate=rate,
        crossovers=crossovers,
    )


def hpo(space: dpodiff.Space, *, steps: int, seed: int, iterations: int = 20) -> Solver:
    """Return HPO with the paper's settings, except the number of gradient steps."""
    return HPO(space, steps=steps, seed=seed, gpo=partial(gpo, iterations=iterations))


# The first one of each solver has the paper's settings.
ARMS: dict[str, Callable[..., Solver]] = {
    "random": random_search,
    "epo": epo,
    "epo, rate 0.3": partial(epo, rate=0.3),
    "epo, no crossover": partial(epo, mutations=20, crossovers=0),
    "epo, no mutation": partial(epo, mutations=0, crossovers=20),
    "epo, population 8": partial(epo, population=8, mutations=4, crossovers=4),
    "gpo": gpo,
    "gpo, undirected": undirected,
    "gpo, k = 2": partial(gpo, k=2),
    "gpo, k = 3": partial(gpo, k=3),
    "gpo, start at 0": partial(gpo, first=0.0, last=0.0),
    "gpo, start at 4": partial(gpo, first=0.67, last=0.67),
    "gpo, temperature 0.3": partial(gpo, temperature=0.3),
    "gpo, temperature 3": partial(gpo, temperature=3.0),
    "gpo, lr 0.03": partial(gpo, lr=0.03),
    "gpo, 8 gradients": partial(gpo, iterations=8),
    "hpo": hpo,
    "hpo, 8 gradients": partial(hpo, iterations=8),
}


def run(name: str, prompt: str, search_seed: int) -> Tables:
    """Run one search; return its tables as in `searched`."""
    result = dpodiff.improve(
        prompt,
        model=models()["model"],
        loss=loss(MATCHER_AND_CLIP),
        space=DEFAULT_SPACE,
        solver=partial(ARMS[name], steps=Toy.steps),
        budget=BUDGET,
        seeds=SEEDS,
        seed=search_seed,
        verify=0,
        progress=False,
    )
    who = {"prompt": prompt, "solver": name, "search_seed": search_seed}
    return searched(result, measures(result), who)


def measures(result: dpodiff.Result) -> pd.DataFrame:
    """Return measures before and after, on the search seeds and on new ones."""
    losses = {"loss, new seeds": loss(MATCHER_AND_CLIP)}
    table = dpodiff.held_out(result, UNSEEN, losses, Verdicts(models()["judge"]))
    seen = {"before": np.mean(result.baseline_losses), "after": np.mean(result.losses)}
    return pd.concat([pd.DataFrame(seen, index=["loss, search seeds"]), table])


if __name__ == "__main__":
    parser = arguments(__doc__, "ablations", 24)
    options = parser.parse_args()
    settings = {
        "budget": BUDGET,
        "seeds": SEEDS,
        "unseen_seeds": len(UNSEEN),
        "steps": Toy.steps,
        "space": DEFAULT_SPACE,
        "scorers": scorers_digest(),
    }
    parts = [(name, prompt, 0) for prompt in mixed_prompts(options.prompts) for name in ARMS]
    together = len(ARMS)  # number of searches per prompt
    record(options.folder, parts, SEARCH, run, settings, options.workers, together)
