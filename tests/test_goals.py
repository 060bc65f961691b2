"""The goals of the benchmarks, read from their records."""

import re

import pytest

from dpodiff.results.goals import goal_table
from dpodiff.results.records import RESULTS

RECORDED = sorted((RESULTS / "benchmarks").glob("*/verdicts.txt"))


def test_a_goal_is_met_or_missed_and_notes_are_left_out(tmp_path):
    fast, small = tmp_path / "fast.txt", tmp_path / "small.txt"
    fast.write_text("times as fast, 50 steps: 4.03 (goal: at least 5): FAILS\n17 times: a note\n")
    small.write_text("memory: 1 (goal: at most 1.05): holds\n")
    assert goal_table(fast, small).reset_index().to_numpy().tolist() == [
        ["times as fast, 50 steps", "4.03", "at least 5", "missed"],
        ["memory", "1", "at most 1.05", "met"],
    ]


def test_a_file_without_goals_gives_an_empty_table(tmp_path):
    (tmp_path / "verdicts.txt").write_text("a note\n")
    table = goal_table(tmp_path / "verdicts.txt")
    assert table.empty and list(table.columns) == ["measured", "goal", "verdict"]


def test_a_goal_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "verdicts.txt"
    path.write_text("memory: 1 (goal: about 1): holds\n")
    with pytest.raises(ValueError, match=re.escape(f"{path}: this is not a goal with its verdict")):
        goal_table(path)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.parent.name)
def test_recorded_goals_agree_with_their_numbers(path):
    table = goal_table(path)
    assert len(table) >= 1
    for row in table.itertuples():
        measured, (side, bound) = float(row.measured), row.goal.rsplit(" ", 1)
        met = measured >= float(bound) if side == "at least" else measured <= float(bound)
        assert row.verdict == ("met" if met else "missed")
