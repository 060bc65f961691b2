"""A loaded pipeline of diffusers is a model, with everything that was done to it."""

import sys

import pytest
import tiny
import torch
from diffusers import (
    EulerDiscreteScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
)
from families import BUILDERS, Family
from torch import nn

import dpodiff
from dpodiff.gradients.mixing import mix
from dpodiff.models import LoadError, load
from dpodiff.models.pipelines import is_pipeline
from dpodiff.spaces.space import Slot, Space

PROMPT = "a red ball, on the sea"
SPACE = Space(PROMPT, (Slot("ball", ("ball", "boat")), Slot("", ("", "blurry"), "negative")))


def brightness(images, prompts):
    return images.mean(dim=(1, 2, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.stable_diffusion(tmp_path_factory.mktemp("pipelines") / "model")


def pipeline_of(folder, kind=StableDiffusionPipeline, dtype=torch.float32, **parts):
    pipeline = kind.from_pretrained(folder, dtype=dtype, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def pipeline(folder):
    return pipeline_of(folder)


def stock(pipeline, prompt, negative_prompt="", seed=0):
    arguments = {"height": 16, "width": 16, "guidance_scale": 5.0, "num_inference_steps": 4}
    generator = torch.Generator().manual_seed(seed)
    return pipeline(
        prompt,
        negative_prompt=negative_prompt,
        generator=generator,
        output_type="pt",
        **arguments,
    ).images


def ours(model, prompt, negative_prompt="", seed=0):
    return model.generate([prompt], [negative_prompt], [seed], steps=4, guidance=5.0)


def assert_as_stock(pipeline, prompt=PROMPT, negative_prompt=""):
    images = ours(load(pipeline), prompt, negative_prompt)
    torch.testing.assert_close(images, stock(pipeline, prompt, negative_prompt), atol=2e-5, rtol=0)
    return images


@pytest.mark.parametrize("name", ["sd-v2", "sdxl", "sd3.5 without T5", "flux-dev"])
def test_the_model_of_a_pipeline_is_that_of_its_folder(name, tmp_path):
    family = Family(name, BUILDERS[name](tmp_path / "model"))
    model, same = load(family.pipeline), family.load()
    model.image_size, model.guidance = 16, 5.0
    assert model.denoiser in family.pipeline.components.values()
    assert (model.steps, model.name) == (same.steps, same.name)
    same.guidance = 5.0
    torch.testing.assert_close(ours(model, PROMPT, "blurry"), ours(same, PROMPT, "blurry"))


def test_networks_are_shared_and_keep_their_dtype(folder):
    pipeline = pipeline_of(folder, dtype=torch.bfloat16)
    pointers = {p.data_ptr() for p in pipeline.unet.parameters()}
    model = load(pipeline)
    assert model.unet is pipeline.unet and model.vae is pipeline.vae
    assert model.text_encoder is pipeline.text_encoder and model.dtype == torch.bfloat16
    assert {p.data_ptr() for p in model.unet.parameters()} == pointers
    assert not any(p.requires_grad for p in model.unet.parameters())


def test_a_decoder_in_float16_is_copied_to_float32(folder):
    pipeline = pipeline_of(folder, dtype=torch.float16)
    model = load(pipeline)
    assert (pipeline.vae.dtype, model.vae.dtype) == (torch.float16, torch.float32)
    assert model.dtype == pipeline.unet.dtype == torch.float16


def test_the_settings_of_its_scheduler_are_used(pipeline):
    config = pipeline.scheduler.config
    images = assert_as_stock(pipeline)
    pipeline.scheduler = EulerDiscreteScheduler.from_config(config, beta_end=0.02)
    assert (assert_as_stock(pipeline) - images).abs().max() > 1e-3


class LoRA(nn.Module):
    """What a low-rank adapter does to a layer (Hu et al., 2022)."""

    def __init__(self, layer, rank=2):
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        self.scale = 1.0

    def forward(self, x):
        return self.layer(x) + self.scale * self.up(self.down(x))

    def fused(self):
        self.layer.weight.data += self.scale * self.up.weight @ self.down.weight
        return self.layer


def test_adapters_change_the_images_as_they_do_in_the_stock_pipeline(pipeline):
    plain = assert_as_stock(pipeline)
    torch.manual_seed(0)
    attention = pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn2
    attention.to_q, attention.to_v = LoRA(attention.to_q), LoRA(attention.to_v)
    text = pipeline.text_encoder.encoder.layers[0].self_attn
    text.v_proj = LoRA(text.v_proj)
    adapted = assert_as_stock(pipeline)
    assert (adapted - plain).abs().max() > 1e-3
    attention.to_v = attention.to_v.fused()
    text.v_proj = text.v_proj.fused()
    torch.testing.assert_close(assert_as_stock(pipeline), adapted, atol=2e-5, rtol=0)
    attention.to_q.scale = 0.0
    assert (assert_as_stock(pipeline) - adapted).abs().max() > 1e-4


@pytest.fixture
def taught(pipeline):
    """A pipeline that knows <one>, a token of one vector, and <two>, a token of two."""
    torch.manual_seed(0)
    width = pipeline.text_encoder.config.hidden_size
    pipeline.load_textual_inversion(torch.randn(1, width), token="<one>")
    pipeline.load_textual_inversion(torch.randn(2, width), token="<two>")
    return pipeline


def test_tokens_of_textual_inversion_act(taught):
    images = [
        assert_as_stock(taught, f"a {word} on the sea", "<two> ball")
        for word in ("ball", "<one>", "<two>")
    ]
    assert all((image - images[0]).abs().max() > 1e-3 for image in images[1:])
    assert len(load(taught).text_encoders[0].tokenize(["a <two>"])[0].unique()) == 5


def test_tokens_of_textual_inversion_are_words_of_a_search(taught):
    model = load(taught)
    space = Space("a ball", (Slot("ball", ("ball", "<one>", "<two>")),))
    for candidate in space:
        corner = tuple(torch.eye(3, dtype=torch.float64)[k] for k in candidate)
        (pieces, _), (text, _) = mix(space, corner), space.decode(candidate)
        torch.testing.assert_close(model.encode_mixture(pieces), model.encode([text]))


@pytest.fixture
def search(pipeline):
    """Settings of a search with a pipeline of one step."""
    config = pipeline.scheduler.config
    pipeline.scheduler = EulerDiscreteScheduler.from_config(config, timestep_spacing="trailing")
    words = {"space": "modifiers", "modifiers": ["blurry"], "lexicon": "toy", "verify": 0}
    how = {"budget": 2, "seeds": 1, "progress": False}
    return {"model": pipeline, "loss": brightness, **words, **how}


def lengths(texts):
    return torch.tensor([[1.0, len(text)] for text in texts])


def test_searches_take_a_pipeline(search):
    said = {**search, "prompt": "a ball"}
    assert dpodiff.improve(**said).cost.images == 2
    assert dpodiff.attack(**said, similarity=-1, encoder=lengths).cost.images == 2
    of_words = ("space", "modifiers", "verify")
    noise = {name: value for name, value in said.items() if name not in of_words}
    assert dpodiff.align(**noise, method="best-of-n").cost.images == 2


def test_a_sweep_takes_a_pipeline(search, tmp_path):
    table = dpodiff.sweep(["a ball"], out=tmp_path / "sweep", **search)
    assert table["status"].tolist() == ["budget"]


def test_pipelines_of_other_classes_are_refused(folder):
    other = pipeline_of(folder, StableDiffusionImg2ImgPipeline)
    said = "a StableDiffusionImg2ImgPipeline, which is not supported; these are: .*FluxPipeline"
    with pytest.raises(LoadError, match=said):
        load(other)
    with pytest.raises(LoadError, match=said):
        dpodiff.improve(PROMPT, model=other)
    load(StableDiffusionPipeline.from_pipe(other))  # as the message says


def test_a_pipeline_without_a_part_is_refused(folder):
    with pytest.raises(LoadError, match="it has no text_encoder"):
        load(pipeline_of(folder, text_encoder=None))


def test_a_pipeline_keeps_its_device_and_dtype(pipeline):
    for settings in ({"device": "cpu"}, {"dtype": torch.float16}):
        with pytest.raises(ValueError, match=r"keeps its device and dtype: use pipeline\.to"):
            load(pipeline, **settings)


def test_looking_for_a_pipeline_does_not_import_diffusers(monkeypatch):
    name = "diffusers.pipelines.pipeline_utils"
    monkeypatch.delitem(sys.modules, name)
    assert not is_pipeline(5) and name not in sys.modules
