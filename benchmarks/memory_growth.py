"""Memory growth of a process that runs many searches.

It runs small searches of a black box of gray images, one after the other, each with a trace file.
The resident set after a warm-up is compared with that at the end. The goal is a growth below 5%.

    python benchmarks/memory_growth.py --searches 500
"""

import argparse
import gc
import tempfile
from pathlib import Path

import numpy as np

import dpodiff

WARM_UP = 100  # searches
GOAL = 0.05


def paint(prompt: str, negative_prompt: str, seed: int) -> np.ndarray:
    return np.full((64, 64, 3), (seed + len(negative_prompt)) % 100 / 100)


def resident() -> float:
    """Return the resident set in MB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def searches(count: int, folder: Path) -> list[float]:
    """Return the resident set after each search."""
    found = []
    for number in range(count):
        model = dpodiff.BlackBox(paint)
        result = dpodiff.improve(
            "a red ball on the sea",
            model=model,
            loss="white",
            lexicon="toy",
            solver=("epo", "random", "forward", "tpe")[number % 4],
            budget=16,
            seed=number,
            trace=folder / "trace.jsonl",
            overwrite=True,
            progress=False,
        )
        assert len(result.images) == 4
        found.append(resident())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--searches", type=int, default=500)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = searches(WARM_UP + options.searches, Path(folder))
    before, after = found[WARM_UP - 1], found[-1]
    growth = after / before - 1
    print(
        f"after {WARM_UP} searches: {before:.1f} MB, after {options.searches} more: {after:.1f} MB"
    )
    print(
        f"growth: {growth:+.2%} (goal: below {GOAL:.0%}): {'holds' if growth < GOAL else 'FAILS'}"
    )


if __name__ == "__main__":
    main()
