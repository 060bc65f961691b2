"""Every benchmark runs at its smallest size, on tiny models, and says what it found.

Nothing here depends on time: only tables, counts and memory are looked at.
"""

import importlib
import json
import math
import runpy
import sys
from functools import partial
from pathlib import Path

import pytest
import tiny

from dpodiff import Slot, Space, SphericalCLIP
from dpodiff.models.stable_diffusion import StableDiffusion

FOLDER = Path(__file__).parents[1] / "benchmarks"
NAMES = sorted({path.stem for path in FOLDER.glob("*.py")} - {"common", "world"})


@pytest.fixture(scope="module")
def modules():
    """The benchmarks by name, imported as scripts of one folder import each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield {name: importlib.import_module(name) for name in [*NAMES, "common", "world"]}


@pytest.fixture(scope="module")
def reports(modules, tmp_path_factory):
    """What each benchmark finds on tiny models."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny.stable_diffusion(folder / "sd")
    tiny.clip(folder / "clip")
    slots = (
        Slot("ball", ("ball", "box", "star", "boat")),
        Slot("", ("", "blurry", "sky", "sea", "tree"), "negative"),
    )
    world = modules["world"].World(
        model=partial(StableDiffusion.from_pretrained, folder / "sd"),
        loss=partial(SphericalCLIP, f"local-dir:{folder / 'clip'}"),
        space=Space("a red ball", slots),
        folder=folder / "sd",
    )
    found = {}
    for name in NAMES:
        on = () if name == "import_time" else (world,)
        found[name] = modules[name].measure(*on, **modules[name].SIZES["small"], repeats=1)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_prints_a_row_a_way_and_its_goals(reports, name):
    report = reports[name]
    lines = str(report).splitlines()
    assert len(lines) == 1 + len(report.rows) + 1 + len(report.goals)
    assert all(heading in lines[0] for heading in report.rows[0])
    for goal in report.goals:
        assert math.isfinite(goal.value)
        assert str(goal).endswith(("holds", "FAILS"))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_has_a_small_and_a_full_size_of_the_same_settings(modules, name):
    sizes = modules[name].SIZES
    assert set(sizes) == {"small", "toy"}
    assert set(sizes["small"]) == set(sizes["toy"])


def test_the_released_way_does_the_same_search(reports):
    rows = reports["improve"].rows
    assert {row["way"] for row in rows} == {"released", "dpodiff"}
    assert len({(row["evaluations"], row["images"]) for row in rows}) == 1
    for steps in {row["steps"] for row in rows}:
        found = [row["loss found"] for row in rows if row["steps"] == steps]
        assert found == pytest.approx([found[0]] * len(found), rel=1e-3)


def test_memory_grows_with_the_steps_for_the_full_gradient_alone(reports):
    def growth(name):
        rows = [row for row in reports["gradients"].rows if row["estimator"] == name]
        return rows[-1]["peak MB"] / rows[0]["peak MB"]

    assert growth("full") > 1.5
    for name in ("shortcut", "truncated", "SDO", "checkpointed"):
        assert growth(name) < 1.1


def test_ways_are_timed_in_turns(modules):
    order = []
    ways = {name: partial(partial, order.append, name) for name in "ab"}
    timings = modules["common"].in_turns(ways, repeats=2)
    assert order == ["a", "b", "a", "b"]
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2]


def test_a_script_prints_its_stamp_and_writes_what_it_found(modules, monkeypatch, tmp_path, capsys):
    out = tmp_path / "import_time.json"
    argv = ["import_time.py", "--size", "small", "--repeats", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.syspath_prepend(FOLDER)
    runpy.run_path(str(FOLDER / "import_time.py"), run_name="__main__")
    printed, written = capsys.readouterr().out, json.loads(out.read_text())
    assert f"commit {written['stamp']['commit']}" in printed
    assert "import dpodiff" in printed
    assert written["stamp"]["parameters"]["size"] == "small"
    assert written["rows"][0]["torch"] == "not imported"
    assert [goal["holds"] for goal in written["goals"]][1]
