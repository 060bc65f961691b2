"""An interrupted search goes on where it was, and comes to the result of one that was not."""

import dataclasses
import json
import math

import pytest
import torch
from gaussian import Gaussian
from helpers import FakeModel, negative_space, shade

import dpodiff
from dpodiff import DNO, GPO, HPO, PEZ, Budget, Objective, Space, Trace, ZeroOrder, search
from dpodiff.solvers.recipes import RECIPES

SPACE = negative_space(9, 9, 9)
SETTINGS = {"loss": shade, "seeds": 2, "progress": False, "batch_size": 3}


def improve(path, model=None, **settings):
    """A search of 12 candidates and a verification on 12 fresh seeds, in batches of 3 images."""
    space = {"space": SPACE, "budget": 24, "verify": 12}
    return dpodiff.improve(
        "a red ball", model=model or FakeModel(), trace=path, **SETTINGS | space | settings
    )


def told(result):
    """What a result says, without times and memory."""
    cost = dataclasses.asdict(result.cost) | {"seconds": 0, "peak_memory": 0}
    records = [dataclasses.replace(record, seconds=0.0) for record in result.trace.records]
    steps = [step | {"seconds": 0} for step in result.trace.steps]
    return {
        "candidate": result.candidate,
        "losses": result.losses,
        "found": result.found.losses,
        "status": result.status,
        "verdict": result.verdict,
        "cost": cost,
        "records": records,
        "steps": steps,
    }


def cut(path, lines, rest=b""):
    """Leave so many lines of a file, and the first letters of another."""
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(whole[:lines]) + rest)
    return len(whole)


def test_from_any_line_a_search_comes_to_the_same_result(tmp_path):
    path = tmp_path / "trace.jsonl"
    model = FakeModel()
    expected, whole = told(improve(path, model)), path.read_bytes()
    for lines in range(len(whole.splitlines())):
        path.write_bytes(whole)
        cut(path, lines)
        made = path.read_text().count('"answer"')
        again = FakeModel()
        assert told(improve(path, again)) == expected, lines
        assert again.batches == model.batches[made:]
