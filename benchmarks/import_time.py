"""Time of `import dpodiff`.

Every run is a new interpreter, which reports the time of the import and whether torch was imported.
Names of the package are imported on first use, so that `--help`, the first cell of a notebook or a
tool that only reads records need not wait for torch. For comparison, the imports of torch and of
diffusers' Stable Diffusion pipeline are timed too.

The files have been read before, so the disk cache is warm; the first import after a restart takes
longer.
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
    """Time each statement in new interpreters, alternately; the goals apply to the first one."""
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
    """Return the seconds of a statement in a new interpreter, and whether it imported torch."""
    command = [sys.executable, "-c", CHILD.format(statement=statement)]
    child = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, torch = child.stdout.split()
    return float(seconds), torch == "True"


if __name__ == "__main__":
    main(__doc__, measure, SIZES, repeats=7)
