import math
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import FakeModel, fake_shade, shade
from PIL import Image

import dpodiff
from dpodiff import (
    EPO,
    GPO,
    Budget,
    Dictionary,
    LoadError,
    Objective,
    PromptError,
    RandomSearch,
    Slot,
    Space,
    Trace,
    align,
    attack,
    improve,
    search,
)
from dpodiff.models.black_box import BlackBox
from dpodiff.solvers.recipes import BLIND, RECIPES

PROMPT = "a red ball on the sea"
SETTINGS = {"loss": shade, "lexicon": "toy", "budget": 5, "verify": 0, "progress": False}
GEMS = Dictionary(synonyms={"red": ["ruby"], "ball": ["pearl"]}, antonyms={"red": ["green"]})


def attempt(prompt=PROMPT, **settings):
    return improve(prompt, **{"model": FakeModel()} | SETTINGS | settings)


def assault(prompt=PROMPT, **settings):
    settings = {"model": FakeModel(), "encoder": sees_boats} | SETTINGS | settings
    return attack(prompt, **settings)


def sees_boats(texts):
    """An encoder that tells apart only whether a prompt is about a boat."""
    return torch.tensor([[1.0, float("boat" in text)] for text in texts])


def without_gradient(images, prompts):
    return shade(images.detach(), prompts)


def told(name):
    """A stand-in for the toy model, or for another, by name."""
    model = FakeModel()
    model.name = name
    return model


def test_a_prompt_is_improved_by_modifiers_and_its_negative_prompt():
    result = attempt(budget=24, seeds=2, seed=1)
    assert result.prompts.positive.startswith(PROMPT)
    assert result.prompts.negative
    assert sum(result.losses) < sum(result.baseline_losses)
    assert result.cost.images == 48


def test_the_worst_wording_is_the_task_of_an_attack():
    result = attempt(budget=12, space="synonym", task="attack")
    assert result.prompts.positive != PROMPT
    assert sum(result.losses) > sum(result.baseline_losses)


def test_an_attack_raises_the_loss_with_other_words_for_the_same():
    result = assault(budget=12)
    assert {slot.side for slot in result.objective.space.slots} == {"positive"}
    assert result.prompts.positive != PROMPT
    assert sum(result.losses) > sum(result.baseline_losses)


def test_an_attack_keeps_the_meaning():
    slots = (Slot("red", ("red", "ruby")), Slot("ball", ("ball", "boat")))
    result = assault(space=Space(PROMPT, slots), budget=10)
    rejected = [record.positive for record in result.trace.records if not record.losses]
    assert sorted(rejected) == ["a red boat on the sea", "a ruby boat on the sea"]
    # At a cosine of 0.71 for boats, a lower demand lets them through.
    result = assault(space=Space(PROMPT, slots), budget=10, similarity=0.7)
    assert all(record.losses for record in result.trace.records)


@pytest.mark.parametrize("name", ["toy", "toy-small"])
def test_an_attack_on_a_toy_model_asks_the_toy_encoder(name):
    constraint = assault(model=told(name), encoder=None, budget=2).objective.constraint
    assert constraint.threshold == 0.9
    assert "SphericalCLIP('toy')" in repr(constraint)


def test_an_attack_on_any_other_model_asks_the_encoder_of_the_paper(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "dpodiff.spaces.constraints.load_encoder", lambda name: asked.append(name) or sees_boats
    )
    assault(encoder=None, budget=2)
    assault(encoder="minilm", budget=2)
    assert asked == ["sentence-transformers/sentence-t5-base", "minilm"]


def test_words_come_from_the_lexicon():
    slots = attempt(lexicon=GEMS, space="antonym+synonym").objective.space.slots
    assert [slot.choices for slot in slots] == [
        ("", "green"),
        ("red", "ruby", ""),
        ("ball", "pearl", ""),
    ]


def test_the_toy_model_has_the_toy_lexicon_and_any_other_wordnet(monkeypatch):
    asked = []
    monkeypatch.setattr("dpodiff.api.parts._lexicon", lambda name: asked.append(name) or GEMS)
    for model in (told("toy"), told("toy-small"), told("other")):
        attempt(model=model, lexicon=None, space="antonym+synonym")
    assert asked == ["toy"] * (len(asked) * 2 // 3) + ["wordnet"] * (len(asked) // 3)


def test_wordnet_is_a_lexicon_by_name():
    slots = attempt(prompt="a huge city", lexicon="wordnet", space="synonym").objective.space.slots
    assert [slot.choices[:3] for slot in slots] == [
        ("huge", "vast", "immense"),
        ("city", "metropolis", ""),
    ]


def test_the_library_alone_needs_no_lexicon(monkeypatch):
    monkeypatch.setattr("dpodiff.api.parts._lexicon", None)
    assert attempt(lexicon="wordnet", space="nplib").cost.evaluations == 5


def test_a_black_box_takes_the_place_of_a_model():
    def generate(prompt, negative_prompt, seed):
        return Image.new("L", (2, 2), round(255 * fake_shade(prompt, negative_prompt, seed)))

    box = attempt(model=BlackBox(generate, workers=2), seed=1)
    fake = attempt(seed=1)
    assert box.prompts == fake.prompts
    assert box.losses == pytest.approx(fake.losses)


def test_spaces_are_joined_by_name():
    slots = attempt(space="antonym + nplib+synonym").objective.space.slots
    assert {slot.side for slot in slots} == {"positive", "negative"}
    assert {slot.text for slot in slots} >= {"red", "ball", "sea", ""}


@pytest.mark.parametrize(("task", "drops"), [("improve", True), ("attack", False)])
def test_only_an_improvement_may_drop_words(task, drops):
    slots = attempt(space="synonym", task=task).objective.space.slots
    assert all(("" in slot.choices) == drops for slot in slots)


def test_locked_words_are_left_alone():
    slots = attempt(space="synonym", locked=["red"]).objective.space.slots
    assert [slot.text for slot in slots] == ["ball", "sea"]


def test_the_users_own_negative_prompt_stays():
    assert attempt(negative_prompt="ugly").prompts.negative.startswith("ugly")


def test_a_space_of_ones_own():
    space = Space(PROMPT, (Slot("red", ("red", "ruby")),))
    assert attempt(space=space).status == "exhausted"


def test_a_solver_of_ones_own():
    def backwards(space, seed):
        solver = RandomSearch(space, seed=seed)
        solver.name = "backwards"
        return solver

    for solver, name in ((backwards, "backwards"), (partial(EPO, parents=3), "epo")):
        record = attempt(solver=solver, seed=7).trace.stamp.parameters["solver"]
        assert (record["name"], record["seed"]) == (name, 7)
    assert record["parents"] == 3


def test_a_recipe_is_known_by_its_name(monkeypatch):
    made = []

    def make(space, steps, seed):
        made.append((steps, seed))
        return EPO(space, seed=seed)

    monkeypatch.setitem(RECIPES, "mine", make)
    attempt(solver="mine", seed=3)
    assert made == [(5, 3)]


@pytest.mark.parametrize(
    ("solver", "first"),
    [("listed", ["dark"]), *((name, None) for name in sorted(BLIND - {"listed"}))],
)
def test_a_blind_recipe_does_not_ask_a_model_for_its_steps(solver, first):
    def blank(prompt, negative_prompt, seed):
        return torch.zeros(3, 4, 4)

    words = {"space": "nplib", "nplib": ["dark", "ugly"], "first": first}
    result = attempt(model=BlackBox(blank), solver=solver, loss=shade, budget=2, **words)
    assert result.cost.evaluations == 2


@pytest.mark.parametrize("solver", ["epo", "random"])
def test_equal_seeds_give_equal_results(solver):
    first, second = (attempt(solver=solver, seed=3).trace.records for _ in range(2))
    assert [r.candidate for r in first] == [r.candidate for r in second]


def test_a_trace_is_written(tmp_path):
    attempt(trace=tmp_path / "trace.jsonl")
    assert len(Trace.load(tmp_path / "trace.jsonl").records) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"budget": 0}, "at least 1 evaluation, not 0"),
        ({"seeds": 0}, "seeds must be at least 1, not 0"),
        (
            {"space": "antonyms"},
            "unknown space 'antonyms'; choose from antonym, emphasis, guidance, modifiers, nplib, "
            "synonym",
        ),
        ({"space": ""}, "unknown space ''"),
        ({"solver": "sgd"}, "unknown solver 'sgd'; choose from random, epo, gpo, hpo, pez"),
        ({"lexicon": "thesaurus"}, "unknown lexicon 'thesaurus'; choose from toy, wordnet"),
        ({"task": "worsen"}, "unknown task 'worsen'; choose from improve, attack"),
        ({"prompt": "an unspeakable ball"}, "unknown word 'unspeakable'"),
        ({"prompt": "the of", "space": "synonym"}, "nothing can change in 'the of'"),
        ({"space": Space("a ball", ())}, "of another prompt: 'a ball'"),
        ({"locked": ["dog"]}, "locked word 'dog'"),
        ({"model": "no-such-model"}, "no-such-model"),
        ({"prompt": 5}, "prompt must be a string, not 5"),
        ({"negative_prompt": None}, "negative_prompt must be a string, not None"),
        (
            {"model": 5},
            "a name, a Model, a pipeline of diffusers or a BlackBox, not 5",
        ),
        ({"space": 5}, "space must be a string, not 5"),
        ({"solver": 5}, "unknown solver 5"),
        ({"budget": math.nan}, "evaluations of a budget must be a whole number, not nan"),
        ({"budget": math.inf}, "budget must be a whole number, not inf"),
        ({"budget": 1.5}, "budget must be a whole number, not 1.5"),
        ({"budget": True}, "budget must be a whole number, not True"),
        ({"budget": "40"}, "budget must be a whole number, not '40'"),
        ({"seeds": 1.5}, "seeds must be a whole number, not 1.5"),
        ({"seeds": [0, 1]}, r"seeds must be a whole number, not \[0, 1\]"),
        ({"seed": None}, "seed must be a whole number, not None"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"batch_size": 1.5}, "batch_size must be a whole number, not 1.5"),
        ({"batch_size": 0}, "batch_size must be at least 1, not 0"),
        ({"loss": 5}, "loss must be a name, or a callable .*, not 5"),
        ({"constraint": 5}, "constraint must be a callable .*, not 5"),
        ({"callback": 5}, "callback must be a callable .*, not 5"),
        ({"task": ["attack"]}, "unknown task"),
        ({"solver": "dno"}, r"'dno' searches the noise, .*dpodiff.align\(prompt, method='dno'\)"),
        ({"solver": "reno"}, "method='reno'"),
        ({"solver": "zero-order", "task": "attack"}, "method='zero-order', task='attack'"),
        ({"solver": "joint"}, "method='joint'"),
        ({"solver": "best-of-n"}, "method='best-of-n'"),
        ({"solver": "EPO"}, "unknown solver 'EPO'; .*did you mean 'epo'"),
        (
            {"model": "toy", "solver": partial(GPO, steps=5), "loss": without_gradient},
            "no gradient in the images",
        ),
    ],
)
def test_bad_input_is_refused_with_what_would_be_right(settings, message, tmp_path):
    """All of it before the trace is touched: what an older search left there stays."""
    path, model = tmp_path / "old.jsonl", FakeModel()
    path.write_text("old")
    with pytest.raises(ValueError, match=message):
        attempt(**{"model": model} | settings, trace=path)
    assert path.read_text() == "old"
    assert not model.batches


def test_guidance_and_modifiers_are_searched_by_name():
    result = dpodiff.improve(
        "a red ball",
        space="guidance+modifiers",
        solver="forward",
        budget=6,
        seeds=1,
        progress=False,
    )
    space = result.objective.space
    assert [slot.side for slot in space.slots] == ["guidance", *["modifier"] * 6]
    records = result.trace.records
    first = records[1:6]  # each slot changed alone
    assert [np.count_nonzero(record.candidate) for record in first] == [1] * 5
    assert len({record.positive for record in first} - {"a red ball"}) >= 4
    assert len({record.losses for record in records}) == 6
    assert Space.from_json(result.trace.stamp.parameters["space"]) == space


@pytest.mark.parametrize("model", [BlackBox(lambda *job: None), FakeModel()])
def test_guidance_of_a_model_without_one_is_refused(model):
    model.guidance = 1.0
    with pytest.raises(ValueError, match="there is no guidance to choose"):
        attempt(model=model, space="guidance+nplib")


def test_a_black_box_takes_no_guidance_of_a_candidate():
    gray = BlackBox(lambda *job: np.full((8, 8, 3), 0.5))
    goal = dpodiff.Objective(gray, shade, dpodiff.guidance_space("a red ball"), (0,))
    goal.evaluate([(0,)])
    with pytest.raises(ValueError, match="leave the guidance slot out"):
        goal.evaluate([(1,)])


def test_a_trace_that_cannot_be_written_is_refused_before_any_image(tmp_path):
    (tmp_path / "file").touch()
    model = FakeModel()
    for path, message in (
        (tmp_path, "is a folder; give the path of a file"),
        (tmp_path / "file" / "trace.jsonl", "cannot be written: .*file is a file"),
        (5, "trace must be a path or None, not 5"),
    ):
        with pytest.raises((OSError, ValueError), match=message):
            attempt(model=model, trace=path)
    assert not model.batches
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 4}, "budget must be a dpodiff.Budget, not 4"),
        ({"trace": "trace.jsonl"}, "trace must be a dpodiff.Trace or None, not 'trace.jsonl'"),
        ({"callback": 5}, "callback must be a callable"),
        ({"viewer": 5}, "viewer must be a callable"),
    ],
)
def test_a_search_refuses_what_it_cannot_use(settings, message):
    space = Space(PROMPT, (Slot("red", ("red", "ruby")),))
    objective = Objective(FakeModel(), shade, space, (0,))
    with pytest.raises(ValueError, match=message):
        search(RandomSearch(space), objective, **{"budget": Budget(2)} | settings)
    assert not objective.model.batches


@pytest.mark.parametrize("seconds", [math.nan, math.inf, 0, -1, "1"])
def test_the_seconds_of_a_budget_are_finite(seconds):
    with pytest.raises(ValueError, match="seconds"):
        Budget(4, seconds=seconds)


@pytest.mark.parametrize("call", [improve, attack, align])
def test_a_model_that_cannot_be_loaded_is_what_the_error_is_about(call, monkeypatch):
    """Before words are looked up, for which WordNet may be missing, or an encoder is loaded."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("dpodiff.api.parts._lexicon", None)
    monkeypatch.setattr("dpodiff.spaces.constraints.load_encoder", None)
    with pytest.raises(LoadError, match="no/such cannot be loaded: it is not on this"):
        call(PROMPT, model="no/such", loss=shade)


@pytest.mark.parametrize("call", [improve, attack])
def test_a_prompt_that_the_model_cannot_take_is_too(call, monkeypatch):
    monkeypatch.setattr("dpodiff.api.parts._lexicon", None)
    monkeypatch.setattr("dpodiff.spaces.constraints.load_encoder", None)
    with pytest.raises(PromptError, match="unspeakable"):
        call("an unspeakable ball", model=FakeModel(), space="synonym", loss=shade)


@pytest.mark.parametrize(
    ("call", "settings", "message"),
    [
        (improve, {"bugdet": 4}, "improve takes no 'bugdet'; did you mean 'budget'"),
        (improve, {"xyz": 4}, "improve takes no 'xyz'; it has prompt, negative_prompt, model"),
        (improve, {"method": "dno"}, r"takes no 'method'; .*dpodiff.align\(method=...\)"),
        (improve, {"similarity": 0.9}, r"dpodiff.attack\(similarity=..."),
        (attack, {"task": "attack"}, r"attack takes no 'task'; .*dpodiff.improve\(task=...\)"),
        (attack, {"constraint": None}, "attack takes no 'constraint'; its constraint is `simil"),
        (attack, {"encodr": "toy"}, "attack takes no 'encodr'; did you mean 'encoder'"),
    ],
)
def test_an_unknown_argument_is_answered_with_what_is_meant(call, settings, message):
    with pytest.raises(TypeError, match=message):
        call(PROMPT, model=FakeModel(), **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": " "}, "prompt is empty"),
        ({"similarity": 1.5}, "from -1 to 1, not 1.5"),
        ({"similarity": math.nan}, "from -1 to 1, not nan"),
        ({"encoder": 5}, "encoder must be a name, or a callable .* not 5"),
        ({"encoder": lambda texts: torch.zeros(2)}, "one finite vector per text"),
        ({"solver": "sgd"}, "unknown solver 'sgd'"),
    ],
)
def test_a_bad_attack_is_refused_before_any_image_is_made(settings, message):
    model = FakeModel()
    with pytest.raises(ValueError, match=message):
        assault(model=model, **settings)
    assert not model.batches


def test_every_public_name_is_there():
    assert set(dpodiff.__all__) <= set(dir(dpodiff))
    for name in dpodiff.__all__:
        assert getattr(dpodiff, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = dpodiff.nothing


def test_every_folder_without_a_stub_is_typed_in_place():
    """Type checkers read the stub, so it and the package may not drift apart."""
    for folder in (dpodiff, dpodiff.api, dpodiff.objective, dpodiff.solvers):
        stub = Path(folder.__file__).with_suffix(".pyi").read_text()
        names = re.findall(r"(\w+) as \1\b", stub)
        assert sorted(names) == sorted(folder.__all__)


def test_a_loss_is_known_by_its_name():
    result = attempt(loss="white", space="nplib", budget=1)
    assert result.losses == pytest.approx((-result.images).mean((1, 2, 3)).tolist())


@pytest.mark.parametrize("solver", ["gpo", "hpo", "pez"])
def test_a_loss_without_gradient_is_refused_by_those_who_follow_one(solver):
    with pytest.raises(ValueError, match="'epo' and 'random'"):
        attempt(loss="jpeg", solver=solver)


def test_a_loss_without_gradient_is_a_black_box_to_evolution():
    assert attempt(loss="jpeg", space="nplib", budget=2).cost.evaluations == 2


def test_a_model_that_ignores_negative_prompts_is_not_searched_by_them():
    model = FakeModel()
    model.guidance, model.takes_negative = 1.0, False
    with pytest.raises(ValueError, match="space='modifiers.synonym'"):
        attempt(model=model, space="antonym")
    with pytest.raises(ValueError, match="space='modifiers.synonym'"):
        attempt(model=model, nplib=["dark"])
    assert attempt(model=model, space="synonym", budget=2).cost.evaluations == 2
    by_default = attempt(model=model, budget=2).objective.space.slots
    assert {slot.side for slot in by_default} == {"modifier"}


def test_a_search_ends_after_its_seconds_and_is_verified_then():
    result = attempt(budget=40, seconds=1e-6, seeds=2, verify=6)
    assert result.status == "seconds"
    assert result.cost.evaluations <= 9  # the first batch of candidates
    assert result.verification is not None
    with pytest.raises(ValueError, match="more than 0 seconds, not 0"):
        attempt(seconds=0)
