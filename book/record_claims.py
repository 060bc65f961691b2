"""Record DPO-Diff's claims on the toy prompts: book/results/claims.

    python book/record_claims.py                  # hours on two cores; goes on where it stopped
    python book/record_claims.py --arms random epo --searches 1      # a part of it first
    python book/record_claims.py --prompts 2 --folder /tmp/claims    # a rehearsal

Every solver gets the same hard prompts, budget, seeds and search seeds. Each search is one line
after the other in `table.csv` (a row a measure) and `curves.csv` (a row an improvement), written
as soon as it is done. All prompts are searched once before any is searched again, and a prompt by
all solvers before the next one begins.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

import dpodiff
from dpodiff.constraints import load_encoder
from dpodiff.models.toy import Toy
from dpodiff.recipes import RECIPES
from dpodiff.records import RESULTS
from dpodiff.solvers import RandomSearch, Solver
from dpodiff.toy import WEIGHTS
from dpodiff.toy.judge import Judge
from dpodiff.toy.prompts import hard_prompts

BUDGET, SEEDS = 40, 4
SEARCH_SEEDS = 3  # searches a prompt and arm
UNSEEN = range(1000, 1008)
NEGATIVE = "antonym+nplib"
ENCODER, SIMILARITY = "toy", 0.9
Job = tuple[str, str, int]  # what names a search:
KEYS = ["solver", "prompt", "search_seed"]


def recipe(name: str) -> Callable[..., Solver]:
    """A recipe bound to the toy model's steps."""
    return partial(RECIPES[name], steps=parts()["model"].steps)


def random_search(space: dpodiff.Space, *, seed: int) -> Solver:
    return RandomSearch(space, seed=seed)


@dataclass(frozen=True)
class Arm:
    """One of the compared ways: what is searched, and by what."""

    space: str
    recipe: str | None = None  # random search if not said
    task: str = "improve"


ARMS = {
    "random": Arm(NEGATIVE),
    "epo": Arm(NEGATIVE, "dpodiff-epo"),
    "gpo": Arm(NEGATIVE, "dpodiff-gpo"),
    "hpo": Arm(NEGATIVE, "dpodiff-hpo"),
    "epo, screened": Arm(NEGATIVE, "screened-epo"),
    "hpo, screened": Arm(NEGATIVE, "screened-hpo"),
    "epo, positive": Arm("synonym", "dpodiff-epo"),
    "epo, both": Arm(f"synonym+{NEGATIVE}", "dpodiff-epo"),
    "attack, random": Arm("synonym", None, "attack"),
    "attack, epo": Arm("synonym", "dpodiff-epo", "attack"),
    "attack, hpo": Arm("synonym", "dpodiff-hpo", "attack"),
}


@cache
def parts() -> dict:
    """The models, loaded once a process."""
    torch.set_num_threads(1)  # a process a core makes half as many pictures again
    return {
        "model": dpodiff.load("toy"),
        "loss": dpodiff.SphericalCLIP("toy"),
        "second": dpodiff.SphericalCLIP("toy-heldout"),
        "judge": Judge.load(),
        "encoder": load_encoder(ENCODER),
    }


def run(name: str, prompt: str, search_seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One search: its measures before and after, and its curve."""
    arm, have = ARMS[name], parts()
    how = dpodiff.improve
    settings = {"solver": recipe(arm.recipe) if arm.recipe else random_search}
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
        progress=False,
        **settings,
    )
    who = {"prompt": prompt, "solver": name, "search_seed": search_seed}
    found = {"positive": result.prompts.positive, "negative": result.prompts.negative}
    cost = {"spent": result.cost.spent, "seconds": result.cost.seconds}
    return measures(result, arm).assign(**who, **found, **cost), curve(result).assign(**who)


def measures(result: dpodiff.Result, arm: Arm) -> pd.DataFrame:
    """Before and after, by what the search saw and by what it did not."""
    have = parts()
    losses = {"loss, new seeds": have["loss"], "loss, held-out CLIP": have["second"]}
    attack = {"encoder": have["encoder"], "clip": have["second"]} if arm.task == "attack" else {}
    table = dpodiff.held_out(result, UNSEEN, losses, have["judge"], **attack)
    seen = {"before": np.mean(result.baseline_losses), "after": np.mean(result.losses)}
    table = pd.concat([pd.DataFrame(seen, index=["loss, search seeds"]), table])
    return table.drop(columns="difference").rename_axis("measure").reset_index()


def curve(result: dpodiff.Result) -> pd.DataFrame:
    """What was the best so far at what cost, an improvement a row."""
    records = result.trace.frame()
    better = records["best"].diff().fillna(-1) < 0
    return records.loc[better, ["spent", "best"]].reset_index(drop=True)


def record(folder: Path, jobs: list[Job], workers: int) -> None:
    """Run what is missing, `workers` searches at a time; every file is up to date after each."""
    folder.mkdir(parents=True, exist_ok=True)
    stamp, known = stamp_of(folder), folder / "table.csv"
    done = pd.read_csv(known, keep_default_na=False) if known.exists() else pd.DataFrame()
    done = set(zip(*(done[k] for k in KEYS))) if len(done) else set()
    jobs = [job for job in jobs if job not in done]
    before, started = stamp.seconds or 0.0, time.monotonic()
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = [pool.submit(run, *job) for job in jobs]
        for finished in tqdm(as_completed(waiting), "searches", total=len(waiting)):
            for name, table in zip(("table.csv", "curves.csv"), finished.result()):
                new = not (folder / name).exists()
                table.to_csv(folder / name, mode="a", header=new, index=False)
            stamp.seconds = before + time.monotonic() - started
            (folder / "stamp.json").write_text(json.dumps(asdict(stamp), indent=1) + "\n")


def all_jobs(count: int, names: list[str], seeds: int) -> list[Job]:
    """The searches, search seed by search seed and prompt by prompt."""
    return [
        (name, attack if ARMS[name].task == "attack" else improve, seed)
        for seed in range(seeds)
        for improve, attack in zip(hard_prompts(count), hard_prompts(count, "attack"))
        for name in names
    ]


def stamp_of(folder: Path) -> dpodiff.Stamp:
    """The stamp of the record that is gone on with, or of a new one.

    Raises:
        ValueError: if the record was begun with other settings or weights.
    """
    weights = next((WEIGHTS / "stable-diffusion" / "unet").glob("*.safetensors")).read_bytes()
    settings = {
        "budget": BUDGET,
        "seeds": SEEDS,
        "unseen_seeds": len(UNSEEN),
        "steps": Toy.steps,
        "encoder": ENCODER,
        "similarity": SIMILARITY,
        "weights": hashlib.sha256(weights).hexdigest()[:12],
    }
    path = folder / "stamp.json"
    if not path.exists():
        return dpodiff.Stamp.collect(settings)
    stamp = dpodiff.Stamp(**json.loads(path.read_text()))
    if stamp.parameters != settings:
        raise ValueError(f"{folder} was begun with {stamp.parameters}, not {settings}: remove it")
    return stamp


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=60, help="how many of the hardest")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM")
    parser.add_argument("--searches", type=int, default=SEARCH_SEEDS, help="a prompt and arm")
    parser.add_argument("--folder", type=Path, default=RESULTS / "claims")
    parser.add_argument("--workers", type=int, default=2, help="searches at the same time")
    options = parser.parse_args()
    jobs = all_jobs(options.prompts, options.arms, options.searches)
    record(options.folder, jobs, options.workers)
