import json
import math

import pytest
from helpers import FakeModel, negative_space, shade

from dpodiff import Budget, Cost, Objective, RandomSearch, Record, Stamp, Trace, search


def record(index=0, losses=(0.5, 0.25), value=0.375, **changes):
    values = {
        "index": index,
        "candidate": (0, index),
        "positive": "a “red”\u2028 ball",
        "negative": "",
        "losses": losses,
        "value": value,
        "best": value,
        "evaluations": index + 1,
        "spent": index + 1.0,
        "images": 2 * (index + 1),
        "denoiser_forwards": 20,
        "seconds": 0.5,
        "solver": "random",
    }
    return Record(**values | changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs" / "trace.jsonl"


@pytest.fixture
def trace(path):
    """A finished trace of two records in a file."""
    trace = Trace(path)
    trace.open(Stamp.collect({"budget": 2}))
    trace.append(record(0))
    trace.append(record(1))
    trace.finish("budget", 1.5, Cost(evaluations=2))
    return trace


def test_round_trip(trace, path):
    loaded = Trace.load(path)
    assert loaded.records == trace.records
    assert loaded.stamp == trace.stamp
    assert loaded.stamp.seconds == 1.5
    assert (loaded.status, loaded.cost) == ("budget", trace.cost)


def test_lines_are_written_at_once(path):
    trace = Trace(path)
    trace.open(Stamp.collect({}))
    trace.append(record(0))
    assert len(path.read_text().splitlines()) == 2
    assert Trace.load(path).status is None


def test_lines_are_strict_json_even_without_finite_losses(path):
    trace = Trace(path)
    trace.open(Stamp.collect({"threshold": math.inf}))
    trace.append(record(0, losses=(math.nan, math.inf), value=math.inf))
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    (loaded,) = Trace.load(path).records
    assert all(map(math.isnan, loaded.losses))
    assert loaded.value == loaded.best == math.inf


def test_a_last_line_cut_short_is_left_out_with_a_warning(trace, path):
    path.write_text(path.read_text().rsplit("\n", 2)[0][:-20])
    with pytest.warns(UserWarning, match="cut short"):
        loaded = Trace.load(path)
    assert loaded.records == trace.records[:1]


def test_other_bad_lines_are_named(trace, path):
    lines = path.read_text().splitlines()
    for bad, message in (("{", "line 2: not JSON"), ('{"index": 0}', "line 2"), ("[]", "line 2")):
        path.write_text("\n".join([lines[0], bad, *lines[2:]]))
        with pytest.raises(ValueError, match=message):
            Trace.load(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda whole: whole + whole, "line 5: a second stamp: two traces in one file"),
        (lambda whole: whole[whole.index(b"\n") + 1 :], "line 1: a trace begins with its stamp"),
        (lambda whole: b"", "line 1: a trace begins with its stamp"),
        (lambda whole: whole.replace(b"random", b"r\xffndom"), "line 2: not JSON"),
        (lambda whole: b"[" * 100_000 + b"\n" + whole, "line 1: not JSON"),
    ],
)
def test_what_is_no_trace_is_one_clear_error(trace, path, damage, message):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        Trace.load(path)


def test_a_trace_holds_one_search(trace):
    with pytest.raises(ValueError, match="own trace"):
        trace.open(Stamp.collect({}))


def test_a_new_search_replaces_the_file_on_request_once_it_has_something_to_write(trace, path):
    new = Trace(path, overwrite=True)
    new.open(Stamp.collect({}))
    assert len(Trace.load(path).records) == 2
    new.append(record(0))
    assert len(Trace.load(path).records) == 1


def test_frame(trace):
    trace.append(record(2, losses=(), value=math.inf))
    frame = trace.frame()
    assert frame["loss"].tolist()[:2] == [0.375, 0.375]
    assert math.isnan(frame["loss"][2])
    assert frame["candidate"][1] == (0, 1)
    assert Trace().frame().empty


def test_stamp_says_where_numbers_come_from():
    stamp = Stamp.collect({"prompt": "a ball"}, device="cpu")
    assert stamp.parameters == {"prompt": "a ball"}
    assert {"python", "torch", "dpodiff"} <= stamp.versions.keys()
    assert stamp.commit
    assert "cpu" in stamp.device
    assert stamp.time.endswith("+00:00")


def test_stamp_without_git_says_unknown(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert Stamp.collect({}).commit == "unknown"


@pytest.fixture(scope="module")
def result():
    space = negative_space(5, 5)
    objective = Objective(FakeModel(), shade, space, (0, 1))
    return search(RandomSearch(space), objective, Budget(6), progress=False)


def test_result_shows_images_before_and_after(result):
    assert result.before.shape == result.images.shape == (2, 3, 2, 2)
    assert result.images.mean(dim=(1, 2, 3)).tolist() == pytest.approx(result.losses)
    assert result.before.mean(dim=(1, 2, 3)).tolist() == pytest.approx(result.baseline_losses)
    assert result.cost.images == result.objective.cost.images == 12


def test_result_prints_prompts_losses_and_cost(result):
    text = str(result)
    assert "a red ball" in text
    assert result.prompts.negative in text
    assert "6 evaluations, 12 images" in text


def test_a_record_says_the_guidance_and_older_files_have_none(path):
    trace = Trace(path)
    trace.open(Stamp.collect({}))
    trace.append(record(0))
    trace.append(record(1, guidance=7.5))
    assert [one.guidance for one in Trace.load(path).records] == [None, 7.5]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[2].pop("guidance") == 7.5
    path.write_text("\n".join(map(json.dumps, lines)))
    assert Trace.load(path).records == [record(0), record(1)]
