"""Record searches of noise, prompt, and both, on toy prompts: dpodiff/results/recorded/noise.

    python book/record_noise.py                   # half an hour on two cores; can be resumed
    python book/record_noise.py --prompts 2 --folder /tmp/noise      # a test run

All methods have the same hard prompts and the same budget, once for four images and once for one.
The results are evaluated in two ways. The images of the search show the effect of the chosen noise.
On new seeds the found prompt is used with unselected noise, so only words can help.
"""

from collections.abc import Callable
from functools import partial

import pandas as pd
import torch
from recording import SEARCH, Tables, arguments, models, record, searched

import dpodiff
from dpodiff.gradients import SDO
from dpodiff.solvers import DNO, Solver, ZeroOrder, search_noise
from dpodiff.solvers.joint import epo_and_dno
from dpodiff.solvers.recipes import RECIPES
from dpodiff.toy.model import Toy
from dpodiff.toy.prompts import hard_prompts
from dpodiff.toy.words import NPLIB, toy_lexicon

BUDGET, SEEDS = 40, 4
UNSEEN = range(1000, 1008)
LR, GAMMA = 0.1, 0.05  # LR was chosen on three prompts outside of the record

# Function from a space, noise and a seed to a solver.
Method = Callable[..., Solver]


def words(space: dpodiff.Space, noise: torch.Tensor, *, seed: int) -> Solver:
    return RECIPES["epo"](space, steps=Toy.steps, seed=seed)


# The estimator is the best one at equal cost in the chapter on DNO.
DESCENT = {"lr": LR, "gamma": GAMMA, "estimator": SDO(Toy.steps // 2)}
METHODS: dict[str, Method | None] = {
    "prompt": words,
    "noise": partial(DNO, **DESCENT),
    "both": partial(epo_and_dno, prompts=8, steps=4, **DESCENT),
    "prompt, then noise": partial(epo_and_dno, prompts=BUDGET // 2, steps=BUDGET, **DESCENT),
    "zero-order": ZeroOrder,
    "best of N": None,
}
# Methods that are also run for a single image.
ALONE = ("prompt", "noise", "both", "best of N")
ARMS = {name: (method, SEEDS) for name, method in METHODS.items()}
ARMS |= {f"{name}, one image": (METHODS[name], 1) for name in ALONE}


def run(name: str, prompt: str, search_seed: int) -> Tables:
    """Run one search; return its tables as in `searched`."""
    (method, count), have = ARMS[name], models()
    space = dpodiff.antonym_space(prompt, toy_lexicon()) + dpodiff.nplib_space(prompt, NPLIB)
    first = search_seed * SEEDS  # different images for each search
    seeds = range(first, first + count)
    objective = dpodiff.Objective(have["model"], have["loss"], space, seeds)
    budget = dpodiff.Budget(BUDGET)
    if method is None:
        result = search_noise(objective, budget, progress=False)
    else:
        solver = method(space, objective.noise(), seed=search_seed)
        result = dpodiff.search(solver, objective, budget, progress=False)
    who = {"prompt": prompt, "solver": name, "search_seed": search_seed}
    return searched(result, measures(result), who)


def measures(result: dpodiff.Result) -> pd.DataFrame:
    """Return measures before and after, on the images of the search and on new seeds."""
    have = models()
    losses = {"loss": have["loss"], "loss of the held-out CLIP": have["second"]}
    own = dpodiff.on_search_seeds(result, losses, have["judge"])
    new = dpodiff.held_out(result, UNSEEN, losses, have["judge"])
    return pd.concat([own.rename("{}, own images".format), new.rename("{}, new seeds".format)])


if __name__ == "__main__":
    parser = arguments(__doc__, "noise", 24)
    parser.add_argument("--searches", type=int, default=1, help="a prompt and way")
    options = parser.parse_args()
    parts = [
        (name, prompt, seed)
        for seed in range(options.searches)
        for prompt in hard_prompts(options.prompts)
        for name in ARMS
    ]
    settings = {
        "budget": BUDGET,
        "seeds": SEEDS,
        "unseen_seeds": len(UNSEEN),
        "steps": Toy.steps,
        "lr": LR,
        "gamma": GAMMA,
    }
    record(options.folder, parts, SEARCH, run, settings, options.workers)
