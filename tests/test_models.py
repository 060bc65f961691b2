"""Models: loading, checking of prompts, and agreement with the stock diffusers pipeline."""

import json
import logging
import subprocess
import sys

import pytest
import tiny
import torch
from diffusers import DDIMScheduler, PNDMScheduler, StableDiffusionPipeline

from dpodiff import LoadError
from dpodiff.models import PromptError, load
from dpodiff.models.text_cache import TextCache
from dpodiff.toy import FOLDERS, WEIGHTS
from dpodiff.toy.digests import weights_digest
from dpodiff.toy.model import FOLDER, Toy

PROMPTS = ["a red ball", "a blue box on the sea"]
NEGATIVES = ["", "blurry"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.stable_diffusion(tmp_path_factory.mktemp("sd") / "tiny")


@pytest.fixture
def model(folder):
    return load(str(folder), device="cpu")


def stock_pipeline(folder):
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def stock_images(pipeline, **arguments):
    return pipeline(
        PROMPTS, negative_prompt=NEGATIVES, num_inference_steps=4, output_type="pt", **arguments
    ).images


@pytest.mark.parametrize(
    "scheduler",
    [
        tiny.ddim(),
        tiny.ddim(prediction_type="v_prediction"),
        tiny.ddim(timestep_spacing="trailing", set_alpha_to_one=True),
        tiny.ddim(steps_offset=0, clip_sample=True),  # as the pipeline corrects it
    ],
    ids=["epsilon", "v_prediction", "trailing", "outdated"],
)
@pytest.mark.filterwarnings("ignore:The configuration file of this scheduler")
def test_images_equal_those_of_the_stock_pipeline(scheduler, tmp_path):
    folder = tiny.stable_diffusion(tmp_path / "sd", scheduler)
    model, pipeline = load(str(folder), device="cpu"), stock_pipeline(folder)
    for guidance in (1.0, 7.5):
        images = model.generate(PROMPTS, NEGATIVES, [0, 1], steps=4, guidance=guidance)
        stock = stock_images(pipeline, latents=model.latents([0, 1]), guidance_scale=guidance)
        torch.testing.assert_close(images, stock, atol=2e-5, rtol=0)


def test_ddim_takes_over_the_schedule_of_another_scheduler(tmp_path):
    pndm = PNDMScheduler(beta_schedule="scaled_linear", steps_offset=1, skip_prk_steps=True)
    folder = tiny.stable_diffusion(tmp_path / "sd", pndm)
    model, pipeline = load(str(folder), device="cpu"), stock_pipeline(folder)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config, clip_sample=False)
    images = model.generate(PROMPTS, NEGATIVES, [0, 1], steps=4, guidance=3.0)
    stock = stock_images(pipeline, latents=model.latents([0, 1]), guidance_scale=3.0)
    torch.testing.assert_close(images, stock, atol=2e-5, rtol=0)


def test_prompt_negative_and_seed_each_change_the_image(model):
    base = (["a red ball"], ["blurry"], [0])
    image = model.generate(*base, steps=4)
    for index, other in enumerate((["a blue box"], ["green"], [1])):
        changed = model.generate(*base[:index], other, *base[index + 1 :], steps=4)
        assert (changed - image).abs().max() > 1e-3


def test_a_seed_starts_from_the_noise_of_the_stock_generator(model, folder):
    pipeline = stock_pipeline(folder)
    stock = pipeline(
        PROMPTS[0],
        num_inference_steps=4,
        generator=torch.Generator("cpu").manual_seed(7),
        output_type="pt",
    ).images
    image = model.generate(PROMPTS[:1], [""], [7], steps=4)
    torch.testing.assert_close(image, stock, atol=2e-5, rtol=0)


def test_each_row_of_noise_depends_on_its_own_seed_only(model):
    rows = model.latents([3, 1, 3])
    assert rows.shape == (3, 4, 8, 8)
    assert torch.equal(rows[0], rows[2])
    assert torch.equal(rows[1:2], model.latents([1]))


def test_images_and_attributes(model, folder):
    images = model.generate(PROMPTS, NEGATIVES, [0, 1], steps=2)
    assert images.shape == (2, 3, model.image_size, model.image_size)
    assert images.dtype == torch.float32
    assert not images.requires_grad
    assert images.min() >= 0
    assert images.max() <= 1
    assert (model.name, model.image_size) == (str(folder), 16)
    # Stored as float16, computed as float32 on a CPU.
    assert model.dtype == model.unet.dtype == model.text_encoder.dtype == torch.float32


def test_parts_are_frozen_and_decoding_stays_float32(folder):
    model = load(str(folder), device="cpu", dtype=torch.bfloat16)
    parts = (model.text_encoder, model.unet, model.vae)
    assert not any(p.requires_grad for part in parts for p in part.parameters())
    assert not any(part.training for part in parts)
    assert model.latents([0]).dtype == model.unet.dtype == torch.bfloat16
    assert model.vae.dtype == torch.float32
    assert model.generate(["a red ball"], [""], [0], steps=1).dtype == torch.float32


def test_forwards_count_denoiser_rows(model):
    model.generate(PROMPTS, NEGATIVES, [0, 1], steps=3, guidance=2.0)
    assert model.forwards == 2 * 2 * 3
    model.generate(PROMPTS, NEGATIVES, [0, 1], steps=3, guidance=1.0)
    assert model.forwards == 2 * 2 * 3 + 2 * 3


def test_each_distinct_text_is_encoded_once(model):
    seen = []
    hook = model.text_encoder.register_forward_hook(
        lambda module, inputs, output: seen.append(len(output.last_hidden_state))
    )
    first = model.encode(["a red ball", "", "a red ball"])
    again = model.encode(["a blue box", "a red ball"])
    hook.remove()
    assert seen == [2, 1]
    assert first.shape == (3, tiny.TOKENS, 32)
    assert torch.equal(first[0], first[2])
    assert torch.equal(first[0], again[1])


def test_encodings_made_in_inference_mode_can_take_part_in_gradients(model):
    with torch.inference_mode():
        model.encode(["a red ball"])
    scale = torch.ones((), requires_grad=True)
    (scale * model.encode(["a red ball"])).square().sum().backward()
    assert scale.grad > 0


def test_encodings_used_least_recently_are_forgotten_when_the_bytes_are_used_up():
    seen = []

    def encode(texts):
        seen.append(texts)
        return torch.zeros(len(texts), 4)  # 16 bytes a text

    cache = TextCache(encode, capacity=32)
    for texts in (["a", "b"], ["a", "c"], ["a"], ["b"]):
        cache(texts)
    assert seen == [["a", "b"], ["c"], ["b"]]


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction", "sample"])
def test_x0_is_recovered_from_the_true_prediction(prediction_type, tmp_path):
    folder = tiny.stable_diffusion(tmp_path / "sd", tiny.ddim(prediction_type=prediction_type))
    model = load(str(folder), device="cpu")
    x0, noise = model.latents([0, 1]), model.latents([2, 3])
    t = torch.tensor([20, 900])
    x = model.schedule.add_noise(x0, noise, t)
    truth = {
        "epsilon": noise,
        "v_prediction": model.schedule.get_velocity(x0, noise, t),
        "sample": x0,
    }[prediction_type]
    torch.testing.assert_close(model.predict_x0(x, t, truth), x0, atol=1e-4, rtol=0)
    one = model.predict_x0(x[1:], 900, truth[1:])  # one timestep for all rows
    torch.testing.assert_close(one, x0[1:], atol=1e-4, rtol=0)


def test_decoding_and_denoising_pass_gradients(model):
    x = model.latents([0]).requires_grad_()
    embeddings = model.encode(["a red ball"]).requires_grad_()
    prediction = model.denoise(x, 500, embeddings)
    model.decode(model.predict_x0(x, 500, prediction)).sum().backward()
    assert x.grad.abs().sum() > 0
    assert embeddings.grad.abs().sum() > 0


@pytest.mark.parametrize("prompt", ["", " \n"])
def test_an_empty_prompt_is_refused(model, prompt):
    with pytest.raises(PromptError, match="empty"):
        model.check(prompt)


def test_a_long_prompt_is_refused_not_cut(model):
    fits = " ".join(["red"] * (tiny.TOKENS - 2))
    model.check(fits, fits)
    for pair in ((fits + " red", ""), ("a ball", fits + " red")):
        with pytest.raises(PromptError, match=r"17 tokens.*at most 16"):
            model.generate([pair[0]], [pair[1]], [0])


def test_a_long_prompt_has_no_warning_beside_its_error(folder, monkeypatch, caplog):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    with pytest.raises(PromptError, match=r"19 tokens.*at most 16"):
        load(str(folder), device="cpu").check("red " * (tiny.TOKENS + 1))
    assert not caplog.records


def test_lists_of_unequal_length_are_refused(model):
    with pytest.raises(ValueError, match="2 prompts, 1 negative prompts and 2 seeds"):
        model.generate(PROMPTS, [""], [0, 1])


def test_steps_outside_the_schedule_are_refused(model):
    for steps in (0, 1001):
        with pytest.raises(ValueError, match="steps must be 1 to 1000"):
            model.generate(PROMPTS, NEGATIVES, [0, 1], steps=steps)


def test_the_toy_names_unknown_words_and_offers_near_ones(folder):
    toy = Toy.from_pretrained(folder, name="toy", device="cpu")
    toy.check("A red ball, on the sea!")
    with pytest.raises(PromptError, match=r"'bal' \(near: ball.*'xylophone';"):
        toy.check("a red bal and a xylophone")
    with pytest.raises(PromptError, match=r"'blury' \(near: .*blurry"):
        toy.check("a ball", "blury")


@pytest.mark.skipif(
    not (FOLDER / "model_index.json").is_file(), reason="the toy model is not trained"
)
def test_the_toy_folder_makes_the_same_images_in_stock_diffusers():
    model = load("toy", device="cpu")
    stock = stock_images(stock_pipeline(FOLDER), latents=model.latents([0, 1]), guidance_scale=7.5)
    images = model.generate(PROMPTS, NEGATIVES, [0, 1], steps=4, guidance=7.5)
    torch.testing.assert_close(images, stock, atol=1e-4, rtol=0)


@pytest.mark.skipif(
    not (FOLDERS["toy-small"] / "model_index.json").is_file(), reason="it is not trained"
)
def test_the_second_toy_model_is_smaller_and_makes_other_images():
    first, second = load("toy", device="cpu"), load("toy-small", device="cpu")
    assert (type(second), second.name) == (Toy, "toy-small")
    sizes = [sum(p.numel() for p in model.unet.parameters()) for model in (first, second)]
    assert sizes[1] < sizes[0] / 2
    assert torch.equal(first.latents([0]), second.latents([0]))
    images = [model.generate(["a red ball"], [""], [0], steps=2) for model in (first, second)]
    assert (images[0] - images[1]).abs().mean() > 0.01
    assert weights_digest("toy-small") != weights_digest("toy")
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*.safetensors")) <= 40e6


@pytest.mark.parametrize("name", FOLDERS)
def test_a_missing_toy_says_how_to_train_it(monkeypatch, tmp_path, name):
    monkeypatch.setitem(FOLDERS, name, tmp_path / "none")
    stage = "" if name == "toy" else " --stage small"
    with pytest.raises(
        LoadError, match=rf"none; train it with `python -m dpodiff\.toy\.train{stage}`"
    ):
        load(name)


def test_an_unknown_model_lists_what_would_be_right(tmp_path):
    with pytest.raises(
        LoadError, match="no model or folder 'tyo'; give one of 'toy', 'toy-small', 'sd-v1-4'"
    ):
        load("tyo")
    with pytest.raises(LoadError, match=rf"{tmp_path} holds no model_index\.json"):
        load(str(tmp_path))


def test_an_unsupported_pipeline_is_named(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "KandinskyPipeline"}))
    with pytest.raises(LoadError, match=f"{tmp_path} is a KandinskyPipeline"):
        load(str(tmp_path))


def test_a_hub_id_that_cannot_be_had_is_explained(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(*_):
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(LoadError, match="someone/something cannot be loaded: .*folder of a"):
        load("someone/something")


def test_importing_models_imports_neither_diffusers_nor_transformers():
    code = (
        "import sys, dpodiff.models; "
        "print([m for m in ('diffusers', 'transformers', 'torchvision') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
