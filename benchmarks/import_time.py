"""How long does `import dpodiff` take?

Every run is a fresh interpreter, which says how long the import itself took and whether torch came
with it. Names of the package are imported on first use, so that `--help`, a notebook's first cell
or a tool that only reads records does not wait for torch. What such a reader would wait for without
that is beside it: torch alone, and diffusers' Stable Diffusion pipeline.

The files have been read before (the machine's own cache is warm); the first import after a restart
takes longer for all of them.
"""

import subprocess
import sys
from collections.abc import Sequence

from common import Goal, Report, Timing, main
from tqdm import tqdm

OURS = "import dpodiff"
OTHERS = ["import torch", "from diffusers import StableDiffusionPipeline"]
SIZES = {"small": {"statements": [OURS]}, "toy": {"statements": [OURS, *OTHERS]}}
CHILD = """
import sys, time
start = time.perf_counter()
{statement}
print(time.perf_counter() - start, "torch" in sys.modules)
"""


def measure(*, statements: Sequence[str], repeats: int) -> Report:
    """Times each statement in fresh interpreters, alternately; the first is held to the goals."""
    timings = {statement: Timing([]) for statement in statements}
    for _ in tqdm(range(repeats), "timed", leave=False, disable=None):
        for statement, timing in timings.items():
            seconds, timing.result = run(statement)
            timing.seconds.append(seconds)
    first = timings[statements[0]]
    rows = [
        {
            "statement": statement,
            "seconds": timing.median,
            "spread": timing.spread,
            "times the first": timing.median / first.median,
            "torch": "imported" if timing.result else "not imported",
        }
        for statement, timing in timings.items()
    ]
    seconds = Goal(f"seconds of `{statements[0]}`", first.median, 0.3)
    return Report(rows, [seconds, Goal("torch imported by it", int(first.result), 0)])


def run(statement: str) -> tuple[float, bool]:
    """Seconds of a statement in a fresh interpreter, and whether torch is there after it."""
    command = [sys.executable, "-c", CHILD.format(statement=statement)]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, torch = child.stdout.split()
    return float(seconds), torch == "True"


if __name__ == "__main__":
    main(__doc__, measure, SIZES, repeats=7)
