"""Lost work when a process is killed.

Each job is killed with SIGKILL at many moments of its progress, and restarted with the same
arguments. The jobs are searches with a trace, a lexicon of a language model with a cache (the
server runs on this machine), and the training of a toy network. The benchmark counts the finished
runs, those with exactly the answer of an uninterrupted run, and the largest number of pieces that
were made twice: batches of images, gradients, steps of the noise, questions, steps of the training.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common import Goal, Report, main

KILLING = Path(__file__).with_name("killing.py")
SIZES = {
    "small": {"jobs": ["lexicon"]},
    "toy": {"jobs": ["improve", "attack", "gpo", "align", "sweep", "lexicon", "training"]},
}


def measure(*, jobs: Sequence[str], repeats: int) -> Report:
    """Kill each job several times; see `killing.py`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, KILLING, folder, str(repeats), *jobs]
        child = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in child.stdout.splitlines()]
    same = min(row["equal answers"] / row["kills"] for row in rows)
    lost = max(row["pieces lost"] for row in rows)
    goals = [
        Goal("share of answers that are those of an undisturbed run", same, 1.0, at_least=True),
        Goal("pieces lost by a kill", lost, 1),
    ]
    return Report(rows, goals)


if __name__ == "__main__":
    main(__doc__, measure, SIZES, repeats=20)
