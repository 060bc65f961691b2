"""Sweeps: which prompts are meant, what is kept, what is refused, and what the table says."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from helpers import FakeModel, negative_space

import dpodiff
from dpodiff.sweeps import read_table, run_jobs, summary
from dpodiff.sweeps.log import new_file
from dpodiff.sweeps.prompts import items
from dpodiff.sweeps.settings import described
from dpodiff.toy.digests import weights_digest

PROMPTS = ["a red ball", "a blue car", "a green cup", "a white boat", "a black cat"]


def paint(prompt, negative_prompt, seed):
    """A gray image whose shade depends on all three."""
    if prompt.startswith("a broken"):
        raise ConnectionError("the lamp is broken")
    shade = sum(map(ord, prompt + negative_prompt)) * 7 + seed * 13
    return np.full((4, 4, 3), shade % 101 / 100)


SETTINGS = {
    "model": dpodiff.BlackBox(paint, name="paint"),
    "loss": "white",
    "space": "nplib",
    "budget": 20,
    "seeds": 2,
    "verify": 8,
    "progress": False,
}


@pytest.fixture
def sweep(tmp_path):
    """Sweeps a folder with a model of gray images."""
    return partial(dpodiff.sweep, out=tmp_path / "run", **SETTINGS)


def ids_of(*arguments):
    return [item.id for item in items(*arguments)]


@pytest.mark.parametrize(
    ("ids", "found"),
    [("0,3-4", [0, 3, 4]), (" 2 , 0-1", [2, 0, 1]), ("1,1,0-1", [1, 0]), ([4, 2], [4, 2])],
)
def test_ids_choose_prompts_by_number_and_range(ids, found):
    assert ids_of(PROMPTS, "improve", ids) == found


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ("0,9", "there is no prompt 9; they are 0, 1, 2, 3, 4"),
        ("3-", "'3-' is not an id; write numbers and ranges, 0,3-5"),
        ("4-2", "write 2-4"),
        ("0-99999999999", "longer than the 5 prompts"),
        ("", "'' is not an id"),
        ([7], "there is no prompt 7"),
    ],
)
def test_ids_that_are_none_are_refused(ids, message):
    with pytest.raises(ValueError, match=message):
        items(PROMPTS, "improve", ids)


def test_prompts_have_the_ids_that_are_given_or_their_places():
    space = negative_space(3, prompt="a red ball")
    assert ids_of({"x": "a red ball", "y": "a cup"}, "improve", "y") == ["y"]
    assert ids_of({7: "a red ball", 9: "a cup"}, "improve", "9") == [9]
    assert ids_of({"a red ball": None, "a cup": 0.3}, "improve", None) == [0, 1]
    assert ids_of({"a red ball": space}, "improve", None) == [0]
    assert ids_of([space, "a cup"], "improve", None) == [0, 1]
    assert ids_of({"mine": space, 3: "a cup"}, "improve", None) == ["mine", "3"]


def test_files_of_prompts_and_of_spaces_are_read(tmp_path):
    (tmp_path / "list.txt").write_text("a red ball\n\na cup\n")
    (tmp_path / "losses.json").write_text('{"a red ball": 0.5, "a cup": 0.4}')
    words = '"synonym": {"ball": ["orb"]}, "antonym": {"red": ["blue"]}'
    (tmp_path / "spaces.json").write_text(f'{{"a red ball": {{{words}}}}}')
    for name in ("list.txt", "losses.json"):
        found = items(tmp_path / name, "improve", None)
        assert [item.prompt for item in found] == ["a red ball", "a cup"]
    sides = {
        task: [
            slot.side for slot in items(str(tmp_path / "spaces.json"), task, None)[0].space.slots
        ]
        for task in ("improve", "attack")
    }
    assert sides == {"improve": ["positive", "negative"], "attack": ["positive"]}
    with pytest.raises(FileNotFoundError, match="for one prompt give a list"):
        items("a red ball", "improve", None)


def test_every_prompt_is_searched_with_every_solver_and_seed(sweep, tmp_path):
    table = sweep(PROMPTS[:2], solver=["epo", "random"], seed=range(2))
    assert list(zip(table["prompt_id"], table["solver"], table["seed"])) == [
        (prompt, solver, seed)
        for prompt in (0, 1)
        for solver in ("epo", "random")
        for seed in (0, 1)
    ]
    result = dpodiff.improve(PROMPTS[1], solver="random", seed=1, **SETTINGS)
    row = table.iloc[-1]
    comparison = result.verification.comparisons[0]
    assert row["verdict"] == result.verdict
    assert bool(row["accepted"]) == result.verification.accepted
    assert (row["loss_before"], row["loss_after"]) == (comparison.before, comparison.after)
    assert (row["change"], row["low"], row["high"]) == tuple(comparison.changes["loss"])
    assert (row["returned_prompt"], row["returned_negative_prompt"]) == result.prompts[:2]
    assert row["found_negative_prompt"] == result.found.prompts.negative
    assert (row["evaluations"], row["images"]) == (result.cost.spent, result.cost.images)
    traces = sorted(path.name for path in (tmp_path / "run" / "traces").iterdir())
    assert traces[:2] == ["0-epo-0.jsonl", "0-epo-1.jsonl"] and len(traces) == 8
    assert pd.read_parquet(tmp_path / "run" / "table.parquet")["change"].equals(table["change"])


def test_a_job_that_has_ended_is_never_run_again(sweep, tmp_path):
    first = sweep(PROMPTS[:2])
    (log,) = (tmp_path / "run").glob("jobs-*.jsonl")
    before = log.read_bytes()
    second = sweep(PROMPTS[:3])
    assert second.iloc[:2].equals(first)
    assert log.read_bytes() == before
    (other,) = set((tmp_path / "run").glob("jobs-*.jsonl")) - {log}
    assert len(other.read_text().splitlines()) == 2  # a stamp and the new job


def test_a_last_line_that_is_cut_is_run_again(sweep, tmp_path):
    whole = sweep(PROMPTS[:2]).drop(columns="seconds")
    (log,) = (tmp_path / "run").glob("jobs-*.jsonl")
    text = log.read_text()
    for length in (len(text) - 1, len(text) - 200, text.index("\n") - 5, 0):
        log.write_text(text[:length])
        assert sweep(PROMPTS[:2]).drop(columns="seconds").equals(whole)
        for other in set((tmp_path / "run").glob("jobs-*.jsonl")) - {log}:
            other.unlink()
    log.write_text(text[:-200] + "\n")
    with pytest.raises(ValueError, match="jobs-.*jsonl, line 3: not JSON"):
        sweep(PROMPTS[:2])


def test_files_of_several_machines_make_one_table(sweep, tmp_path):
    whole = sweep(PROMPTS[:4], out=tmp_path / "whole").drop(columns="seconds")
    for name, ids in (("run", "0-1"), ("there", "1-3")):
        sweep(PROMPTS, ids=ids, out=tmp_path / name)
    (log,) = (tmp_path / "there").glob("jobs-*.jsonl")
    log.rename(tmp_path / "run" / "jobs-elsewhere-1.jsonl")
    assert read_table(tmp_path / "run").drop(columns="seconds").equals(whole)


def test_other_settings_are_refused_by_name_and_replaced_on_request(sweep, tmp_path):
    sweep(PROMPTS[:1])
    with pytest.raises(ValueError, match=r"was started with budget=20, not 24: .*overwrite=True"):
        sweep(PROMPTS[:1], budget=24)
    with pytest.raises(ValueError, match="prompt 0 was 'a red ball', not 'a cup'"):
        sweep(["a cup"])
    with pytest.raises(ValueError, match="prompt 0 had another space"):
        sweep([negative_space(3, prompt=PROMPTS[0])])
    assert len(sweep(["a cup"], budget=24, overwrite=True)) == 1
    assert read_table(tmp_path / "run")["prompt"].tolist() == ["a cup"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"solver": "eop"}, "did you mean 'epo'"),
        ({"solver": ["epo", "dno"]}, "searches the noise"),
        ({"solver": []}, "solver is empty"),
        ({"solver": [partial(dpodiff.EPO), partial(dpodiff.EPO)]}, "two solvers have one name"),
        ({"seed": [0, -1]}, "seed must be at least 0"),
        ({"budget": 0}, "budget"),
        ({"task": "harm"}, "unknown task 'harm'"),
        ({"on": "mars"}, "on must be one of here, processes, ray"),
        ({"workers": 2}, "2 workers need on='processes'"),
        ({"gpus": 1}, "those of on='ray'"),
        ({"prompts": [PROMPTS[0], " "]}, "prompt is empty"),
        ({"prompts": []}, "no prompt to sweep over"),
        ({"prompts": [PROMPTS[0], 7]}, "must be a string or a Space, not 7"),
        ({"prompts": [PROMPTS[0], "unspeakable"], "model": FakeModel()}, "unknown word"),
        ({"space": negative_space(3, prompt=PROMPTS[0])}, "a Space of each prompt is given as"),
    ],
)
def test_bad_input_is_refused_before_the_first_job(sweep, tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        sweep(**{"prompts": PROMPTS[:1]} | wrong)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("budgt", "did you mean 'budget'"),
        ("solvers", "did you mean 'solver'"),
        ("callback", "a sweep has none"),
        ("similarity", "dpodiff.attack"),
    ],
)
def test_an_unknown_setting_is_told_the_right_one(sweep, name, message):
    with pytest.raises(TypeError, match=message):
        sweep(PROMPTS, **{name: 3})


@pytest.mark.filterwarnings("ignore:the search failed:UserWarning")
def test_a_job_that_fails_is_a_row_of_its_own_and_is_run_again_later(sweep, tmp_path):
    table = sweep(["a red ball", "a broken lamp", "a cup"], retries=2)
    assert table["status"].tolist() == ["budget", "failed", "budget"]
    assert "the lamp is broken" in table["error"][1]
    (log,) = (tmp_path / "run").glob("jobs-*.jsonl")
    lines = [json.loads(line) for line in log.read_text().splitlines()[1:]]
    (failed,) = [line for line in lines if line["error"]]
    assert failed["attempts"] == 3 and "Traceback" in failed["traceback"]
    (line,) = summary(table)
    assert (line.jobs, line.failed, line.prompts) == (3, 1, 2)
    sweep(["a red ball", "a broken lamp", "a cup"], retries=0)
    logs = (tmp_path / "run").glob("jobs-*.jsonl")
    assert sum(path.read_text().count("\n") for path in logs) == 4 + 2


def test_an_interrupt_ends_the_sweep_and_keeps_what_is_done(sweep, tmp_path, monkeypatch):
    def interrupted(prompt, negative_prompt, seed):
        if prompt == PROMPTS[1] and negative_prompt:
            raise KeyboardInterrupt
        return paint(prompt, negative_prompt, seed)

    monkeypatch.setattr(SETTINGS["model"], "_generate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweep(PROMPTS[:3])
    assert read_table(tmp_path / "run")["prompt"].tolist() == PROMPTS[:1]
    monkeypatch.undo()
    assert sweep(PROMPTS[:3])["status"].tolist() == ["budget"] * 3


def test_spaces_are_searched_as_they_are_given(sweep):
    space = negative_space(3, 3, prompt=PROMPTS[0])
    table = sweep({"mine": space}, verify=0)
    words = {choice for slot in space.slots for choice in slot.choices}
    assert set(table["found_negative_prompt"][0].split(", ")) <= words
    assert table["prompt_id"].tolist() == ["mine"]


def test_a_second_sweep_of_a_folder_is_refused(sweep, tmp_path):
    from dpodiff.sweeps.folders import locked

    with locked(tmp_path / "run"), pytest.raises(RuntimeError, match="another process is writing"):
        sweep(PROMPTS[:1])


def test_processes_find_what_this_process_finds(sweep, tmp_path):
    here = sweep(PROMPTS[:2]).drop(columns="seconds")
    there = sweep(PROMPTS[:2], out=tmp_path / "there", on="processes", workers=1)
    assert there.drop(columns="seconds").equals(here)


def test_the_summary_is_the_paired_interval_over_prompts():
    rows = [
        {"prompt_id": k // 2, "prompt": str(k // 2), "solver": "epo", "status": "budget"}
        | {"change": float(k), "accepted": k < 2}
        for k in range(8)
    ]
    (found,) = summary(pd.DataFrame(rows).astype({"accepted": "boolean"}))
    assert (found.verified, found.accepted, found.prompts, found.fresh) == (8, 2, 4, True)
    assert found.change == dpodiff.paired_bootstrap([0.5, 2.5, 4.5, 6.5])
    assert "over 4 prompts (too few for a claim), on fresh seeds" in str(found)


def test_a_process_never_writes_to_a_file_that_is_there(tmp_path):
    assert len({new_file(tmp_path) for _ in range(3)}) == 3


def test_equal_jobs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two of the jobs are equal"):
        run_jobs(divmod, [(7, 2), (7, 2)], tmp_path)


def test_the_stamp_of_a_toy_model_has_its_own_weights_and_what_scores_them():
    stamps = {name: described("improve", {"model": name}) for name in ("toy", "toy-small", "sdxl")}
    assert stamps["toy"]["weights"] == weights_digest("toy")
    assert stamps["toy-small"]["small weights"] == weights_digest("toy-small")
    assert "scorers" in stamps["toy-small"]
    assert "weights" not in stamps["toy-small"]
    assert stamps["sdxl"] == {"task": "improve", "model": "sdxl"}
