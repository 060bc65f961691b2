"""Long runs are kept part by part, and go on where they stopped."""

import json
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
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

    def recorded(parts, budget=4, run=squares):
        keys = "name", "number"
        recording.record(tmp_path / "some", parts, keys, run, {"budget": budget}, 1)
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
