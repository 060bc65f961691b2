"""Where models compute, what of them is kept elsewhere, and what a CPU will cost."""

import inspect
import warnings
from types import SimpleNamespace

import pytest
import tiny
import torch
from accelerate import cpu_offload, cpu_offload_with_hook
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from families import BUILDERS

import dpodiff
from dpodiff.gradients import Checkpointed
from dpodiff.gradients.mixing import mix
from dpodiff.models import LoadError, estimates, load
from dpodiff.models.batches import Batches
from dpodiff.models.devices import choose_device, default_dtype
from dpodiff.spaces.space import Slot, Space

SPACE = Space("a red ball", (Slot("ball", ("ball", "boat")), Slot("red", ("red", "blue"), start=2)))
WEIGHTS = [torch.tensor([0.4, 0.6], dtype=torch.float64) for _ in SPACE.slots]


@pytest.fixture(scope="module", params=["sd-v1", "sdxl", "sd3"])
def folder(request, tmp_path_factory):
    return BUILDERS[request.param](tmp_path_factory.mktemp("devices") / "model")


@pytest.fixture
def pipeline(tmp_path):
    folder = tiny.stable_diffusion(tmp_path / "model")
    return StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)


def made(model):
    """Images, and the gradient of the weights of mixed words."""
    model.image_size = 16
    images = model.generate(["a red ball"] * 2, ["blurry", ""], [0, 1], steps=2, guidance=3.0)
    weights = [row.clone().requires_grad_() for row in WEIGHTS]
    texts = [model.encode_mixture(side) for side in mix(SPACE, weights)]
    seen = Checkpointed()(model, model.latents([0]), *texts, steps=2, guidance=3.0)
    return images, *torch.autograd.grad(seen.sin().sum(), weights)


def is_offloaded(network):
    return all(p.is_meta for p in network.parameters())


def test_text_encoders_and_decoder_are_offloaded_and_images_stay_the_same(folder):
    model, whole = load(str(folder), "cpu", offload=True), load(str(folder), "cpu")
    others = [model.vae, *(encoder.network for encoder in model.text_encoders)]
    for offloaded, kept in zip(made(model), made(whole), strict=True):
        torch.testing.assert_close(offloaded, kept)
    assert all(hasattr(network, "_hf_hook") and is_offloaded(network) for network in others)
    assert not hasattr(model.denoiser, "_hf_hook") and not is_offloaded(model.denoiser)


def test_a_pipeline_may_be_offloaded_once(pipeline):
    expected = made(load(pipeline))
    model = load(pipeline, offload=True)
    assert is_offloaded(pipeline.vae) and not is_offloaded(pipeline.unet)
    for found, known in zip(made(model), expected, strict=True):
        torch.testing.assert_close(found, known)
    for found, known in zip(made(load(pipeline)), expected, strict=True):
        torch.testing.assert_close(found, known)
    with pytest.raises(LoadError, match="is offloaded already: leave out offload=True"):
        load(pipeline, offload=True)


def test_a_pipeline_that_is_offloaded_layer_by_layer_gives_images_and_gradients(pipeline):
    expected = made(load(pipeline))
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.vae):
        cpu_offload(part, "cpu")  # as `enable_sequential_cpu_offload` does on a GPU
    for found, known in zip(made(load(pipeline)), expected, strict=True):
        torch.testing.assert_close(found, known)


def test_a_pipeline_that_moves_whole_networks_gives_images_but_no_gradients(pipeline):
    expected, _, _ = made(load(pipeline))
    hook = None
    for part in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        # As `enable_model_cpu_offload` does on a GPU.
        _, hook = cpu_offload_with_hook(part, "cpu", prev_module_hook=hook)
    model = load(pipeline)
    arguments = {"steps": 2, "guidance": 3.0}
    images = model.generate(["a red ball"] * 2, ["blurry", ""], [0, 1], **arguments)
    torch.testing.assert_close(images, expected)
    with pytest.raises(ValueError, match=r"no gradients while .*offload=True"):
        made(model)


def test_a_decoder_in_float16_is_not_read_while_it_is_offloaded(pipeline):
    cpu_offload(pipeline.vae.half(), "cpu")
    with pytest.raises(LoadError, match=r"call pipeline\.vae\.to\(torch\.float32\) before"):
        load(pipeline)


def test_offload_is_a_switch():
    with pytest.raises(ValueError, match="offload must be True or False, not 'yes'"):
        load("toy", offload="yes")


def test_gpus_have_half_precision():
    cpu, nvidia, mac = map(torch.device, ("cpu", "cuda", "mps"))
    assert default_dtype(cpu, torch.float16) == torch.float32
    for half in (torch.float16, torch.bfloat16):
        assert default_dtype(nvidia, half) == default_dtype(mac, half) == half


def test_batches_begin_small_on_a_mac_and_do_not_grow():
    model = SimpleNamespace(device=torch.device("mps"), forwards=0, backwards=0)
    batches = Batches(model)
    assert [len(batch) for batch in batches.map(list, list(range(10)))] == [4, 4, 2]


def test_the_device_of_a_mac_may_be_asked_for(monkeypatch):
    monkeypatch.setattr(torch, "empty", lambda size, device: None)  # there is such a device
    assert choose_device("mps") == torch.device("mps")


def test_a_large_model_on_a_cpu_says_what_it_will_cost(folder, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(str(folder), "cpu")
    monkeypatch.setattr(estimates, "LARGE", 1)
    said = r"on the CPU.*Estimated, not measured: an image of \d+ steps takes about .*GB"
    with pytest.warns(UserWarning, match=said) as caught:
        load(str(folder), "cpu")
    assert len(caught) == 1 and caught[0].filename == __file__


def test_the_estimate_follows_parameters_steps_and_size(folder, monkeypatch):
    monkeypatch.setattr(estimates, "products_a_second", lambda dtype: 1e6 / estimates.SHARE)
    model = load(str(folder), "cpu")
    model.image_size, model.steps, model.guidance = 16, 10, 5.0
    cost = estimates.estimate(model)
    assert cost.parameters == sum(p.numel() for p in model.denoiser.parameters())
    assert cost.seconds == pytest.approx(20 * estimates.operations(model) / 1e6)
    assert cost.weights > cost.parameters * 4
    model.guidance, model.image_size = 1.0, 32
    larger = estimates.estimate(model)
    assert larger.seconds == pytest.approx(4 * cost.seconds / 2)
    assert larger.working == 4 * cost.working


def test_the_estimate_is_near_the_count_of_operations():
    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)  # Stable Diffusion 1.4, but for heads
    model = SimpleNamespace(denoiser=unet, latent_size=64)
    assert estimates.operations(model) == pytest.approx(0.8e12, rel=0.25)


def test_the_default_search_is_the_one_of_the_estimate():
    defaults = inspect.signature(dpodiff.improve).parameters
    assert defaults["budget"].default * defaults["seeds"].default == estimates.SEARCH
