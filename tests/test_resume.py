"""An interrupted search goes on where it was, and comes to the result of one that was not."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from gaussian import Gaussian
from helpers import FakeModel, fake_shade, negative_space, shade

import dpodiff
from dpodiff import DNO, EPO, Budget, Objective, Space, Trace, search
from dpodiff.gradients import Full
from dpodiff.models.black_box import BlackBox
from dpodiff.objective import Diagnosis
from dpodiff.solvers import GPO, HPO, PEZ, Joint, ReNO, Rung, Screening, ZeroOrder
from dpodiff.solvers.best_of_n import search_noise
from dpodiff.spaces.space import Slot

KILLING = Path(__file__).with_name("killed_search.py")
WORDS = negative_space(9, 9, 9)
SETTINGS = {
    "loss": shade,
    "space": WORDS,
    "budget": 20,
    "seeds": 2,
    "verify": 8,
    "batch_size": 3,
    "progress": False,
}
SIDES = Space(
    "left left",
    (Slot("left", ("left", "", "right"), start=0), Slot("left", ("left", "", "right"), start=5)),
)
SMALL = {"population": 4, "parents": 2, "mutations": 2, "crossovers": 1}


def improve(path, model=None, **settings):
    """A search of 12 candidates, and a verification on 8 fresh seeds, in batches of 3 images."""
    model = model or FakeModel()
    return dpodiff.improve("a red ball", model=model, trace=path, **SETTINGS | settings)


class Counting(Gaussian):
    """Counts the batches that it makes."""

    def __init__(self):
        super().__init__()
        self.batches = 0

    def decode(self, latents):
        self.batches += 1
        return super().decode(latents)


def distance(images, prompts):
    """From images of the clean latent 3."""
    return ((images - 0.8) / 0.1).square().mean(dim=(1, 2, 3))


def dno(goal, **settings):
    return DNO(goal.space, goal.noise(), lr=0.1, estimator=Full(), **settings)


SOLVERS = {
    "gpo": lambda goal: GPO(SIDES, steps=8, batch=2),
    "hpo": lambda goal: HPO(SIDES, steps=8, **SMALL),
    "pez": lambda goal: PEZ(SIDES, steps=8, patience=2),
    "screened": lambda goal: Screening(EPO(SIDES, **SMALL), [Rung(step=3, seeds=1, best_of=2)]),
    "raced": lambda goal: Screening(EPO(SIDES, **SMALL), [Rung(seeds=1, best_of=2)]),
    "dno": lambda goal: dno(goal, gamma=0.1),
    "reno": lambda goal: ReNO(SIDES, goal.noise(), lr=0.1, every=2),
    "zero-order": lambda goal: ZeroOrder(SIDES, goal.noise(), neighbors=2),
    "joint": lambda goal: Joint(GPO(SIDES, steps=8), dno(goal), prompts=2, steps=2),
}


def run(kind, path, model=None, budget=9, **settings):
    goal = Objective(model or Counting(), distance, SIDES, (0, 1), batch_size=3)
    how = {"trace": Trace(path, **settings), "progress": False}
    if kind == "best of n":
        return search_noise(goal, Budget(budget), **how)
    return search(SOLVERS[kind](goal), goal, Budget(budget), **how)


def told(result):
    """What a result says, without times and memory."""
    return {
        "candidate": result.candidate,
        "losses": result.losses,
        "found": result.found.losses,
        "noise": None if result.noise is None else result.noise.tolist(),
        "status": result.status,
        "verdict": result.verdict,
        "cost": dataclasses.asdict(result.cost) | {"seconds": 0, "peak_memory": 0},
        "records": [dataclasses.replace(one, seconds=0.0) for one in result.trace.records],
        "steps": [step | {"seconds": 0} for step in result.trace.steps],
    }


def lines_of(path):
    return path.read_bytes().splitlines(keepends=True)


def answers(lines):
    return sum(b'"answer"' in line for line in lines)


def interrupting(error, after):
    """A loss that raises once, in its batch number `after`."""
    batches = []

    def loss(images, prompts):
        batches.append(images)
        if len(batches) == after + 1:
            raise error
        return shade(images, prompts)

    loss.__qualname__ = "shade"
    return loss


def test_from_any_line_a_search_comes_to_the_same_result(tmp_path):
    path, model = tmp_path / "trace.jsonl", FakeModel()
    expected, whole = told(improve(path, model)), lines_of(path)
    for count in range(len(whole)):
        path.write_bytes(b"".join(whole[:count]))
        again = FakeModel()
        assert told(improve(path, again)) == expected, count
        assert again.batches == model.batches[answers(whole[:count]) :]
        assert Trace.load(path).verdict == expected["verdict"]
        assert told(improve(path, again)) == expected
        assert len(again.batches) == len(model.batches) - answers(whole[:count])


@pytest.mark.parametrize("kind", [*SOLVERS, "best of n"])
def test_from_any_line_other_solvers_do_so_too(tmp_path, kind):
    path, model = tmp_path / "trace.jsonl", Counting()
    expected, whole = told(run(kind, path, model)), lines_of(path)
    tensors = tmp_path / "trace.jsonl.tensors"
    shutil.copytree(tensors, tmp_path / "kept") if tensors.exists() else None
    for count in range(2, len(whole), 3):
        path.write_bytes(b"".join(whole[:count]))
        again = Counting()
        assert told(run(kind, path, again)) == expected, count
        assert again.batches < model.batches
        if tensors.exists():
            shutil.rmtree(tensors)
            shutil.copytree(tmp_path / "kept", tensors)


def test_a_finished_search_gives_its_result_again_without_an_image(tmp_path):
    path = tmp_path / "trace.jsonl"
    expected, whole = told(improve(path)), path.read_bytes()
    model = FakeModel()
    again = improve(path, model)
    assert told(again) == expected
    assert not model.batches
    assert path.read_bytes() == whole
    assert again.images.shape[0] == 2
    assert model.batches  # made once they are looked at


def test_a_line_that_is_cut_short_is_dropped_with_a_warning(tmp_path):
    path = tmp_path / "trace.jsonl"
    expected, whole = told(improve(path)), path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match="last line is cut short"):
        assert told(improve(path)) == expected
    path.write_bytes(whole[:10])  # of the stamp
    assert told(improve(path)) == expected
    path.write_bytes(whole[:-1])  # only its line break is missing
    assert told(improve(path)) == expected
    assert Trace.load(path).verdict == expected["verdict"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"solver": "random"}, "solver.name is 'epo' there and 'random' here"),
        ({"seeds": 3}, "seeds.2 is None there and 2 here"),
        ({"seed": 1}, "solver.seed is 0 there and 1 here"),
        ({"loss": "white"}, "loss is 'shade' there and 'white' here"),
        ({"verify": 6}, "verify is 8 there and 6 here"),
        ({"second_loss": "white"}, "second_losses.white is None there and 'white' here"),
        ({"task": "attack"}, "task is 'improve' there and 'attack' here"),
        ({"space": negative_space(9, 9, 8)}, "space.slots.2"),
        ({"budget": 19}, "budget.evaluations is 12 there and 11 here"),
        ({"budget": 21}, "budget.evaluations is 12 there and 13 here"),
    ],
)
def test_other_settings_are_refused_with_what_differs(tmp_path, settings, message):
    path = tmp_path / "trace.jsonl"
    improve(path)
    whole, model = path.read_bytes(), FakeModel()
    with pytest.raises(ValueError, match=f"search of other settings: .*{message}"):
        improve(path, model, **settings)
    assert path.read_bytes() == whole
    assert not model.batches
    result = improve(path, model, overwrite=True, **settings)
    assert Trace.load(path).records == result.trace.records


def test_a_larger_budget_goes_on_until_the_fresh_seeds_were_seen(tmp_path):
    path, settings = tmp_path / "trace.jsonl", {"verify": 0}
    improve(path, budget=7, **settings)
    model = FakeModel()
    result = improve(path, model, budget=15, **settings)
    assert told(result) == told(improve(None, budget=15, **settings))
    assert sum(model.batches) == 2 * 8
    with pytest.raises(ValueError, match="budget.evaluations is 15 there and 7 here"):
        improve(path, budget=7, **settings)
    assert told(improve(path, budget=15, **settings)) == told(result)


def test_a_larger_budget_may_pay_for_more_fresh_seeds(tmp_path):
    path = tmp_path / "trace.jsonl"
    improve(path, budget=12, loss=interrupting(KeyboardInterrupt(), 3))
    result = improve(path)
    assert len(result.verification.seeds) == 8
    assert told(improve(path)) == told(result)
    assert told(result)["records"][-1].losses == improve(None).trace.records[-1].losses
    with pytest.raises(ValueError, match="budget.evaluations is 12 there and 13 here"):
        improve(path, budget=21)


def test_the_clock_may_be_set_anew(tmp_path):
    path = tmp_path / "trace.jsonl"
    first = improve(path, seconds=1e-9)
    assert (first.status, len(first.trace.records)) == ("seconds", 1)
    assert improve(path, seconds=1e-9).status == "seconds"
    result = improve(path)
    assert told(result) == told(improve(None))
    assert told(improve(path, seconds=1e-9)) == told(result)  # it is over, whatever the clock


def test_the_batch_size_may_be_set_anew(tmp_path):
    path = tmp_path / "trace.jsonl"
    improve(path, loss=interrupting(KeyboardInterrupt(), 3))
    model, expected = FakeModel(), improve(None)
    result = improve(path, model, batch_size=2)
    assert (result.candidate, result.losses) == (expected.candidate, expected.losses)
    assert result.cost.images == expected.cost.images
    assert set(model.batches) == {2}


@pytest.mark.parametrize("after", [1, 5, 10])  # batches, of which the last are of the verification
@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), "stopped"), (ConnectionError("lost"), "failed")]
)
@pytest.mark.filterwarnings("ignore:the (search|verification) failed")
def test_a_search_that_was_stopped_or_failed_goes_on(tmp_path, error, status, after):
    path = tmp_path / "trace.jsonl"
    first = improve(path, loss=interrupting(error, after))
    assert first.status == Trace.load(path).status == status
    assert Trace.load(path).verdict == first.verdict
    model, undisturbed = FakeModel(), FakeModel()
    assert told(improve(path, model)) == told(improve(None, undisturbed))
    assert model.batches == undisturbed.batches[after:]
    assert Trace.load(path).status == "budget"


def test_another_question_than_the_recorded_one_is_an_error_that_loses_nothing(tmp_path):
    path = tmp_path / "trace.jsonl"
    improve(path)
    whole = path.read_bytes()
    answer = next(line for line in lines_of(path)[4:] if b'"answer"' in line)
    number = lines_of(path).index(answer) + 1
    path.write_bytes(whole.replace(answer[20:60], answer[20:50] + b"0123456789"))
    changed = path.read_bytes()
    with pytest.raises(ValueError, match=f"line {number}: the search is at the question 'losses'"):
        improve(path)
    assert path.read_bytes() == changed


def test_gradients_of_noise_that_are_gone_are_named(tmp_path):
    path = tmp_path / "trace.jsonl"
    run("dno", path)
    shutil.rmtree(tmp_path / "trace.jsonl.tensors")
    with pytest.raises(ValueError, match=r"trace.jsonl.tensors/\d+.safetensors cannot be read"):
        run("dno", path)
    run("dno", path, overwrite=True)
    assert told(run("dno", path)) == told(run("dno", None))


def test_a_trace_has_one_writer(tmp_path):
    path, model = tmp_path / "trace.jsonl", FakeModel()

    def callback(record):
        with pytest.raises(BlockingIOError, match="another search is writing .*trace.jsonl"):
            improve(path, model)

    expected = told(improve(None, budget=3, verify=0))
    assert told(improve(path, budget=3, verify=0, callback=callback)) == expected
    assert not model.batches


def test_without_locks_a_search_goes_on_too(tmp_path, monkeypatch):
    monkeypatch.setattr("dpodiff.results.locks.fcntl", None)
    path = tmp_path / "trace.jsonl"
    improve(path, loss=interrupting(KeyboardInterrupt(), 3))
    assert told(improve(path)) == told(improve(None))


def test_a_diagnosis_is_read_back_without_its_images(tmp_path):
    class NoContrast:
        def margins(self, images, prompt):
            return pd.DataFrame({"contrast": [], "margin": []})

    def diagnosed(path):
        goal = Objective(FakeModel(), shade, WORDS, (0, 1))
        first = Diagnosis(goal, NoContrast(), lambda prompt: [])
        solver = EPO(WORDS, first=first, **SMALL)
        return search(solver, goal, Budget(6), trace=Trace(path), progress=False)

    path = tmp_path / "trace.jsonl"
    result, again = diagnosed(path), diagnosed(path)
    assert '"kind": "first"' in path.read_text()
    assert told(again) == told(result)
    assert not again.objective.model.batches


def test_keys_are_not_in_a_trace(tmp_path):
    path, key = tmp_path / "trace.jsonl", "sk-nobody-may-see-me"

    @dataclasses.dataclass
    class Score:
        api_key: str

        def __call__(self, images, prompts):
            return shade(images, prompts)

    @dataclasses.dataclass
    class Painter(Score):
        def __call__(self, *job):
            return torch.full((3, 2, 2), fake_shade(*job))

    improve(path, BlackBox(Painter(key)), loss=Score(key), second_loss=Score(key))
    text = path.read_text()
    assert key not in text
    assert '"loss": "test_keys_are_not_in_a_trace.<locals>.Score"' in text


def test_a_stamp_says_what_is_needed_to_repeat_the_search(tmp_path):
    improve(tmp_path / "trace.jsonl")
    known = Trace.load(tmp_path / "trace.jsonl").stamp.parameters
    assert (known["prompt"], known["negative_prompt"], known["verify"]) == ("a red ball", "", 8)
    assert (known["model"], known["steps"], known["guidance"]) == ("fake", 5, 7.5)
    assert known["solver"]["first"] == []


def test_a_killed_process_loses_a_batch_or_a_step_at_most(tmp_path):
    """By kill -9, between lines, within a line and while images are made."""
    command = [sys.executable, KILLING, tmp_path, "7", "improve", "align"]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    told = list(map(json.loads, child.stdout.splitlines()))
    assert [job["what"] for job in told] == ["improve", "align"]
    for job in told:
        assert (job["finished"], job["equal answers"]) == (7, 7)
        assert job["pieces lost"] <= 1
