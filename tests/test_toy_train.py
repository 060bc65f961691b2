import dataclasses
import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from dpodiff.toy.captions import STYLES, training_caption
from dpodiff.toy.scenes import DEFECTS, Scene, Thing, random_scene
from dpodiff.toy.train import __main__ as command, clip as stage
from dpodiff.toy.train.clip import augment, save_clip, train_clip, with_twins
from dpodiff.toy.train.data import held_out, training_scenes
from dpodiff.toy.train.diffusion import (
    DEFECT_SHARE,
    Pool,
    build_scheduler,
    build_unet,
    cell_weight,
    latent_pool,
    scene_weight,
    spread_times,
    text_encoder_from,
    train_diffusion,
    v_weight,
)
from dpodiff.toy.train.fitting import Recipe
from dpodiff.toy.train.prompts import draw_prompts
from dpodiff.toy.train.tokenizer import LENGTH, load_tokenizer, train_tokenizer
from dpodiff.toy.train.vae import build_vae
from dpodiff.toy.words import CONCEPTS

TINY_VISION = {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 64}
TINY_TEXT = {"width": 32, "heads": 2, "layers": 2}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Folder of a tokenizer that has read few captions."""
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(folder, captions=1500)
    return folder


@pytest.fixture(scope="module")
def tokenizer(words):
    return load_tokenizer(words)


@pytest.fixture(scope="module")
def captions():
    rng = np.random.default_rng(7)
    few = [training_caption(random_scene(rng), rng) for _ in range(200)]
    return few + [prompt for style in STYLES for prompt in draw_prompts(style)[:30]]


@pytest.fixture(scope="module")
def clip(words, tmp_path_factory):
    """Folder of a tiny CLIP, trained for two steps by the recipe's own stage."""
    folder = tmp_path_factory.mktemp("clip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "VISION", {"tiny": TINY_VISION})
        patch.setattr(stage, "TEXT", {"tiny": TINY_TEXT})
        recipe = Recipe(steps=2, batch=4)
        train_clip("tiny", folder / "tiny", words, folder / "runs", "cpu", recipe)
    return folder / "tiny"


@pytest.fixture
def shop(tmp_path):
    """A workshop whose stages take two steps."""
    return command.Workshop(tmp_path / "weights", tmp_path / "runs", "cpu", scale=1e-9)


# The tokenizer


def test_the_end_token_has_the_largest_id(tokenizer):
    # open_clip finds the end of a text by its largest id.
    assert tokenizer.eos_token_id == len(tokenizer) - 1
    assert tokenizer.bos_token_id == len(tokenizer) - 2
    assert tokenizer.pad_token_id == tokenizer.eos_token_id


def test_common_words_are_one_token_and_rare_ones_are_spelled(tokenizer):
    def pieces(rank):
        groups = (CONCEPTS[kind] for kind in ("object", "color", "background"))
        return [len(tokenizer.tokenize(ws[rank])) for group in groups for ws in group.values()]

    assert set(pieces(0)) == {1}
    assert np.mean(pieces(-1)) > 1.5


def test_every_caption_fits_the_context(tokenizer, captions):
    assert max(map(len, tokenizer(captions).input_ids)) <= LENGTH == tokenizer.model_max_length


def test_tokens_give_the_caption_back(tokenizer, captions):
    ids = tokenizer(captions[:50]).input_ids
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    assert [t.replace(" ,", ",").strip() for t in texts] == captions[:50]


def test_open_clip_reads_the_same_tokens(tokenizer, clip, captions):
    ids = tokenizer(captions, padding="max_length", return_tensors="pt").input_ids
    assert torch.equal(open_clip.get_tokenizer(f"local-dir:{clip}")(captions), ids)


# The stages


def fields(scene):
    """Every attribute of a scene by its place."""
    table = {k: getattr(scene, k) for k in ("relation", "background", "defect")}
    for i, thing in enumerate(scene.things):
        table |= {(i, k): v for k, v in dataclasses.asdict(thing).items()}
    return table


def test_a_twin_differs_in_one_attribute_or_in_its_places():
    rng = np.random.default_rng(3)
    changed, pair = set(), {"places": "pair", "relation": "pair"}
    for _ in range(400):
        (scene,) = training_scenes(1, rng)
        both = with_twins([scene], rng)
        assert both[0] == scene
        kinds = {difference(scene, twin) for twin in both[1:]}
        assert len({pair.get(kind, kind[1]) for kind in kinds}) <= 1
        changed |= kinds
    assert changed >= {"places", "relation", "background", "defect"}
    assert changed >= {(0, "object"), (1, "object"), (0, "color"), (0, "size")}


def difference(scene, twin):
    """The one attribute in which a twin differs."""
    if len(scene.things) > 1 and twin == dataclasses.replace(scene, things=scene.things[::-1]):
        return "places"
    one, other = fields(scene), fields(twin)
    (key,) = [key for key in one if one[key] != other[key]]
    return key


def test_twins_are_all_different_and_never_held_out():
    rng = np.random.default_rng(4)
    for scene in training_scenes(200, rng):
        both = with_twins([scene], rng)
        assert len(set(both)) == len(both) <= 4
        assert not any(map(held_out, both))


def test_augmented_images_stay_images():
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    one, same = (augment(images, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one, same)
    assert one.shape == images.shape
    assert one.min() >= 0 and one.max() <= 1
    assert 0 < (one - images).abs().mean() < 0.2


def test_a_trained_clip_is_a_folder_of_open_clip(clip):
    model = open_clip.create_model(f"local-dir:{clip}").eval()
    stored = load_file(clip / "open_clip_model.safetensors")
    assert stored["positional_embedding"].dtype == torch.float16
    torch.testing.assert_close(model.positional_embedding, stored["positional_embedding"].float())
    with torch.no_grad():
        features = model.encode_image(torch.zeros(1, 3, 64, 64), normalize=True)
    assert features.shape == (1, 128)
    assert features.isfinite().all()


def test_the_text_encoder_gives_the_token_features_of_open_clip(clip, captions, tmp_path):
    torch.manual_seed(5)
    model = open_clip.create_model(f"local-dir:{clip}").eval()
    for parameter in model.parameters():  # fresh biases are zeros, which any order would match
        nn.init.normal_(parameter, std=0.3)
    config = (clip / "open_clip_config.json").read_text()
    (tmp_path / "open_clip_config.json").write_text(config)
    save_clip(model.state_dict(), tmp_path)
    model.load_state_dict(load_file(tmp_path / "open_clip_model.safetensors"))
    tokens = open_clip.get_tokenizer(f"local-dir:{clip}")(["", *captions[:20]])
    seen = []
    handle = model.ln_final.register_forward_hook(lambda _, inputs, output: seen.append(output))
    with torch.no_grad():
        model.encode_text(tokens)
        states = text_encoder_from(tmp_path).eval()(tokens).last_hidden_state
    handle.remove()
    assert states.shape == (21, LENGTH, TINY_TEXT["width"])
    torch.testing.assert_close(states, seen[0], atol=1e-4, rtol=1e-4)


def test_the_weight_of_v_is_one_in_noise_and_falls_towards_clean_latents():
    alphas = build_scheduler().alphas_cumprod  # from nearly clean to noise
    weights = v_weight(alphas)
    snr = alphas / (1 - alphas)
    torch.testing.assert_close(weights[snr <= 5], torch.ones(int((snr <= 5).sum())))
    assert (weights.diff() >= -1e-6).all()
    assert weights[0] == pytest.approx(6 / (1 + snr[0].item()), rel=1e-4)


def test_latents_are_kept_with_the_scenes_they_show(tmp_path):
    torch.manual_seed(6)
    vae = build_vae().eval()
    path = tmp_path / "latents.safetensors"
    pool = latent_pool(vae, 3, path, "cpu")
    assert pool.latents.shape == (3, 4, 16, 16)
    assert pool.latents.dtype == torch.float16
    assert not any(map(held_out, pool.scenes))
    again = latent_pool(None, 3, path, "cpu")  # needs no autoencoder a second time
    assert torch.equal(again.latents, pool.latents)
    assert torch.equal(again.cover, pool.cover)
    assert again.scenes == pool.scenes


def test_cells_of_things_weigh_more_and_a_image_as_much_as_any_other():
    cover = torch.zeros(2, 16, 16)
    cover[0, 4:8, 4:8] = 1
    weight = cell_weight(cover)
    assert weight[0, 5, 5] == pytest.approx(6 * weight[0, 0, 0].item())
    assert torch.allclose(weight.mean((1, 2)), torch.ones(2))
    assert torch.equal(weight[1], torch.ones(16, 16))


def test_nearly_half_of_the_draws_are_defective_and_hard_objects_are_drawn_twice_as_often():
    rng = np.random.default_rng(9)
    scenes = training_scenes(4000, rng, defect_share=DEFECT_SHARE, typical=True)
    weights = np.array([scene_weight(scene) for scene in scenes])
    dirty = np.array([scene.defect is not None for scene in scenes])
    assert weights[dirty].sum() / weights.sum() == pytest.approx(0.49, abs=0.03)
    for defect in (None, *DEFECTS):
        ball, fish, both = (
            scene_weight(Scene(tuple(map(Thing, names)), defect=defect))
            for names in (("ball",), ("fish",), ("fish", "plane"))
        )
        assert fish == both == 2 * ball


def test_timesteps_are_spread_over_the_whole_schedule():
    times = spread_times(10, torch.Generator().manual_seed(0))
    part = 10 * ((times + 0.5) / 1000) ** (5 / 3)  # the share of all draws below each, in parts
    assert part.long().tolist() == list(range(10))
    assert times.median() > 500  # they lean to noise


# The command


@pytest.fixture
def calls(monkeypatch):
    """The stages that the command runs, which do nothing."""
    done = []
    for name in command.STAGES:
        monkeypatch.setattr(command, name, lambda shop, name=name: done.append((name, shop)))
    return done


def test_all_stages_run_in_order(calls, tmp_path):
    command.main(["--out", str(tmp_path), "--runs", str(tmp_path / "runs"), "--device", "cpu"])
    assert tuple(name for name, _ in calls) == command.STAGES
    assert calls[0][1] == command.Workshop(tmp_path, tmp_path / "runs", "cpu")


def test_one_stage_runs_alone(calls):
    command.main(["--stage", "judge", "--scale", "0.001"])
    ((name, shop),) = calls
    assert name == "judge"
    assert shop.weights == command.WEIGHTS
    assert shop.recipe("vae").steps == 6
    assert shop.recipe("judge").steps == 2  # never fewer


@pytest.mark.parametrize("arguments", [["--stage", "paint"], ["--scale", "much"], ["clip"]])
def test_bad_arguments_are_refused(calls, arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert arguments[-1] in capsys.readouterr().err
    assert not calls


def fake_images(scenes, rng):
    return rng.random((len(scenes[:8]), 3, 64, 64), dtype=np.float32)


def test_a_stage_writes_its_weights_as_half_floats(shop, monkeypatch):
    monkeypatch.setattr("dpodiff.toy.train.vae.render_batch", fake_images)
    command.vae(shop)
    stored = load_file(shop.pipeline / "vae" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert json.loads((shop.pipeline / "vae" / "config.json").read_text())["scaling_factor"] > 0


def few_latents(*_):
    generator = torch.Generator().manual_seed(8)
    return Pool(
        torch.randn(4, 4, 16, 16, generator=generator),
        torch.zeros(4, 16, 16),
        training_scenes(4, np.random.default_rng(8)),
    )


def image_of(folder):
    """An image of two steps, by plain diffusers."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    (image,) = pipeline("a red ball", num_inference_steps=2, output_type="np").images
    return image


def test_the_diffusion_stage_makes_a_pipeline_of_plain_diffusers(shop, clip, words):
    recipe = Recipe(steps=2, batch=2, slow="text_encoder")
    encoder, tokenizer = text_encoder_from(clip), load_tokenizer(words)
    unet = build_unet(encoder.config.hidden_size)
    model = train_diffusion(unet, encoder, tokenizer, few_latents(), shop.runs, "cpu", recipe)
    command.save_pipeline(shop.pipeline, model["unet"], model["text_encoder"])
    build_vae().save_pretrained(shop.pipeline / "vae")
    shutil.copytree(words, shop.pipeline / "tokenizer")
    image = image_of(shop.pipeline)
    assert image.shape == (64, 64, 3)
    assert np.isfinite(image).all()


def test_the_small_model_is_a_pipeline_of_its_own(shop, clip, words, monkeypatch):
    monkeypatch.setattr("dpodiff.toy.train.diffusion.latent_pool", few_latents)
    build_vae().save_pretrained(shop.pipeline / "vae")
    shutil.copytree(words, shop.pipeline / "tokenizer")
    shutil.copytree(clip, shop.weights / "clip")
    command.small(shop)
    assert image_of(shop.small).shape == (64, 64, 3)
    weights = shop.small / "unet" / "diffusion_pytorch_model.safetensors"
    finished = weights.read_bytes()
    weights.unlink()
    command.main(
        ["--export", "small", "--out", str(shop.weights), "--runs", str(shop.runs)]
    )  # of the checkpoint, which is that of the last step
    assert weights.read_bytes() == finished
