"""Found prompts under other models, losses and seeds, and without each of their words."""

import math

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from helpers import FakeModel, Guided, fake_shade, negative_space, shade

from dpodiff import (
    BlackBox,
    Budget,
    Objective,
    PromptError,
    RandomSearch,
    Slot,
    Space,
    attribution,
    load,
    paired_bootstrap,
    search,
    subset_interval,
    transfer,
)
from dpodiff.results.attribution import _named
from dpodiff.results.transfer import over_prompts

SPACE = negative_space(3, 3)
LOSSES = {"shade": shade, "twice": lambda images, prompts: 2 * shade(images, prompts)}
FRESH = range(100, 110)


def found(model=None, space=SPACE, *, budget=9, seeds=(0, 1), **settings):
    goal = Objective(model or FakeModel(), shade, space, seeds, **settings)
    return search(RandomSearch(space, seed=0), goal, Budget(budget), progress=False)


def with_words(space, candidate, model=None):
    """A result that is this candidate."""
    result = found(model, space)
    result.candidate, result.prompts = candidate, space.decode(candidate)
    return result


class Shifted(FakeModel):
    """Images of other shades, for the same prompts and seeds."""

    def generate(self, prompts, negative_prompts, seeds):
        return super().generate(prompts, negative_prompts, [seed + 5000 for seed in seeds])


class Mean:
    """A judge of one measure."""

    def measures(self, images, prompt):
        return {f"judge of {len(images)}": images.mean().item()}


def test_a_change_is_paired_on_the_same_model_and_seeds():
    result, other = found(), Shifted()
    table = transfer({"A": result}, {"B": other}, LOSSES, {"fresh": FRESH})
    negative = result.prompts.negative
    pairs = [
        (fake_shade("a red ball", "", k), fake_shade("a red ball", negative, k))
        for k in range(5100, 5110)
    ]
    before, after = np.transpose(pairs)
    row = table.set_index("measure").loc["shade"]
    assert row[["found", "prompt", "model", "seeds"]].tolist() == ["A", "a red ball", "B", "fresh"]
    interval = subset_interval(after - before)
    expected = [before.mean(), after.mean(), *interval]
    assert row[["before", "after", "mean", "low", "high"]].tolist() == pytest.approx(expected)
    doubled = table.set_index("measure").loc["twice"]
    assert doubled["mean"] == pytest.approx(2 * interval.mean)


def test_on_the_search_s_own_seeds_the_change_is_the_search_s_own():
    result = found()
    table = transfer({"A": result}, {"A": FakeModel()}, {"shade": shade}, {"own": result.seeds})
    (row,) = table.to_dict("records")
    assert row["before"] == pytest.approx(np.mean(result.baseline_losses))
    assert row["after"] == pytest.approx(np.mean(result.losses))
    assert (row["low"], row["high"]) == (-math.inf, math.inf)  # two seeds


def test_an_image_is_made_once_a_prompt_model_and_seed():
    first, second = with_words(SPACE, (1, 0)), with_words(SPACE, (1, 1))
    models = {"A": FakeModel(), "B": Shifted()}
    sets = {"all": FRESH, "some": list(FRESH)[:4]}
    transfer({"A": first, "again": [first, second]}, models, LOSSES, sets)
    assert [sum(model.batches) for model in models.values()] == [3 * len(FRESH)] * 2


def test_each_prompt_is_scored_for_the_user_s_own():
    spaces = [negative_space(3, prompt=prompt) for prompt in ("a red ball", "a long blue car")]
    results = [found(space=space, budget=3) for space in spaces]

    def letters(images, prompts):
        return torch.tensor([float(len(prompt)) for prompt in prompts])

    table = transfer({"A": results}, {"A": FakeModel()}, {"letters": letters}, {"fresh": FRESH})
    assert table["after"].tolist() == [len(space.prompt) for space in spaces]


def test_the_judge_is_asked_about_one_image_at_a_time():
    table = transfer({"A": found()}, {"A": FakeModel()}, {"shade": shade}, {"f": FRESH}, Mean())
    shades, judged = (table.loc[k, ["before", "after", "low", "high"]].tolist() for k in (0, 1))
    assert table["measure"].tolist() == ["shade", "judge of 1"]
    assert judged == pytest.approx(shades)


def test_a_loss_that_is_not_finite_proves_nothing():
    broken = {"broken": lambda images, prompts: torch.full((len(images),), math.nan)}
    (row,) = transfer({"A": found()}, {"A": FakeModel()}, broken, {"f": FRESH}).to_dict("records")
    assert math.isnan(row["mean"])
    assert (row["low"], row["high"]) == (-math.inf, math.inf)


def test_a_prompt_that_a_model_cannot_take_is_refused_before_any_image():
    space = Space("a ball", (Slot("w", ("", "unspeakable"), "negative"),))
    result = found(BlackBox(painted), space, budget=2)
    model = FakeModel()
    with pytest.raises(PromptError, match="unspeakable"):
        transfer({"A": result}, {"A": model}, LOSSES, {"fresh": FRESH})
    assert not model.batches


def painted(prompt, negative, seed):
    """Darker with a negative prompt."""
    return np.full((4, 4, 3), 0.25 if negative else 0.75)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"results": {}}, "results is empty"),
        ({"results": [1]}, "mapping from origins"),
        ({"results": {"A": [1]}}, r"each of results\['A'\] must be the Result of a search"),
        ({"models": {"A": 3}}, r"models\['A'\] must be a Model or a BlackBox, not 3"),
        ({"losses": {"A": 3}}, "the loss A must be a callable"),
        ({"seeds": {"none": []}}, r"seeds\['none'\] is empty"),
        ({"seeds": {"odd": [-1]}}, "at least 0"),
        ({"judge": 3}, "judge must have measures"),
        ({"level": 2}, "level must be at most 1"),
    ],
)
def test_wrong_arguments_are_refused_by_name(changed, message):
    right = {"results": {"A": found()}, "models": {}, "losses": LOSSES, "seeds": {"f": FRESH}}
    with pytest.raises(ValueError, match=message):
        transfer(**right | changed)


def test_searches_of_another_eta_are_not_mixed():
    plain, noisy = found(), found()
    noisy.objective.eta = 0.5
    with pytest.raises(ValueError, match=r"differ in eta, \[0.0, 0.5\]"):
        transfer({"A": [plain, noisy]}, {"A": FakeModel()}, LOSSES, {"f": FRESH})


def test_a_matrix_has_intervals_over_prompts():
    rows = [
        ("A", "B", prompt, 0.5, after)
        for prompt, after in [("p", 0.3), ("p", 0.1), ("q", 0.6), ("r", 0.2)]
    ] + [("A", "C", "p", 0.5, 0.75)]
    table = pd.DataFrame(rows, columns=["found", "model", "prompt", "before", "after"])
    several, one = over_prompts(table, by=["found", "model"]).to_dict("records")
    assert (several["model"], several["prompts"]) == ("B", 3)
    assert [several[k] for k in ("mean", "low", "high")] == pytest.approx(
        paired_bootstrap([-0.3, 0.1, -0.3])
    )
    assert (one["mean"], one["low"], one["prompts"]) == (0.25, -math.inf, 1)


# Attribution


class Planted(FakeModel):
    """Images that are darker with one word, whatever else is said."""

    def generate(self, prompts, negative_prompts, seeds):
        dark = ["w0-1" in negative for negative in negative_prompts]
        shades = 0.75 - 0.5 * torch.tensor(dark, dtype=torch.float32)
        return shades.view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def test_the_planted_word_is_the_one_that_is_needed():
    table = attribution(with_words(SPACE, (1, 2), Planted()), FRESH)
    assert table["word"].tolist() == ["- w0-1", "- w1-2"]
    assert table["measure"].unique().tolist() == ["loss"]
    assert table[["found", "without", "mean"]].values.tolist() == [
        [0.25, 0.75, 0.5],
        [0.25, 0.25, 0.0],
    ]
    assert (table["low"] == table["mean"]).all()


def test_found_prompts_are_made_once_for_all_words_and_measures():
    model = Planted()
    result = with_words(SPACE, (1, 2), model)
    made = []
    generate = model.generate
    model.generate = lambda *job: (made.extend(job[2]), generate(*job))[1]
    table = attribution(result, FRESH, LOSSES, Mean())
    assert len(made) == 3 * len(FRESH)
    assert table["measure"].tolist() == 2 * ["shade", "twice", "judge of 1"]


def test_a_slot_is_named_by_what_it_changes():
    slots = {
        "red -> crimson": Slot("red", ("red", "crimson")),
        "red -> (dropped)": Slot("red", ("red", "")),
        "+ sharp": Slot("modifier", ("", "sharp"), "modifier"),
        "- blurry": Slot("sharp", ("", "blurry"), "negative"),
        "= guidance 5": Slot("guidance", ("", "5"), "guidance"),
        "* ball 1.2": Slot("ball", ("", "1.2"), "emphasis"),
    }
    assert [_named(slot, 1) for slot in slots.values()] == list(slots)


def test_a_word_that_two_slots_choose_is_left_out_of_both():
    space = Space("a red ball", (Slot("", ("", "w0-1"), "negative"),) * 2)
    (row,) = attribution(with_words(space, (1, 1), Planted()), FRESH).to_dict("records")
    assert (row["word"], row["mean"]) == ("- w0-1", 0.5)


def test_guidance_is_left_out_as_a_word_is():
    space = Space("a red ball", (Slot("guidance", ("", "3"), "guidance"),))
    model = Guided()
    result = with_words(space, (1,), model)
    model.guidances.clear()
    (row,) = attribution(result, FRESH).to_dict("records")
    assert sorted(model.guidances, key=str) == [3.0] * len(FRESH) + [None] * len(FRESH)
    assert row["without"] > row["found"]


def test_seeds_of_the_search_attribute_nothing():
    with pytest.raises(ValueError, match="seed 1 was used by the search"):
        attribution(found(), [1, 100])


def test_a_result_without_a_changed_slot_has_no_words():
    with pytest.raises(ValueError, match=r"changes no slot.*result\.found"):
        attribution(with_words(SPACE, (0, 0)), FRESH)


# Stable Diffusion v1 and XL, with random weights

BUILDERS = {"sd-v1": tiny.stable_diffusion, "sdxl": tiny.sdxl}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made = {}
    for name, build in BUILDERS.items():
        model = load(str(build(tmp_path_factory.mktemp(name) / "tiny")), device="cpu")
        model.steps, model.guidance, model.image_size = 2, 3.0, 16
        made[name] = model
    return made


@pytest.mark.parametrize("name", BUILDERS)
def test_words_of_stable_diffusion_transfer_and_are_attributed(models, name):
    slots = (Slot("red", ("red", "blue")), Slot("", ("", "car"), "negative"))
    space = Space("a red ball", slots)
    result = found(models[name], space, budget=4, task="attack")
    table = transfer({name: result}, models, {"shade": shade}, {"own": result.seeds})
    rows = table.set_index("model")
    assert list(rows.index) == list(BUILDERS)
    assert rows.loc[name, "before"] == pytest.approx(np.mean(result.baseline_losses), abs=1e-5)
    assert rows.loc[name, "after"] == pytest.approx(np.mean(result.losses), abs=1e-5)
    result.candidate, result.prompts = (1, 1), space.decode((1, 1))
    words = attribution(result, range(10, 16))
    assert words["word"].tolist() == ["red -> blue", "- car"]
    assert (words["found"] == words["found"][0]).all()
    assert words["mean"].abs().min() > 0


def test_noise_belongs_to_no_prompt():
    result = found()
    result.noise = torch.zeros(2, 1, 4, 8, 8)
    with pytest.raises(ValueError, match="noise of its own seeds"):
        transfer({"A": result}, {"A": FakeModel()}, LOSSES, {"f": FRESH})
    with pytest.raises(ValueError, match="noise of its own seeds"):
        attribution(result, FRESH)
