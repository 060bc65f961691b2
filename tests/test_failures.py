"""An error after the baseline ends a search as Ctrl-C does, with what was found so far."""

import gc
import json
import os
import traceback
import weakref

import pytest
import torch
from gaussian import Gaussian
from helpers import FakeModel, fake_shade, negative_space, shade

from dpodiff import DNO, Budget, Objective, RandomSearch, Space, Trace, search
from dpodiff.gradients import Full
from dpodiff.models.black_box import BlackBox

SPACE = negative_space(9, 9, 9)


def failing(error, after):
    """A loss that raises once `after` batches were judged."""
    batches = []

    def loss(images, prompts):
        batches.append(images)
        if len(batches) > after:
            raise error
        return shade(images, prompts)

    return loss


def run(model=None, loss=shade, budget=40, trace=None, **settings):
    objective = Objective(model or FakeModel(), loss, SPACE, (0, 1), batch_size=2)
    solver = RandomSearch(SPACE)
    return search(solver, objective, Budget(budget), progress=False, trace=trace, **settings)


def run_to_failure(message, **settings):
    with pytest.warns(UserWarning, match=f"the search failed after .* best so far: {message}"):
        return run(**settings)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("broken"),
        ValueError("broken"),
        MemoryError("broken"),
        torch.OutOfMemoryError("broken"),
    ],
)
def test_a_loss_that_raises_leaves_the_result_so_far(tmp_path, error):
    path = tmp_path / "trace.jsonl"
    name = type(error).__name__
    result = run_to_failure(f"{name}: broken", loss=failing(error, 9), trace=Trace(path))
    assert result.status == "failed"
    assert result.error is error
    assert result.cost.evaluations == len(result.trace.records) == 9
    assert sum(result.losses) == min(sum(r.losses) for r in result.trace.records)
    assert f"failed, {name}: broken" in str(result)
    loaded = Trace.load(path)
    assert (loaded.status, len(loaded.records)) == ("failed", 9)
    assert loaded.error.startswith(f"{name}: broken")
    assert loaded.cost == result.trace.cost


def test_a_service_that_fails_once_does_not_lose_its_images(tmp_path):
    asked = []

    def generate(prompt, negative_prompt, seed):
        asked.append(seed)
        if len(asked) == 20:
            raise ConnectionError("lost")
        return torch.full((3, 2, 2), fake_shade(prompt, negative_prompt, seed))

    path = tmp_path / "trace.jsonl"
    result = run_to_failure(".*lost", model=BlackBox(generate), trace=Trace(path))
    assert len(result.trace.records) == 9
    assert isinstance(result.error.__cause__, ConnectionError)
    assert "lost" in Trace.load(path).error


def test_a_callback_that_raises_leaves_the_result_so_far():
    def callback(record):
        if record.index == 3:
            raise KeyError("widget")

    assert len(run_to_failure("KeyError", callback=callback).trace.records) == 4


def test_a_search_of_noise_keeps_the_noise_it_had():
    def loss(images, prompts):
        asked.append(images)
        if len(asked) > 5:
            raise RuntimeError("broken")
        return images.mean(dim=(1, 2, 3))

    asked = []
    objective = Objective(Gaussian(), loss, Space("far"), [0, 1])
    solver = DNO(objective.space, objective.noise(), estimator=Full(), lr=0.1)
    with pytest.warns(UserWarning, match="broken"):
        result = search(solver, objective, Budget(40), progress=False)
    assert result.status == "failed"
    assert result.noise is not None
    assert sum(result.losses) < sum(result.baseline_losses)
    assert len(result.images) == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_a_full_disk_leaves_the_result_so_far(tmp_path):
    path = tmp_path / "trace.jsonl"

    def callback(record):
        if record.index == 3:
            path.rename(tmp_path / "written.jsonl")
            path.symlink_to("/dev/full")

    result = run_to_failure("OSError.*No space left", trace=Trace(path), callback=callback)
    assert result.status == result.trace.status == "failed"
    assert len(result.trace.records) == 4
    assert "No space left" in result.trace.error
    assert len(Trace.load(tmp_path / "written.jsonl").records) == 4


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_a_disk_that_is_full_at_the_end_loses_nothing(tmp_path):
    path = tmp_path / "trace.jsonl"

    def callback(record):
        if record.index == 3:
            path.unlink()
            path.symlink_to("/dev/full")

    result = run_to_failure("OSError", budget=4, trace=Trace(path), callback=callback)
    assert (result.status, len(result.trace.records)) == ("failed", 4)


def test_a_line_that_does_not_fit_is_not_written_in_part(tmp_path, monkeypatch):
    """Where a write is cut by a full disk, the next line that fits is a line of its own."""
    path = tmp_path / "trace.jsonl"
    trace = Trace(path)
    run(budget=2, trace=trace)
    whole = path.read_bytes()
    opened = type(path).open

    class Cut:
        """A file that takes ten bytes and then no more."""

        def __init__(self, file):
            self.file, self.left = file, 10

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, data):
            if not self.left:
                raise OSError(28, "No space left on device")
            written = self.file.write(data[: self.left])
            self.left -= written
            return written

    monkeypatch.setattr(type(path), "open", lambda *args, **how: Cut(opened(*args, **how)))
    with pytest.raises(OSError, match="No space left"):
        trace.note({"kind": "gradient"})
    assert path.read_bytes() == whole


def test_an_error_before_the_baseline_passes_through_and_leaves_an_older_trace(tmp_path):
    path = tmp_path / "trace.jsonl"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="broken"):
        run(loss=failing(RuntimeError("broken"), 0), trace=Trace(path, overwrite=True))
    assert path.read_text() == "old"


def test_an_error_does_not_hold_the_tensors_of_its_frames():
    alive = weakref.WeakSet()

    def loss(images, prompts):
        big = torch.ones(3)
        alive.add(big)
        if len(asked) == 4:
            raise RuntimeError("broken")
        asked.append(0)
        return shade(images, prompts)

    asked = []
    result = run_to_failure("RuntimeError", loss=loss)
    gc.collect()
    assert not alive
    lines = traceback.extract_tb(result.error.__traceback__)
    assert lines[-1].name == "loss"


def test_the_end_of_a_search_that_did_not_fail_names_no_error(tmp_path):
    path = tmp_path / "trace.jsonl"
    result = run(budget=2, trace=Trace(path))
    assert result.error is None
    assert "error" not in json.loads(path.read_text().splitlines()[-1])["end"]
    assert Trace.load(path).error is None
