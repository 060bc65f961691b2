"""The table of a sweep with one row per job, in memory and as a Parquet file."""

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dpodiff.sweeps.log import FILES, Entry, results

if TYPE_CHECKING:
    import pandas as pd

TABLE = "table.parquet"
# Columns and their dtypes in pandas; missing integers and booleans stay missing.
COLUMNS = {
    "prompt_id": None,
    "prompt": None,
    "solver": None,
    "seed": "int64",
    "status": None,
    "verdict": None,
    "accepted": "boolean",
    "loss_before": "float64",
    "loss_after": "float64",
    "change": "float64",
    "low": "float64",
    "high": "float64",
    "found_prompt": None,
    "found_negative_prompt": None,
    "found_guidance": "float64",
    "found_window": None,
    "returned_prompt": None,
    "returned_negative_prompt": None,
    "returned_guidance": "float64",
    "returned_window": None,
    "evaluations": "float64",
    "images": "Int64",
    "seconds": "float64",
    "error": None,
}


def read_table(folder: str | os.PathLike) -> "pd.DataFrame":
    """Return the table of a sweep so far, with the jobs of all files in its folder.

    Args:
        folder: folder of a sweep.

    Returns:
        one row per job, by prompt, solver and seed; see `dpodiff.sweep` for the columns.

    Raises:
        ValueError: if the folder has no jobs of a sweep, or its files have different settings.

    Examples:
        >>> settings = {"budget": 2, "seeds": 1, "verify": 0, "progress": False}
        >>> table = dpodiff.sweep(["a red ball", "a blue car"], out="runs/two", **settings)
        >>> dpodiff.sweeps.read_table("runs/two").equals(table)
        True
    """
    found = list(results(Path(folder)).values())
    if not found:
        raise ValueError(f"{folder} has no results of a sweep ({FILES})")
    if any(len(entry.job) != 5 for entry in found):
        raise ValueError(f"{folder} has results of other jobs than those of a sweep")
    numbered = all(isinstance(entry.job[0], int) for entry in found)
    key = (lambda e: e.job) if numbered else (lambda e: (str(e.job[0]), *e.job[1:]))
    return table(sorted(found, key=key))


def table(entries: Iterable[Entry]) -> "pd.DataFrame":
    """Return one row per entry, in order."""
    import pandas as pd

    rows = []
    for entry in entries:
        id, solver, seed, prompt, _ = entry.job
        who = {"prompt_id": id, "prompt": prompt, "solver": solver, "seed": seed}
        rows.append(who | {"status": "failed", "error": entry.error} | (entry.value or {}))
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({name: kind for name, kind in COLUMNS.items() if kind})


def write_parquet(folder: Path) -> None:
    """Write the table of a folder for other programs, if pyarrow is installed."""
    if not importlib.util.find_spec("pyarrow"):
        return
    part = folder / f".{TABLE}.part"
    read_table(folder).to_parquet(part, index=False)
    os.replace(part, folder / TABLE)
