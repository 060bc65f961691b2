"""The recorder of patches, each step made once with few noises."""

from importlib import import_module
from pathlib import Path

import pytest

import dpodiff
from dpodiff.toy.judge import Judge

BOOK = Path(__file__).parents[1] / "book"
PROMPT = "a small red star to the left of a blue boat in the snow"
MEASURES = {"judge, all and clean", "judge, relation", "loss", "loss of the held-out CLIP"}


@pytest.fixture(scope="module")
def recorder():
    """The script, with a model of three steps, a pool of eight noises, and templates from three."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BOOK)
        choosing, recorder = import_module("choosing"), import_module("record_patches")
        model = dpodiff.load("toy")
        model.steps = 3
        have = {
            "model": import_module("recording").Remembering(model),
            "judge": Judge.load(),
            "second": dpodiff.SphericalCLIP("toy-heldout"),
        }
        small = {
            "FITTED": (("ball", "cup"),),
            "COLORS": (("red", "blue"),),
            "DONORS": range(3),
            "POOL": range(10_000, 10_008),
            "ASIDE": range(2),
            "SEEDS": range(2),
            "RECEIVERS": range(500, 502),
            "SURE": 1.0,
            "EACH": 2,
            "WANTED": 1,
            "BUDGET": 4,
            "TESTED": range(1000, 1002),
        }
        # One prompt has no spread, so every noise from which a thing is found is sure.
        patch.setattr(
            choosing.patches, "position_entropy", lambda places: 0 * places[:, 0, 0].numpy()
        )
        for module in (choosing, recorder):
            patch.setattr(module, "models", lambda: have)
            for name in small.keys() & vars(module).keys():
                patch.setattr(module, name, small[name])
        choosing.fitted.cache_clear()
        yield recorder
        choosing.fitted.cache_clear()


def test_positions_have_a_row_a_seed_and_thing(recorder):
    (table,) = recorder.positions("a red ball and a blue cup").values()
    assert list(zip(table["seed"], table["thing"])) == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert set(table["color"]) == {"red", "blue"}
    places = table[["x", "y", "judge_x", "judge_y"]].stack().dropna()
    assert places.between(0, 1).all()


def test_a_thing_is_not_at_the_far_place_before_a_patch_is_pasted(recorder):
    (table,) = recorder.injection("a red star and a blue boat").values()
    plain = table[table["solver"] == "none"].set_index("measure")["after"]
    assert plain["first thing at the place"] == 0
    assert plain["both things found"] == 1
    assert len(table) == 6 * 3
    assert table["after"].between(0, 1).all()


def test_resampling_a_patch_changes_less_than_resampling_all(recorder):
    (table,) = recorder.resampling("a red star and a blue boat").values()
    change = table[table["measure"] == "change outside of the patch"].set_index("solver")["after"]
    assert 0 < change["patch without a thing"] < change["all of the noise"]


@pytest.mark.parametrize("way", ["trigger patches", "first estimate, worst"])
def test_agreement_measures_both_noises(recorder, way):
    (table,) = recorder.agreement(PROMPT, "a blue cup above a red ball", way).values()
    assert set(table["measure"]) >= MEASURES
    assert (table["before"] != table["after"]).any()


def test_noise_is_chosen_by_its_score_and_the_worst_is_the_other_end(recorder):
    best = recorder.chosen("first estimate", PROMPT, 8)
    assert sorted(best) == list(range(10_000, 10_008))
    assert recorder.chosen("first estimate, worst", PROMPT, 8) == best[::-1]
    drawn = recorder.chosen("as it comes", PROMPT, 8)
    assert sorted(drawn) == sorted(best)
    assert recorder.chosen("as it comes", PROMPT, 3) == drawn[:3]
    assert recorder.chosen("as it comes", "a blue cup", 8) != drawn


@pytest.mark.parametrize("method", ["best of N", "DNO", "EPO"])
def test_searches_have_the_same_measures(recorder, method):
    (table,) = recorder.search(PROMPT, method, "first estimate").values()
    found = set(table["measure"])
    assert found >= {f"{name}, own images" for name in MEASURES}
    assert found >= {f"{name}, new seeds" for name in MEASURES}
    words = table[table["measure"].str.endswith("new seeds")]
    if method != "EPO":  # the prompt is the same
        assert (words["before"] == words["after"]).all()
