"""Mixed prompts: exact at the corners, differentiable between them."""

import pytest
import tiny
import torch
from hypothesis import given, settings, strategies as st

from dpodiff.gradients.mixing import mix
from dpodiff.gradients.relaxation import corner
from dpodiff.models import PromptError
from dpodiff.models.mixture import Piece
from dpodiff.models.stable_diffusion import StableDiffusion
from dpodiff.spaces.space import Slot, Space

SPACE = Space(
    "a red ball, on the sea",
    (
        Slot("", ("", "blurry", "green star", "a"), "negative"),
        Slot("ball", ("ball", "box", "boat house", "")),
        Slot("", ("", "blurry", "sky"), "negative"),
        Slot("red", ("red", ""), start=2),
    ),
    "tree",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny.stable_diffusion(tmp_path_factory.mktemp("tiny") / "sd")
    return StableDiffusion.from_pretrained(folder, device="cpu", dtype=torch.float64)


def encoded(model, space, weights):
    return [model.encode_mixture(side) for side in mix(space, weights)]


@settings(max_examples=40, deadline=None)
@given(candidate=st.sampled_from(list(SPACE)))
def test_a_corner_is_the_candidate_it_stands_for(model, candidate):
    sides = encoded(model, SPACE, corner(SPACE, candidate))
    for side, text in zip(sides, SPACE.decode(candidate), strict=True):
        torch.testing.assert_close(side, model.encode([text]), rtol=1e-10, atol=1e-10)


def test_a_word_already_in_the_users_negative_prompt_is_not_said_again(model):
    space = Space("a ball", (Slot("", ("", "Tree", "sky"), "negative"),), "a, tree")
    _, negative = encoded(model, space, corner(space, (1,)))
    torch.testing.assert_close(negative, model.encode(["a, tree"]))


def test_words_of_one_token_are_mixed_by_their_weights(model):
    space = Space("a ball", (Slot("ball", ("ball", "box")),))
    weights = torch.tensor([0.25, 0.75], dtype=torch.float64)
    words = model.tokenizer(["ball", "box"], add_special_tokens=False).input_ids
    table = model.text_encoder.get_input_embeddings()
    seen = []
    hook = table.register_forward_hook(lambda module, ids, out: seen.append(out))
    encoded(model, space, [weights])
    hook.remove()
    # Of a whole prompt, not of a word. Before the mixture, the heavier word stands there.
    place = next(out[0] for out in seen if out.ndim == 3)
    assert torch.equal(place[2], table.weight[words[1][0]])
    mixed = weights[0] * table.weight[words[0][0]] + weights[1] * table.weight[words[1][0]]
    assert not torch.allclose(place[2], mixed)


def test_the_encoding_agrees_with_finite_differences(model):
    torch.manual_seed(0)
    logits = [torch.randn(len(slot.choices), dtype=torch.float64) for slot in SPACE.slots]
    direction = torch.randn(model.encode(["a"]).shape, dtype=torch.float64)

    def value(*logits):
        weights = [row.softmax(0) for row in logits]
        return sum((side * direction).sum() for side in encoded(model, SPACE, weights))

    assert torch.autograd.gradcheck(value, [row.requires_grad_() for row in logits])


def test_an_empty_choice_that_only_leads_still_leaves_room_for_the_others(model):
    space = Space("a ball", (Slot("", ("", "blurry", "sky"), "negative"),))
    weights = torch.tensor([0.8, 0.1, 0.1], dtype=torch.float64, requires_grad=True)
    _, negative = encoded(model, space, [weights])
    (gradient,) = torch.autograd.grad(negative.square().sum(), weights)
    assert (gradient != 0).all()


def test_a_prompt_without_slots_is_encoded_once_and_without_a_graph(model):
    positive, negative = encoded(model, Space("a ball"), [])
    assert not positive.requires_grad and not negative.requires_grad
    assert torch.equal(positive, model.encode(["a ball"]))


def test_the_embedding_table_is_left_as_it_was(model):
    before = len(model.text_encoder.get_input_embeddings()._forward_hooks)
    encoded(model, SPACE, corner(SPACE, (1, 2, 2, 1)))
    assert len(model.text_encoder.get_input_embeddings()._forward_hooks) == before


def test_too_many_tokens_are_refused(model):
    words = " ".join(["ball"] * 30)
    space = Space("a ball", (Slot("ball", ("ball", words)),))
    with pytest.raises(PromptError, match="33 tokens; 16 is the most"):
        encoded(model, space, corner(space, (1,)))


def test_words_too_long_for_the_model_are_squeezed_while_they_are_open(model):
    long = " ".join(["ball"] * 12)
    slots = [Slot("", ("", f"{long} {end}"), "negative") for end in ("sea", "sky", "box")]
    space = Space("a ball", slots)
    weights = [torch.tensor([0.4, 0.6], dtype=torch.float64, requires_grad=True) for _ in slots]
    _, negative = encoded(model, space, weights)
    assert negative.shape == model.encode([""]).shape
    gradients = torch.autograd.grad(negative.square().sum(), weights)
    assert all((gradient != 0).any() for gradient in gradients)


def test_of_more_words_than_the_model_takes_the_least_likely_have_no_place(model):
    slots = [Slot("", ("", word), "negative") for word in ("sea", "sky", "box", "ball") * 4]
    space = Space("a ball", slots)
    silent = torch.linspace(0.05, 0.95, len(slots)).tolist()
    weights = [torch.tensor([p, 1 - p], requires_grad=True) for p in silent]
    _, negative = encoded(model, space, weights)
    found = torch.autograd.grad(negative.square().sum(), weights, allow_unused=True)
    kept = [gradient is not None for gradient in found]
    assert 2 < sum(kept) < len(slots)
    assert kept == sorted(kept, reverse=True)


@pytest.mark.parametrize("sizes", [(4, 4, 3), (4, 4, 3, 5)])
def test_weights_that_do_not_fit_the_slots_are_refused(sizes):
    with pytest.raises(ValueError, match="slot"):
        mix(SPACE, [torch.ones(size) / size for size in sizes])


def test_the_shown_choice_says_something_unless_nothing_else_has_weight():
    assert Piece(("", "a", "b"), torch.tensor([0.6, 0.1, 0.3])).shown == 2
    assert Piece(("", "a", "b"), torch.tensor([1.0, 0.0, 0.0])).shown == 0
    assert Piece(("text",)).shown == 0
