"""Long runs are kept part by part, and go on where they stopped."""

import json
import os
import signal
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import FakeModel, negative_space, shade
from parts import marked, mistaken, squares

import dpodiff
from dpodiff import Budget, Objective, RandomSearch, search
from dpodiff.models.base import require_model

TESTS, BOOK = Path(__file__).parent, Path(__file__).parents[1] / "book"
WAIT = 120  # seconds until a test that would hang fails
KEYS = ("name", "number")
PARTS = [("a", 1), ("b", 2), ("b", 4)]


@pytest.fixture(scope="module")
def recording():
    """The recorder's module, which lies beside the book's scripts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BOOK)
        yield import_module("recording")


@pytest.fixture(scope="module")
def storing(recording):
    """The module of the recorder's files."""
    return import_module("storing")


@pytest.fixture
def recorded(recording, tmp_path):
    """Records parts; what the table and the stamp then say."""

    def recorded(parts, budget=4, run=squares, together=1):
        recording.record(tmp_path / "some", parts, KEYS, run, {"budget": budget}, 1, together)
        return read(tmp_path)

    return recorded


def read(folder):
    table = pd.read_csv(folder / "some" / "table.csv")
    return table, json.loads((folder / "some" / "stamp.json").read_text())


def test_every_part_is_kept_with_a_stamp(recorded, tmp_path):
    table, stamp = recorded(PARTS)
    assert sorted(table["square"]) == [1, 4, 16]
    assert len(pd.read_csv(tmp_path / "some" / "more.csv")) == 3
    assert stamp["parameters"]["budget"] == 4
    assert stamp["seconds"] > 0


def test_a_part_that_breaks_down_leaves_what_was_done_and_the_rest_is_made_later(
    recorded, tmp_path
):
    with pytest.raises(ValueError, match="part 3 breaks down"):
        recorded([*PARTS[:2], ("c", 3)])
    assert sorted(read(tmp_path)[0]["square"]) == [1, 4]
    table, _ = recorded(PARTS)
    assert sorted(table["square"]) == [1, 4, 16]


def test_parts_that_are_made_in_a_row_are_all_kept(recorded):
    table, _ = recorded(PARTS, together=2)
    assert list(table["square"]) == [1, 4, 16]


def test_after_a_breakdown_no_other_part_is_begun(recorded, tmp_path):
    later = [(str(tmp_path), number) for number in range(10, 90)]
    with pytest.raises(ValueError, match="part 3 breaks down"):
        recorded([(str(tmp_path), 3), *later], run=marked)
    assert len(list(tmp_path.glob("*.begun"))) < 10


def test_a_record_of_other_settings_is_not_gone_on_with(recorded):
    recorded(PARTS[:1])
    with pytest.raises(ValueError, match="some was started with budget=4, not 5: remove it"):
        recorded(PARTS, budget=5)


def test_the_stamp_names_all_that_a_record_was_made_with(recorded, tmp_path):
    _, stamp = recorded(PARTS[:1])
    now = stamp["commit"], stamp["device"]
    stamp |= {"commit": "an older one", "versions": stamp["versions"] | {"torch": "1.0"}}
    (tmp_path / "some" / "stamp.json").write_text(json.dumps(stamp))
    _, joined = recorded(PARTS)
    assert joined["commit"] == f"an older one; {now[0]}"
    assert joined["device"] == now[1]
    assert joined["versions"]["torch"].startswith("1.0; ")
    assert "; " not in joined["versions"]["numpy"]


def test_a_kill_at_any_moment_of_the_writing_changes_nothing_in_the_end(tmp_path):
    command = [sys.executable, TESTS / "killed_recorder.py", tmp_path]
    done = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert done["wrong"] == []
    assert done["kills"] > 50
    assert done["files"] == ["curves.csv", "stamp.json", "table.csv"]


@pytest.fixture
def store_of(storing, tmp_path):
    """Adds the parts that are missing to a record without any process; its folder."""

    def store_of(parts=PARTS):
        with storing.opened(tmp_path / "some", KEYS, PARTS, {"budget": 4}) as store:
            made.append([part for part in parts if not store.has(part)])
            if made[-1]:
                store.add({part: squares(*part) for part in made[-1]}, 1.0)
        return tmp_path / "some"

    made = store_of.made = []
    return store_of


@pytest.mark.parametrize(
    ("file", "damage", "again"),
    [
        ("table.csv", lambda text: text[:-1], PARTS[2:]),
        ("table.csv", lambda text: text[:-5], PARTS[1:]),
        ("more.csv", lambda text: text[:-3], PARTS[1:]),
        ("more.csv", lambda text: text.replace("b,4\n", ""), PARTS[2:]),
        ("table.csv", lambda text: text.replace("b,2,4\nb", "b,2b"), PARTS[:2]),
    ],
    ids=["cut at the end", "cut row", "cut row of another table", "missing", "gone on after a cut"],
)
def test_parts_that_are_not_whole_are_made_again_with_a_warning(store_of, file, damage, again):
    folder = store_of()
    whole = {name: (folder / name).read_text() for name in ("table.csv", "more.csv")}
    assert damage(whole[file]) != whole[file]
    (folder / file).write_text(damage(whole[file]))
    with pytest.warns(UserWarning, match="not whole and will be made again"):
        store_of()
    assert set(again) <= set(store_of.made[-1])
    assert {name: (folder / name).read_text() for name in whole} == whole
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store_of()
    assert store_of.made[-1] == []


def test_a_table_keeps_the_order_of_the_parts_and_what_was_recorded_before(store_of, storing):
    folder = store_of(PARTS[::-1])
    assert list(pd.read_csv(folder / "table.csv")["square"]) == [1, 4, 16]
    with storing.opened(folder, KEYS, [("c", 5)], {"budget": 4}) as store:
        store.add({("c", 5): squares("c", 5)}, 2.0)
    assert list(pd.read_csv(folder / "table.csv")["square"]) == [1, 4, 16, 25]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "stamp.json").unlink(), "no stamp.json, so its settings"),
        (lambda folder: (folder / "stamp.json").write_text(""), "stamp.json is damaged"),
        (lambda folder: (folder / "table.csv").write_text("a,b\n"), "has no column name, number"),
    ],
)
def test_a_record_that_is_none_is_refused(store_of, damage, message):
    folder = store_of()
    damage(folder)
    with pytest.raises(ValueError, match=message):
        store_of()


def test_rows_of_another_part_are_refused(recorded, tmp_path):
    with pytest.raises(ValueError, match=r"the rows of the part \('a', 1\) say they are of .*'2'"):
        recorded(PARTS, run=mistaken)
    assert not (tmp_path / "some" / "table.csv").exists()


def test_a_second_recorder_of_a_folder_is_refused(recorded, storing, tmp_path):
    with (
        storing.opened(tmp_path / "some", KEYS, PARTS, {"budget": 4}),
        pytest.raises(RuntimeError, match="another process is writing .*some"),
    ):
        recorded(PARTS)
    assert len(recorded(PARTS)[0]) == 3


def test_no_worker_outlives_a_recorder_that_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path[:0] = [{str(BOOK)!r}, {str(TESTS)!r}]\n"
        "from pathlib import Path\nimport parts, running\n"
        "if __name__ == '__main__':\n"
        f"    running.record(Path({str(tmp_path / 'some')!r}), [('a', 1)], {KEYS!r}, "
        "parts.endless, {}, 1)\n"
    )
    recorder = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    worker = int(recorder.stdout.readline())
    recorder.send_signal(signal.SIGKILL)
    try:
        recorder.communicate(timeout=WAIT)  # ends once no process has the pipe any more
    except subprocess.TimeoutExpired:
        os.kill(worker, signal.SIGKILL)
        pytest.fail("the worker lives on")


@pytest.mark.filterwarnings("ignore:the search failed:UserWarning")
@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_a_search_that_did_not_end_is_not_recorded(recording, error):
    def callback(record):
        if record.index == 2:
            raise error

    space = negative_space(9)
    objective = Objective(FakeModel(), shade, space, (0,))
    result = search(RandomSearch(space), objective, Budget(8), progress=False, callback=callback)
    with pytest.raises(RuntimeError, match="a search of .*'p'.* was (failed|stopped)"):
        recording.searched(result, pd.DataFrame(), {"prompt": "p"})


class Counting:
    """A model whose images are numbered, so that one made twice is another."""

    name = "counting"

    def __init__(self):
        self.asked = []

    def generate(self, prompts, negative_prompts, seeds, **rollout):
        jobs = list(zip(prompts, negative_prompts, seeds))
        first = len(self.asked)
        self.asked += jobs
        return torch.arange(first, first + len(jobs)).reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def test_a_image_is_made_once_whoever_asks_for_it_again(recording):
    model = recording.Remembering(Counting())
    one = model.generate(["a", "b"], ["", ""], [0, 0])
    two = model.generate(["b", "c", "b", "c"], ["", "", "", ""], [0, 0, 0, 0])
    assert model.asked == [("a", "", 0), ("b", "", 0), ("c", "", 0)]
    assert [*one[:, 0, 0, 0], *two[:, 0, 0, 0]] == [0, 1, 1, 2, 1, 2]


@pytest.mark.parametrize(
    ("job", "how"),
    [
        ((["b"], ["x"], [0]), {}),
        ((["b"], [""], [1]), {}),
        ((["b"], [""], [0]), {"stop": 3}),
    ],
    ids=["negative prompt", "seed", "rollout"],
)
def test_another_image_of_the_same_prompt_is_made_anew(recording, job, how):
    model = recording.Remembering(Counting())
    model.generate(["b"], [""], [0])
    assert model.generate(*job, **how)[0, 0, 0, 0] == 1


def test_the_oldest_images_are_forgotten_first(recording):
    model = recording.Remembering(Counting(), most=2)
    for prompt in ("a", "b", "c", "c", "a"):
        model.generate([prompt], [""], [0])
    assert [prompt for prompt, *_ in model.asked] == ["a", "b", "c", "a"]


def test_all_else_is_asked_of_the_model_itself(recording):
    assert recording.Remembering(Counting()).name == "counting"


def test_a_model_that_remembers_passes_for_one_with_gradients(recording):
    model = dpodiff.load("toy")
    remembering = recording.Remembering(model)
    assert require_model(remembering, "gradients") is remembering
    with pytest.raises(ValueError, match="black box"):
        require_model(recording.Remembering(Counting()), "gradients")
