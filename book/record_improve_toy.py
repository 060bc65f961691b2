"""Record the improvement of hard toy prompts by their negative prompts: book/results/improve_toy.

    python book/record_improve_toy.py                  # about half an hour on two cores
    python book/record_improve_toy.py --prompts 2      # a rehearsal, to another folder

Goes on where it was stopped: what stands in the folder is not run again.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

import dpodiff
from dpodiff.api import SOLVERS
from dpodiff.records import RESULTS
from dpodiff.toy.judge import Judge
from dpodiff.toy.prompts import hard_prompts

SPACE, BUDGET, SEEDS, SEARCH_SEED = "antonym+nplib", 40, 4, 0
UNSEEN = range(1000, 1008)


def run(prompt: str, solver: str, parts: dict, trace: Path) -> pd.DataFrame:
    """Search one prompt, then measure the result by what the search never saw."""
    result = dpodiff.improve(
        prompt,
        model=parts["model"],
        loss=parts["loss"],
        space=SPACE,
        solver=solver,
        budget=BUDGET,
        seeds=SEEDS,
        seed=SEARCH_SEED,
        trace=trace,
        progress=False,
    )
    losses = {"loss, new seeds": parts["loss"], "loss, held-out CLIP": parts["second"]}
    table = dpodiff.held_out(result, UNSEEN, losses, parts["judge"]).drop(columns="difference")
    seen = {"before": np.mean(result.baseline_losses), "after": np.mean(result.losses)}
    table = pd.concat([pd.DataFrame(seen, index=["loss, search seeds"]), table])
    table = table.rename_axis("measure").reset_index()
    return table.assign(prompt=prompt, solver=solver, negative=result.prompts.negative)


def record(folder: Path, count: int) -> None:
    """Run every prompt with every solver; write the table after each, the stamp at the end."""
    parts = {
        "model": dpodiff.load("toy"),
        "loss": dpodiff.SphericalCLIP("toy"),
        "second": dpodiff.SphericalCLIP("toy-heldout"),
        "judge": Judge.load(),
    }
    settings = {"space": SPACE, "budget": BUDGET, "seeds": SEEDS, "search_seed": SEARCH_SEED}
    settings |= {"prompts": count, "unseen_seeds": len(UNSEEN), "steps": parts["model"].steps}
    stamp, start = dpodiff.Stamp.collect(settings, parts["model"].device), time.monotonic()
    path = folder / "table.csv"
    tables = [pd.read_csv(path, keep_default_na=False)] if path.exists() else []
    done = {(p, s) for table in tables for p, s in zip(table["prompt"], table["solver"])}
    for index, prompt in enumerate(tqdm(hard_prompts(count), "prompts")):
        for solver in SOLVERS:
            if (prompt, solver) not in done:
                trace = folder / "traces" / f"{index:02d}_{solver}.jsonl"
                tables.append(run(prompt, solver, parts, trace))
                pd.concat(tables).to_csv(path, index=False)
    stamp.seconds = time.monotonic() - start
    (folder / "stamp.json").write_text(json.dumps(asdict(stamp), indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=20, help="how many of the hardest")
    parser.add_argument("--folder", type=Path, default=RESULTS / "improve_toy")
    options = parser.parse_args()
    record(options.folder, options.prompts)
