"""What a search is told to try before all else."""

from functools import partial

import numpy as np
import pytest
from helpers import FakeModel, negative_space, shade

import dpodiff
from dpodiff import EPO, GPO, Dictionary, RandomSearch, attack, improve
from dpodiff.api.defaults import DEFAULT_SPACE
from dpodiff.losses import Contrastive
from dpodiff.solvers.recipes import RECIPES

PROMPT = "a red ball"
SPACE = negative_space(4, 4, 4)
TAKE_FIRST = ("epo", "sparse-epo", "forward", "raced-forward", "tpe", "listed")
SETTINGS = {"loss": shade, "budget": 6, "seeds": 1, "verify": 0, "progress": False}
LEXICON = Dictionary({"red": ["ruby"]}, {"red": ["green", "blue"], "ball": ["box"]})


def run(call=improve, **settings):
    return call(PROMPT, **{"model": FakeModel(), "space": SPACE} | SETTINGS | settings)


def negatives(result):
    return [record.negative for record in result.trace.records]


@pytest.mark.parametrize("solver", TAKE_FIRST)
def test_words_are_evaluated_right_after_the_prompt_itself(solver):
    first = ["w1-2", "w0-1, W2-3", ["w2-1"]]
    said = negatives(run(solver=solver, first=first))
    assert said[:4] == ["", "w1-2", "w0-1, w2-3", "w2-1"]


def test_listed_candidates_are_evaluated_and_no_others():
    result = run(solver="listed", first=["w1-2", "w0-1, W2-3", "w1-2"])
    assert negatives(result) == ["", "w1-2", "w0-1, w2-3"]
    assert result.status == "exhausted"
    assert sum(result.losses) == min(sum(record.losses) for record in result.trace.records)


@pytest.mark.parametrize("first", [None, []])
def test_a_list_without_candidates_is_refused_before_any_image(first):
    model = FakeModel()
    with pytest.raises(ValueError, match="only the candidates of first: give one"):
        run(model=model, solver="listed", first=first)
    assert not model.batches


def test_a_diagnosis_that_finds_nothing_keeps_the_prompt():
    settings = {"space": "antonym", "lexicon": Dictionary({}, {"ball": ["box"]})}
    result = run(model=ToldOf(), solver="listed", first="diagnosis", **settings)
    assert (result.status, negatives(result)) == ("exhausted", [""])


def test_nothing_comes_first_unless_it_is_asked_for():
    assert negatives(run(seed=3)) == negatives(run(seed=3, first=[]))
    assert negatives(run(seed=3)) != negatives(run(seed=3, first=["w1-2"]))


def test_the_toy_model_begins_with_words_that_help_most_of_its_prompts():
    settings = {"model": ToldOf(), "loss": "toy-matcher", "space": DEFAULT_SPACE}
    records = run(**settings).trace.records
    assert (records[1].positive, records[1].negative) == (
        "a red ball, sharp, clean, detailed, crisp",
        "bad, ugly",
    )
    assert [record.negative for record in records[2:4]] == ["bad, ugly"] * 2
    assert [r.positive for r in records[2:4]] == ["a red ball, sharp, clean", "a red ball"]
    none = run(**settings, first=[]).trace.records
    assert {records[k].candidate for k in (1, 2, 3)}.isdisjoint(one.candidate for one in none)


def test_words_that_the_prompt_has_are_left_out_of_them():
    prompt = "a red ball, sharp, clean, detailed, crisp"
    settings = SETTINGS | {"model": ToldOf(), "loss": "toy-matcher"}
    said = [(r.positive, r.negative) for r in improve(prompt, **settings).trace.records]
    assert said[:2] == [(prompt, ""), (prompt, "bad, ugly")]
    assert len(set(said)) == len(said)


@pytest.mark.parametrize("settings", [{"space": "modifiers+nplib"}, {"solver": "random"}])
def test_another_space_or_solver_has_no_first_words(settings):
    result = run(**{"model": ToldOf(), "loss": "toy-matcher", "space": DEFAULT_SPACE} | settings)
    assert result.trace.records[1].negative != "bad, ugly"


def test_an_attack_tries_other_words_of_the_prompt_first():
    settings = {"space": "synonym", "lexicon": LEXICON, "similarity": 0.0}
    result = run(
        attack, first=[["ruby"]], encoder=lambda texts: np.ones((len(texts), 1)), **settings
    )
    assert result.trace.records[1].positive == "a ruby ball"


def test_a_class_that_takes_them_is_given_them():
    solver = partial(EPO, population=4, parents=2)
    assert negatives(run(solver=solver, first=["w1-2"]))[1] == "w1-2"


@pytest.mark.parametrize("solver", [*sorted(set(RECIPES) - {*TAKE_FIRST}), RandomSearch, GPO])
def test_other_solvers_refuse_and_those_that_take_them_are_named(solver):
    model = FakeModel()
    with pytest.raises(ValueError, match="takes no first candidates; .*: epo, sparse-epo, forward"):
        run(model=model, solver=solver, first=["w1-2"])
    assert not model.batches


@pytest.mark.parametrize(
    ("first", "message"),
    [
        (["w0-1, ugly", ["Dark"], ["ugly"]], "'a red ball' does not offer: 'ugly', 'Dark'; "),
        (["w0-1, w0-2"], "'w0-2' is not a choice of a free slot .*: one per slot"),
        ("w0-1", "list of negative prompts .*, or 'diagnosis', not 'w0-1'"),
        (5, "list of negative prompts .* not 5"),
        ([5], r"list of negative prompts .* not \[5\]"),
        ([["w0-1", 5]], "list of negative prompts"),
    ],
)
def test_words_that_cannot_be_tried_are_refused_before_any_image(first, message):
    model = FakeModel()
    with pytest.raises(ValueError, match=message):
        run(model=model, first=first)
    assert not model.batches


class ToldOf(FakeModel):
    """Images of a ball in one color, whatever the prompt says."""

    name, image_size = "toy", 64

    def generate(self, prompts, negative_prompts, seeds):
        import torch

        from dpodiff.toy.render import render_batch
        from dpodiff.toy.scenes import Scene, Thing

        self.batches.append(len(seeds))
        ball = Scene((Thing("ball", "blue", "large"),), background="sky")
        return torch.from_numpy(render_batch([ball] * len(seeds), np.random.default_rng(0)))


@pytest.mark.parametrize("loss", [shade, None, "contrastive"])
def test_a_diagnosis_tries_what_the_images_show_instead(loss):
    model = ToldOf()
    settings = {"space": "antonym", "lexicon": LEXICON, "first": "diagnosis", "budget": 3}
    result = run(model=model, loss=loss, **settings)
    assert negatives(result)[:2] == ["", "blue"]
    assert sum(model.batches) == result.cost.images == 3
    assert "Diagnosis" in result.trace.stamp.parameters["solver"]["first"]


def test_a_diagnosis_needs_contrast_prompts():
    model = ToldOf()
    settings = {"space": "nplib", "lexicon": Dictionary(), "first": "diagnosis"}
    with pytest.raises(ValueError, match="has no contrast prompt"):
        run(model=model, **settings)
    assert not model.batches


def test_the_searched_loss_is_asked_if_it_is_contrastive(monkeypatch):
    asked = []

    class Asked(Contrastive):
        def margins(self, images, prompt):
            asked.append(prompt)
            return super().margins(images, prompt)

    clip = dpodiff.SphericalCLIP("toy", device="cpu")
    loss = Asked(clip, lambda prompt: ["a blue ball"])
    run(model=ToldOf(), loss=loss, space="antonym", lexicon=LEXICON, first="diagnosis")
    assert asked == [PROMPT]


def test_a_loss_by_name_takes_its_contrasts_from_the_lexicon_of_the_call():
    seen = run(model=ToldOf(), loss="contrastive", lexicon=LEXICON, space="nplib", budget=1)
    assert seen.objective.loss.contrasts(PROMPT) == ["a green ball", "a blue ball", "a red box"]
