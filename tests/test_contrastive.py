"""Contrast prompts, and the loss that compares an image's fit with theirs."""

import copy
import math

import pytest
import tiny
import torch

from dpodiff import Dictionary
from dpodiff.losses import Contrastive, SphericalCLIP, check_prompt
from dpodiff.spaces.contrasts import Contrast, contrast_prompts
from dpodiff.toy.words import toy_lexicon

LEXICON = Dictionary(
    antonyms={"red": ["green", "blue"], "blue": ["green"], "ball": ["box"], "left of": ["right of"]}
)


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))


def of(prompt: str) -> list[str]:
    return [contrast.prompt for contrast in contrast_prompts(prompt, LEXICON)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tiny.clip(tmp_path_factory.mktemp("clip") / "tiny")
    return SphericalCLIP(f"local-dir:{folder}", device="cpu")


def test_each_word_with_opposites_is_exchanged_alone():
    assert contrast_prompts("A red  ball.", LEXICON) == [
        Contrast("A green  ball.", "red", "green"),
        Contrast("A blue  ball.", "red", "blue"),
        Contrast("A red  box.", "ball", "box"),
    ]


def test_words_of_one_kind_change_places():
    found = of("a red ball left of a blue cup")
    assert "a blue ball left of a red cup" in found
    assert "a red ball right of a blue cup" in found
    assert "a ball red left of a blue cup" not in found  # a color and a thing do not


def test_an_opposite_that_the_prompt_asks_for_is_no_contrast():
    assert "a blue ball, a blue box" not in of("a red ball, a blue box")


def test_a_repeated_word_does_not_change_places_with_itself():
    assert len(set(of("a red cup, a red cup"))) == len(of("a red cup, a red cup"))
    assert "a red cup, a red cup" not in of("a red cup, a red cup")


@pytest.mark.parametrize(
    ("prompt", "swap"),
    [
        ("a red cup and a blue cup", None),  # says the same in another order
        ("a red cup, a blue cup on a table", None),
        ("a red cup and a blue jar", "a blue cup and a red jar"),
        ("a red cup left of a blue cup", "a blue cup left of a red cup"),
        ("a small red cup and a blue cup", "a small blue cup and a red cup"),
    ],
)
def test_a_list_in_another_order_is_no_contrast(prompt, swap):
    swaps = [
        contrast.prompt for contrast in contrast_prompts(prompt, LEXICON) if "," in contrast.old
    ]
    assert swaps == ([swap] if swap else [])


def test_articles_follow_the_new_word():
    lexicon = Dictionary(antonyms={"red": ["orange"], "old": ["new"]})
    assert [
        contrast.prompt for contrast in contrast_prompts("A red cup on an old box", lexicon)
    ] == [
        "An orange cup on an old box",
        "A red cup on a new box",
    ]


def test_the_toy_lexicon_has_contrasts_for_relations_and_pairs():
    prompt = "a red ball left of a blue box on the sea"
    found = [contrast.prompt for contrast in contrast_prompts(prompt, toy_lexicon())]
    assert "a red ball right of a blue box on the sea" in found
    assert "a blue ball left of a red box on the sea" in found
    assert len(found) == len(set(found))
    assert prompt not in found


def test_both_forms_equal_a_computation_by_hand(clip):
    prompts, batch = ["a red ball", "a blue cup", "a red ball"], images(3)
    for row, prompt in enumerate(prompts):
        texts = clip.text_features([prompt, *of(prompt)])
        cosines = [float(clip.features(batch[row : row + 1])[0] @ text) for text in texts]
        scale = clip.clip.logit_scale.exp().item()
        softmax = math.log(sum(math.exp(scale * c) for c in cosines)) - scale * cosines[0]
        margin = max(cosines[1:]) - cosines[0]
        assert Contrastive(clip, of)(batch, prompts)[row].item() == pytest.approx(softmax, abs=1e-4)
        worst = Contrastive(clip, of, "margin")(batch, prompts)[row].item()
        assert worst == pytest.approx(margin, abs=1e-5)


@pytest.mark.parametrize("form", ["softmax", "margin"])
def test_gradients_agree_with_differences_in_float64(clip, form):
    exact = copy.copy(clip)
    exact.clip = copy.deepcopy(clip.clip).double()
    exact._texts = type(clip._texts)(exact._encode_texts)
    loss = Contrastive(exact, of, form)
    batch = images(2).double().requires_grad_()
    features = exact.features
    assert features(batch).dtype == torch.float64
    prompts = ["a red ball", "a blue cup"]
    direction = torch.randn(batch.shape, generator=torch.Generator().manual_seed(1)).double()

    def total(x):  # before the cast to float32
        rows = [loss._losses(features(x[i : i + 1]), p) for i, p in enumerate(prompts)]
        return torch.cat(rows).sum()

    total(batch).backward()
    step = 1e-5
    with torch.no_grad():
        slope = (total(batch + step * direction) - total(batch - step * direction)) / (2 * step)
    assert (batch.grad * direction).sum().item() == pytest.approx(slope.item(), rel=1e-5)


def test_texts_are_encoded_once(clip, monkeypatch):
    encoded = []
    fresh = SphericalCLIP(clip.name, device="cpu")
    encode = fresh._encode_texts
    monkeypatch.setattr(
        fresh._texts, "_encode", lambda texts: encoded.extend(texts) or encode(texts)
    )
    loss = Contrastive(fresh, of)
    for _ in range(2):
        loss(images(2), ["a red ball", "a red ball"])
    assert sorted(encoded) == sorted(["a red ball", *of("a red ball")])


def test_a_prompt_without_contrasts_is_refused_by_name(clip):
    with pytest.raises(ValueError, match="'a cup' has no contrast prompt"):
        Contrastive(clip, of)(images(1), ["a cup"])
    with pytest.raises(ValueError, match="'a cup' has no contrast prompt"):
        check_prompt(Contrastive(clip, of), "a cup")
    with pytest.raises(ValueError, match="form must be one of softmax, margin"):
        Contrastive(clip, of, "sum")


def test_margins_name_the_statement_that_the_images_miss(clip):
    batch, prompt = images(4), "a red ball"
    table = Contrastive(clip, of).margins(batch, prompt)
    assert sorted(table["contrast"]) == sorted(of(prompt))
    assert table["margin"].is_monotonic_increasing
    own = clip.features(batch) @ clip.text_features([prompt])[0]
    other = clip.features(batch) @ clip.text_features([table["contrast"][0]])[0]
    assert table["margin"][0] == pytest.approx((own - other).mean().item(), abs=1e-6)
    assert table["better"][0] == (own > other).float().mean().item()
