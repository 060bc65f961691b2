"""Contrastive losses and ensembles in the main functions: by name, with the lexicon of the call."""

import pytest
import torch
from helpers import FakeModel, shade

import dpodiff
from dpodiff import Dictionary, Ensemble, LoadError, losses
from dpodiff.api.parts import chosen_loss
from dpodiff.losses import Contrastive, Decomposed

PROMPT = "a red ball on the sea"
SETTINGS = {"budget": 2, "seeds": 1, "progress": False}


@pytest.fixture(scope="module")
def toy():
    return dpodiff.load("toy", device="cpu")


class NoImages(FakeModel):
    def generate(self, prompts, negative_prompts, seeds):
        pytest.fail("an image was made")


def without_contrasts():
    return Contrastive(losses.load("toy", "cpu"), lambda prompt: [])


@pytest.mark.parametrize(
    ("name", "kind", "form", "clip"),
    [
        ("contrastive", Contrastive, "softmax", "toy"),
        ("contrastive:toy-heldout", Contrastive, "softmax", "toy-heldout"),
        ("contrastive-margin", Contrastive, "margin", "toy"),
        ("contrastive-margin:toy-heldout", Contrastive, "margin", "toy-heldout"),
        ("decomposed", Decomposed, None, "toy"),
        ("decomposed:toy-heldout", Decomposed, None, "toy-heldout"),
    ],
)
def test_a_name_stands_for_a_loss_and_a_clip(toy, name, kind, form, clip):
    loss = chosen_loss(name, toy)
    assert type(loss) is kind
    assert getattr(loss, "form", None) == form
    assert loss.clip.name == clip
    assert loss(torch.rand(1, 3, 64, 64), [PROMPT]).isfinite().all()


def test_a_search_takes_the_name(toy):
    result = dpodiff.improve(PROMPT, model=toy, loss="contrastive", **SETTINGS)
    loss = result.objective.loss
    assert isinstance(loss, Contrastive)
    images = result.objective.images(result.objective.space.identity)
    expected = loss(images, [PROMPT]).tolist()
    assert list(result.baseline_losses) == pytest.approx(expected, abs=1e-4)


def test_attack_and_align_take_the_name(toy):
    attacked = dpodiff.attack(PROMPT, model=toy, loss="contrastive-margin", **SETTINGS)
    assert attacked.objective.loss.form == "margin"
    aligned = dpodiff.align(
        PROMPT, model=toy, loss="contrastive", budget=6, seeds=1, progress=False
    )
    assert aligned.losses[0] <= aligned.baseline_losses[0]


def test_contrasts_come_from_the_lexicon_of_the_call(toy):
    lexicon = Dictionary(antonyms={"red": ["green"]})
    loss = chosen_loss("contrastive", toy, lexicon)
    assert loss.contrasts(PROMPT) == ["a green ball on the sea"]
    assert "a green ball on the sea" not in chosen_loss("contrastive", toy, Dictionary()).contrasts(
        PROMPT
    )
    aligned = dpodiff.align(
        PROMPT, model=toy, loss="contrastive", lexicon=lexicon, method="best-of-n", **SETTINGS
    )
    assert aligned.objective.loss.contrasts(PROMPT) == ["a green ball on the sea"]


def test_another_model_has_the_clip_of_the_paper_and_wordnet(monkeypatch):
    asked = []
    clip = losses.load("toy")
    monkeypatch.setattr(
        "dpodiff.losses.loading._clip", lambda source, device: asked.append(source) or clip
    )
    loss = chosen_loss("contrastive", FakeModel())
    assert asked == [""]  # which stands for ViT-B-32/openai
    assert "a black cat on a hot street" in loss.contrasts("a black cat on a cold street")


@pytest.mark.parametrize("name", ["contrastiv", "decomposd:toy"])
def test_a_misspelled_name_is_answered_with_the_right_one(toy, name):
    with pytest.raises(LoadError, match="did you mean '(contrastive|decomposed)'"):
        chosen_loss(name, toy)


@pytest.mark.parametrize(
    "search",
    [
        lambda loss: dpodiff.improve(
            PROMPT, model=NoImages(), loss=loss, space="nplib", **SETTINGS
        ),
        lambda loss: dpodiff.align(
            PROMPT, model=NoImages(), loss=loss, method="best-of-n", **SETTINGS
        ),
    ],
)
def test_a_prompt_that_a_loss_cannot_judge_is_refused_before_any_image(search):
    with pytest.raises(ValueError, match="has no contrast prompt"):
        search(without_contrasts())
    with pytest.raises(ValueError, match="is not calibrated: call fit"):
        search(Ensemble({"shade": shade, "light": losses.white}))


def test_a_refused_prompt_leaves_the_trace_file_alone(tmp_path):
    file = tmp_path / "trace.jsonl"
    file.write_text("old")
    with pytest.raises(ValueError, match="has no contrast prompt"):
        dpodiff.improve(
            PROMPT,
            model=NoImages(),
            loss=without_contrasts(),
            space="nplib",
            trace=file,
            **SETTINGS,
        )
    assert file.read_text() == "old"


def test_a_search_takes_an_ensemble_that_is_calibrated(toy):
    images = toy.generate([PROMPT] * 4, [""] * 4, range(100, 104))
    names = ["toy", "toy-heldout"]
    ensemble = Ensemble(names, "worst").fit(images, [PROMPT] * 4)
    result = dpodiff.improve(PROMPT, model=toy, loss=ensemble, solver="random", **SETTINGS)
    before = result.objective.images(result.objective.space.identity)
    expected = ensemble.members(before, [PROMPT]).max().item()
    assert result.baseline_losses[0] == pytest.approx(expected, abs=1e-3)
    table = ensemble.leave_one_out(before, result.images, [PROMPT])
    assert sorted(table["loss"]) == names
