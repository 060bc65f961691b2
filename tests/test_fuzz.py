"""Public functions with arguments of any kind; `benchmarks/fuzz.py` makes more calls of them."""

import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def fuzz():
    """The script, which imports other modules of its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield importlib.import_module("fuzz")


def test_any_argument_is_taken_as_documented_or_refused_by_a_clear_error(
    fuzz, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # a text is a path, too
    found = {one.name: fuzz.fuzz(one, 12, derandomize=True) for one in fuzz.entries(tmp_path)}
    defects = [defect for tally in found.values() for defect in tally.defects.values()]
    assert not defects, "\n".join(defects)
    total = sum((tally.counts for tally in found.values()), start=fuzz.Counter())
    assert min(total["accepted"], total["clear"]) > 100
    assert "silent" in next(fuzz.rows(found))


def test_defects_are_told_from_clear_errors(fuzz):
    def call(number):
        return 1 / number

    entry = fuzz.Entry("call", call, {})
    assert fuzz.outcome(entry, {"number": 0}, ["number"])[0] == "raw"
    assert fuzz.outcome(entry, {"number": 3}, ["number"])[0] == "silent"
    assert fuzz.outcome(entry, {"number": 1}, [])[0] == "accepted"
    checked = fuzz.Entry("whole", lambda number: fuzz.dpodiff.Budget(number), entry.parameters)
    assert fuzz.outcome(checked, {"number": 0.5}, ["number"])[0] == "clear"
