"""Goals of the benchmarks: measured numbers, and whether the goals were met.

A record of `benchmarks/` has them in `verdicts.txt`, one line per goal, with notes between them.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dpodiff.checks import check_path

if TYPE_CHECKING:
    import pandas as pd

GOAL = re.compile(r"(.+): (\S+) \(goal: (at (?:least|most) \S+)\): (holds|FAILS)")
MET = {"holds": "met", "FAILS": "missed"}


def goal_table(*paths: Path) -> "pd.DataFrame":
    """Return a table of goals: one row per claim, the measured number, and "met" or "missed".

    Args:
        paths: paths of the files `verdicts.txt`, in the order of the rows. Notes are left out.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a goal cannot be read; the message names the file and the line.

    Examples:
        >>> from dpodiff.results.records import RESULTS
        >>> table = goal_table(RESULTS / "benchmarks" / "gradients-toy" / "verdicts.txt")
        >>> print(table.T)
                 memory of the shortcut, 100 over 10 steps
        measured                                         1
        goal                                  at most 1.05
        verdict                                        met
    """
    import pandas as pd

    for path in paths:
        check_path("each path", path, optional=False)
    rows = [row for path in paths for row in _goals(Path(path))]
    columns = pd.Index(["measured", "goal", "verdict"])
    return pd.DataFrame([row[1:] for row in rows], index=[row[0] for row in rows], columns=columns)


def _goals(path: Path) -> list[tuple[str, str, str, str]]:
    """Return claim, measured number, goal and verdict of each goal in a file."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "(goal:" in line]
    found = []
    for line in lines:
        match = GOAL.fullmatch(line)
        if match is None:
            raise ValueError(f"{path}: this is not a goal with its verdict: {line}")
        claim, measured, goal, said = match.groups()
        found.append((claim, measured, goal, MET[said]))
    return found
