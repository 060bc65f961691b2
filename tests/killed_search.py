"""Kills searches on small models at many moments, and lets them go on; see `benchmarks/killing.py`.

python tests/killed_search.py FOLDER KILLS JOB ...
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

from gaussian import Gaussian
from helpers import FakeModel, negative_space, shade

import dpodiff

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import killing

SMALL = {"loss": shade, "seeds": 2, "batch_size": 3, "progress": False}


def improve(folder: Path) -> Any:
    where = {"model": FakeModel(), "space": negative_space(9, 9, 9), "trace": folder / "t.jsonl"}
    return killing.told(dpodiff.improve("a red ball", budget=20, verify=8, **where, **SMALL))


def align(folder: Path) -> Any:
    where = {"model": Gaussian(), "trace": folder / "t.jsonl"}
    return killing.told(dpodiff.align("far", budget=22, gamma=0.1, **where, **SMALL))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:  # what is imported here is not again
        improve(Path(folder) / "improve"), align(Path(folder) / "align")
    killing.report({"improve": improve, "align": align}, *sys.argv[1:])
