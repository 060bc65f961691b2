"""What is seen inside a rollout: attention maps and predictions of prompt and negative prompt."""

import pytest
import tiny
import torch

import dpodiff
from dpodiff.models import load
from dpodiff.models.attention import reading_maps
from dpodiff.models.recorder import record_rollout, token_places
from dpodiff.models.window import steps_in

STEPS, SIZE = 4, 4  # of a rollout; of the tiny models' maps
BUILDERS = {"sd-v1": tiny.stable_diffusion, "sdxl": tiny.sdxl}
JOBS = ["a red ball", "a blue box"], ["blurry", "a tree"], [0, 1]


@pytest.fixture(scope="module", params=BUILDERS)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "tiny"
    model = load(str(BUILDERS[request.param](folder)), device="cpu")
    model.steps, model.guidance, model.image_size = STEPS, 3.0, 16
    return model


@pytest.mark.parametrize("windows", [None, [(0.25, 0.5), None], [(0, 0), (0.5, 1)]])
def test_what_is_recorded_does_not_change_the_images(model, windows):
    processors = {name: type(own) for name, own in model.unet.attn_processors.items()}
    recording = record_rollout(model, *JOBS, windows=windows)
    expected = model.generate(*JOBS, windows=windows)
    torch.testing.assert_close(recording.images, expected, atol=1e-4, rtol=0)
    assert processors == {name: type(own) for name, own in model.unet.attn_processors.items()}


def test_maps_of_a_pixel_sum_to_one_over_the_tokens(model):
    branch = record_rollout(model, *JOBS).positive
    layers = sum("attn2" in name for name in model.unet.attn_processors)
    size = model.latent_size
    assert branch.maps.shape[:2] == (STEPS, 2) and branch.maps.shape[3:] == (size, size)
    total = branch.maps.mean((3, 4)).sum(2)
    torch.testing.assert_close(total, torch.full_like(total, layers), atol=0.05 * layers, rtol=0)
    assert (branch.squares > 0).all() and branch.squares.shape == branch.maps.shape[:3]


def test_maps_are_those_of_the_stock_processor_that_keeps_probabilities(model):
    from diffusers.models.attention_processor import AttnProcessor

    kept = []

    class Keeping(AttnProcessor):
        def __call__(self, attn, hidden_states, encoder_hidden_states=None, **named):
            if encoder_hidden_states is not None:
                original = attn.get_attention_scores
                attn.get_attention_scores = lambda *a: kept.append(original(*a)) or kept[-1]
                try:
                    return super().__call__(attn, hidden_states, encoder_hidden_states, **named)
                finally:
                    del attn.get_attention_scores
            return super().__call__(attn, hidden_states, encoder_hidden_states, **named)

    x, t, text = model.latents([0]), 500, model.encode(["a red ball"])
    with torch.no_grad(), reading_maps(model.unet, SIZE) as sums:
        model.denoise(x, t, text)
    before = model.unet.attn_processors
    model.unet.set_attn_processor(Keeping())
    with torch.no_grad():
        model.denoise(x, t, text)
    model.unet.set_attn_processor(before)
    assert {maps.shape[1] for maps in kept} == {SIZE**2}  # so that none is resized
    squares = sum(maps.square().mean(1).sum(0) for maps in kept)
    torch.testing.assert_close(sums.squares[0], squares, atol=1e-5, rtol=1e-3)


def test_the_toy_model_is_recorded_too():
    model = dpodiff.load("toy")
    recording = record_rollout(model, ["a red ball"], ["a tree"], [3], steps=2)
    expected = model.generate(["a red ball"], ["a tree"], [3], steps=2)
    torch.testing.assert_close(recording.images, expected, atol=1e-4, rtol=0)
    assert recording.negative.maps.shape == (2, 1, 32, 16, 16)


def test_predictions_are_those_of_the_denoiser(model):
    recording = record_rollout(model, *JOBS)
    x, t = model.latents(JOBS[2]), model.scheduler(STEPS).timesteps[0]
    with torch.no_grad():
        towards = model.denoise(x, t, model.encode(JOBS[0]))
        away = model.denoise(x, t, model.encode(JOBS[1]))
    torch.testing.assert_close(recording.positive.predictions[0], towards, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(recording.negative.predictions[0], away, atol=1e-4, rtol=1e-3)
    flat = [p.flatten(1).double() for p in (towards, away)]
    expected = (flat[0] * flat[1]).sum(1).abs() / flat[1].norm(dim=1)
    torch.testing.assert_close(recording.projection()[0], expected, atol=1e-3, rtol=1e-3)


def test_a_negative_prompt_equal_to_the_prompt_has_strength_one(model):
    recording = record_rollout(model, ["a red ball"], ["a red ball"], [0])
    torch.testing.assert_close(recording.strength(), torch.ones(STEPS, 1))
    same = torch.cosine_similarity(
        recording.negative.predictions[1:].flatten(2),
        recording.negative.predictions[:-1].flatten(2),
        dim=2,
    )
    torch.testing.assert_close(recording.momentum(), same)
    torch.testing.assert_close(recording.momentum(recording.positive), same, atol=1e-4, rtol=0)


def test_the_strength_of_a_word_is_that_of_its_tokens(model):
    recording = record_rollout(model, ["a ball", "a box"], ["blurry", "a tree"], [0, 1])
    places = [token_places(model, "blurry", "blurry"), token_places(model, "a tree", "tree")]
    strength = recording.strength(places)
    squares, below = recording.negative.squares, recording.positive.squares.mean(2)
    for row, own in enumerate(places):
        expected = squares[:, row, own].mean(1) / below[:, row]
        torch.testing.assert_close(strength[:, row], expected)


def test_a_branch_sees_the_same_before_its_window_opens(model):
    windows = [(0.5, 1.0), (0.5, 1.0)]
    opened = record_rollout(model, *JOBS, windows=windows)
    never = record_rollout(model, *JOBS, windows=[(0, 0)] * 2)
    first = steps_in(windows[0], STEPS).start
    for side in ("positive", "negative"):
        one, two = (getattr(r, side).predictions for r in (opened, never))
        torch.testing.assert_close(one[: first + 1], two[: first + 1], atol=1e-4, rtol=0)
        assert not torch.allclose(one[-1], two[-1], atol=1e-4)


def test_encodings_may_take_the_place_of_negative_prompts(model):
    texts = record_rollout(model, *JOBS)
    encoded = record_rollout(model, JOBS[0], model.encode(JOBS[1]), JOBS[2])
    torch.testing.assert_close(texts.images, encoded.images)


def test_places_of_words_count_the_start_token(model):
    text = "blurry, a red ball"
    places = token_places(model, text, "red ball")
    ids = model.text_encoders[0].tokenize([text])[0]
    assert model.text_encoders[0].tokenizer.decode(ids[places]).strip() == "red ball"
    with pytest.raises(ValueError, match="'bal' is not in"):
        token_places(model, text, "bal")


def test_models_without_cross_attention_or_guidance_are_refused(model, tmp_path):
    with pytest.raises(ValueError, match="set it above 1"):
        record_rollout(model, *JOBS, guidance=1.0)
    other = load(str(tiny.sd3(tmp_path / "sd3", t5=False)), device="cpu")
    with pytest.raises(ValueError, match="no U-Net"):
        record_rollout(other, *JOBS)
    with pytest.raises(ValueError, match="no U-Net"):
        token_places(other, "a ball", "ball")
