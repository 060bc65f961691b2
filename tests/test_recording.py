"""Long runs are kept part by part, and go on where they stopped."""

import json
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import torch
from parts import marked, squares

PARTS = [("a", 1), ("b", 2), ("b", 4)]


@pytest.fixture(scope="module")
def recording():
    """The recorder's module, which lies beside the book's scripts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "book")
        yield import_module("recording")


@pytest.fixture
def recorded(recording, tmp_path):
    """Records parts; what the table and the stamp then say."""

    def recorded(parts, budget=4, run=squares, together=1):
        keys = "name", "number"
        recording.record(tmp_path / "some", parts, keys, run, {"budget": budget}, 1, together)
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
    with pytest.raises(ValueError, match="some was begun with .*'budget': 4.* not .*'budget': 5"):
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


class Counting:
    """A model whose pictures are numbered, so that one made twice is another."""

    name = "counting"

    def __init__(self):
        self.asked = []

    def generate(self, prompts, negative_prompts, seeds, **rollout):
        jobs = list(zip(prompts, negative_prompts, seeds))
        first = len(self.asked)
        self.asked += jobs
        return torch.arange(first, first + len(jobs)).reshape(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def test_a_picture_is_made_once_whoever_asks_for_it_again(recording):
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
def test_another_picture_of_the_same_prompt_is_made_anew(recording, job, how):
    model = recording.Remembering(Counting())
    model.generate(["b"], [""], [0])
    assert model.generate(*job, **how)[0, 0, 0, 0] == 1


def test_the_oldest_pictures_are_forgotten_first(recording):
    model = recording.Remembering(Counting(), most=2)
    for prompt in ("a", "b", "c", "c", "a"):
        model.generate([prompt], [""], [0])
    assert [prompt for prompt, *_ in model.asked] == ["a", "b", "c", "a"]


def test_all_else_is_asked_of_the_model_itself(recording):
    assert recording.Remembering(Counting()).name == "counting"
