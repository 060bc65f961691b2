"""Losses: agreement with open_clip by hand, gradients, names, sums, and refusal of wrong images."""

import io
import math

import numpy as np
import open_clip
import pytest
import tiny
import torch
from helpers import FakeModel, negative_space
from PIL import Image
from torchvision.transforms.functional import to_tensor

from dpodiff import Budget, LoadError, Objective, RandomSearch, improve, losses, search
from dpodiff.losses import JPEG, SphericalCLIP, Weighted, black, contrast, spherical_distance, white

PROMPTS = ["a red ball", "a blue box on the sea"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture
def loss(folder):
    return SphericalCLIP(f"local-dir:{folder}", device="cpu")


def random_images(*size, seed=0):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed))


def test_the_loss_equals_open_clip_by_hand(loss, folder):
    name = f"local-dir:{folder}"
    clip = open_clip.create_model(name).eval()
    images = random_images(2, 3, 16, 16)
    mean, std = torch.tensor([[0.4, 0.5, 0.6], [0.2, 0.3, 0.25]]).view(2, 1, 3, 1, 1)
    with torch.no_grad():
        x = clip.encode_image((images - mean) / std, normalize=True)
        y = clip.encode_text(open_clip.get_tokenizer(name)(PROMPTS), normalize=True)
    expected = 2 * torch.arcsin((x - y).norm(dim=-1) / 2) ** 2
    actual = loss(images, PROMPTS)
    assert actual.shape == (2,)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(64, 64), (48, 40), (10, 12)])
def test_preprocessing_follows_open_clip(tmp_path, resize_mode, size):
    folder = tiny.clip(tmp_path / "clip", resize_mode)
    _, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    colors = 0.2 + 0.6 * random_images(*size, 3, seed=1)
    pixels = Image.fromarray((255 * colors).byte().numpy())
    ours = SphericalCLIP(f"local-dir:{folder}", device="cpu")
    actual = ours._preprocess(to_tensor(pixels)[None])
    # Pillow rounds to 8 bits after each of its two passes, and clips brighter images there too.
    torch.testing.assert_close(actual[0], preprocess(pixels), atol=0.03, rtol=0)


def test_gradients_of_images_agree_with_finite_differences(loss):
    loss.clip.double()
    images = 0.1 + 0.8 * random_images(2, 3, 20, 20).double()
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(images, PROMPTS).sum(), images)
    for seed in range(4):
        direction = random_images(2, 3, 20, 20, seed=seed).double() - 0.5
        step = 1e-5 * direction
        with torch.no_grad():
            change = (loss(images + step, PROMPTS) - loss(images - step, PROMPTS)).sum() / 2e-5
        torch.testing.assert_close((gradient * direction).sum(), change, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-4, 1.0, 3.1, math.pi])
def test_the_distance_is_half_the_squared_angle_with_a_finite_gradient(angle):
    x = torch.tensor([math.cos(angle), math.sin(angle)], requires_grad=True)
    distance = spherical_distance(x, torch.tensor([1.0, 0.0]))
    distance.backward()
    assert distance.item() == pytest.approx(angle**2 / 2, rel=1e-3, abs=1e-6)
    assert x.grad.isfinite().all()


def test_the_plain_score_is_of_the_same_angle_as_the_loss(loss):
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    texts = ["a red ball", "a boat", "sky"]
    angle = (2 * loss(images, texts)).sqrt()
    torch.testing.assert_close(loss.score(images, texts), 100 * angle.cos(), atol=1e-3, rtol=0)


def test_each_distinct_text_is_encoded_once(loss, monkeypatch):
    encoded = []
    encode_text = loss.clip.encode_text
    monkeypatch.setattr(
        loss.clip, "encode_text", lambda ids, **k: encoded.append(len(ids)) or encode_text(ids, **k)
    )
    loss(random_images(3, 3, 16, 16), ["a red ball", "a tree", "a red ball"])
    loss(random_images(2, 3, 16, 16), ["a tree", "a boat"])
    assert encoded == [2, 1]


def test_features_are_unit_vectors(loss):
    for features in (loss.features(random_images(2, 3, 16, 16)), loss.text_features(PROMPTS)):
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(2))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (random_images(2, 16, 16, 3), r"not \(2, 16, 16, 3\); images.permute\(0, 3, 1, 2\)"),
        (random_images(3, 16, 16), r"not \(3, 16, 16\)$"),
        (random_images(2, 1, 16, 16), r"not \(2, 1, 16, 16\)$"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), "floating point"),
        (2 * random_images(2, 3, 16, 16) - 1, r"in \[0, 1\], not in \[-"),
        (torch.full((2, 3, 16, 16), math.nan), "nan"),
    ],
)
def test_wrong_images_are_refused(loss, images, message):
    with pytest.raises(ValueError, match=message):
        loss(images, PROMPTS)


def test_a_prompt_an_image_is_needed(loss):
    with pytest.raises(ValueError, match="2 images need as many prompts, not 1"):
        loss(random_images(2, 3, 16, 16), PROMPTS[:1])


def test_an_architecture_without_weights_is_refused():
    with pytest.raises(LoadError, match="'ViT-B-32' is an architecture without weights"):
        SphericalCLIP("ViT-B-32")


def test_a_missing_toy_clip_says_how_to_train_it(monkeypatch, tmp_path):
    monkeypatch.setattr("dpodiff.toy.WEIGHTS", tmp_path)
    with pytest.raises(LoadError, match="--stage clip"):
        SphericalCLIP("toy-heldout")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("clip:ViT-B-23/openai", "unknown CLIP 'ViT-B-23'; open_clip has .*'ViT-B-32'"),
        ("clip:ViT-B-32/opnai", "unknown weights 'opnai' of 'ViT-B-32'; choose from openai, "),
        ("clip:ViT-B-32", "architecture without weights: .*'openai'"),
        ("clip:ViT-B-32/weights.pt", "weights.pt is a pickle"),
        ("hpsv2", "unknown loss 'hpsv2'; choose from .*did you mean 'hpsv2.1'"),
        ("beauty", "unknown loss 'beauty'; .*any callable in its place"),
        ("white:ish", "unknown loss 'white:ish'"),
    ],
)
def test_an_unknown_name_says_what_would_be_right(name, message):
    with pytest.raises(LoadError, match=message):
        losses.load(name)


def test_clip_is_loaded_by_name(folder):
    clip = losses.load(f"clip:local-dir:{folder}", device="cpu")
    images = random_images(2, 3, 16, 16)
    expected = SphericalCLIP(f"local-dir:{folder}", device="cpu")(images, PROMPTS)
    torch.testing.assert_close(clip(images, PROMPTS), expected)
    assert repr(clip) == f"SphericalCLIP('local-dir:{folder}')"


@pytest.fixture
def downloads(monkeypatch):
    """Names of the hub's repositories that were asked for; there is no network."""
    asked = []

    def offline(repo_id, **settings):
        asked.append(repo_id)
        raise OSError("no network")

    monkeypatch.setattr("open_clip.pretrained.hf_hub_download", offline)
    return asked


@pytest.mark.parametrize(
    ("name", "repository"),
    [
        ("clip", "timm/vit_base_patch32_clip_224.openai"),
        ("clip:ViT-L-14/openai", "timm/vit_large_patch14_clip_224.openai"),
        ("clip:hf-hub:owner/name", "owner/name"),
    ],
)
def test_missing_clip_weights_say_what_else_will_do(name, repository, downloads):
    with pytest.raises(LoadError, match="cannot be loaded: .*'local-dir:FOLDER'"):
        losses.load(name)
    assert set(downloads) == {repository}


def test_downloaded_pickles_are_refused(monkeypatch):
    monkeypatch.setattr("open_clip.pretrained.download_pretrained", lambda config: "clip.bin")
    with pytest.raises(LoadError, match="clip.bin is a pickle"):
        losses.load("clip")


def test_a_folder_without_safetensors_is_refused(tmp_path):
    (tmp_path / "open_clip_pytorch_model.bin").touch()
    with pytest.raises(ValueError, match="holds no safetensors; .*save_file"):
        losses.load(f"clip:local-dir:{tmp_path}")


def test_pixel_losses_have_the_values_they_say():
    images = torch.zeros(3, 3, 4, 4)
    images[1] = 1
    images[2, :, :2] = 1
    prompts = [""] * 3
    assert white(images, prompts).tolist() == [0, -1, -0.5]
    assert black(images, prompts).tolist() == [0, 1, 0.5]
    assert contrast(images, prompts).tolist() == [0, 0, -2.25]


@pytest.mark.parametrize("loss", [white, black, contrast])
def test_pixel_losses_have_gradients(loss):
    images = (0.1 + 0.8 * random_images(2, 3, 3, 2).double()).requires_grad_()
    assert losses.is_differentiable(loss)
    assert torch.autograd.gradcheck(
        lambda x: loss(x, PROMPTS), images, rtol=1e-2, atol=1e-3, eps=1e-2
    )


def test_jpeg_is_the_size_of_the_file():
    images = torch.stack([random_images(3, 16, 24), torch.full((3, 16, 24), 0.5)])
    file = io.BytesIO()
    colors = (255 * images[0]).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(colors).save(file, format="JPEG", quality=95)
    noise, flat = JPEG()(images, PROMPTS).tolist()
    assert noise == pytest.approx(len(file.getvalue()) / 1000)
    assert flat < noise
    assert JPEG(10)(images, PROMPTS)[0] < noise
    assert repr(JPEG(10)) == "JPEG(10)"
    with pytest.raises(ValueError, match="quality must be from 1 to 95"):
        JPEG(100)


def test_a_loss_without_a_gradient_says_so_and_is_refused_where_one_is_needed():
    assert not losses.is_differentiable(losses.load("jpeg"))
    with pytest.raises(
        ValueError, match=r"JPEG\(95\) has no gradient .*'epo' and 'random'.*black box"
    ):
        losses.check_differentiable(losses.load("jpeg"))
    losses.check_differentiable(lambda images, prompts: images.mean(dim=(1, 2, 3)))


def test_a_weighted_sum_adds_losses_and_any_callable(loss):
    images = random_images(2, 3, 16, 16).requires_grad_()
    total = Weighted({loss: 2.0, black: -0.5, lambda images, prompts: images[:, 0, 0, 0]: 1.0})
    expected = 2 * loss(images, PROMPTS) - 0.5 * black(images, PROMPTS) + images[:, 0, 0, 0]
    torch.testing.assert_close(total(images, PROMPTS), expected)
    assert total(images, PROMPTS).requires_grad
    assert total.differentiable


def test_a_weighted_sum_has_a_gradient_if_all_its_losses_do():
    both = Weighted({white: 1, JPEG(): 0.01})
    assert not losses.is_differentiable(both)
    assert repr(both) == "Weighted(1 * white, 0.01 * JPEG(95))"


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "at least one loss"),
        ({white: math.nan}, "must be a finite number, not nan"),
        ({"white": 1.0}, "'white' is not a loss; dpodiff.losses.load"),
    ],
)
def test_wrong_weights_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        Weighted(weights)


def test_a_weighted_sum_names_the_loss_of_wrong_shape():
    total = Weighted({white: 1.0, lambda images, prompts: images.mean(): 1.0})
    with pytest.raises(ValueError, match=r"<lambda>.* returned \(\) for a batch of 2"):
        total(random_images(2, 3, 4, 4), PROMPTS)


def gives(found):
    """What an evaluation on two seeds makes of a loss that gives this."""
    objective = Objective(FakeModel(), lambda images, prompts: found, negative_space(2), (0, 1))
    return objective.evaluate([(0,)])[0].losses


@pytest.mark.parametrize(
    "found",
    [
        [0.25, 1],
        (0.25, 1.0),
        np.array([0.25, 1.0]),
        np.array([0.25, 1.0], np.float16),
        torch.tensor([0.25, 1.0], dtype=torch.bfloat16),
        torch.tensor([0.25, 1.0], requires_grad=True),
    ],
    ids=repr,
)
def test_numbers_of_any_kind_are_taken_as_losses(found):
    assert gives(found) == (0.25, 1.0)


def test_losses_keep_their_precision():
    exact = 1 + 2**-40
    assert gives(torch.tensor([exact, 1.0], dtype=torch.float64)) == (exact, 1.0)
    assert gives(torch.tensor([2**40 + 1, 1])) == (2**40 + 1, 1.0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "returned None; one number per image is needed"),
        (0.5, r"returned \(\) for a batch of 2"),
        ([0.5], r"returned \(1,\) for a batch of 2"),
        (torch.zeros(2, 1), r"returned \(2, 1\) for a batch of 2"),
        (torch.ones(2, dtype=torch.bool), "returned torch.bool values"),
        (torch.ones(2, dtype=torch.cfloat), "returned torch.complex64 values"),
        (torch.ones(2, device="meta"), "returned meta values"),
        ([True, False], "returned .True, False.; real numbers"),
        (["a", "b"], "real numbers are needed"),
        ([[1], [1, 2]], "real numbers are needed"),
        (np.array([1j, 2j]), "real numbers are needed"),
    ],
)
def test_what_is_no_loss_is_refused_by_name(found, said):
    with pytest.raises(ValueError, match=f"the loss gives.*lambda.* {said}"):
        gives(found)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_are_counted_and_never_the_best(bad):
    def loss(images, prompts):
        shades = images.mean(dim=(1, 2, 3))
        return torch.where(shades < 0.3, bad, shades)

    space = negative_space(6, 6)
    objective = Objective(FakeModel(), loss, space, (0,), task="improve")
    with pytest.warns(
        UserWarning, match=r"\d+ of 36 candidates .* not finite, by test_losses_that"
    ):
        result = search(RandomSearch(space), objective, Budget(40), progress=False)
    assert math.isfinite(result.losses[0])
    assert result.losses[0] == min(r.losses[0] for r in result.trace.records if r.losses[0] >= 0.3)


def test_a_search_whose_losses_are_all_nan_says_so():
    settings = {
        "model": FakeModel(),
        "space": negative_space(6, 6),
        "budget": 20,
        "progress": False,
    }

    def broken(images, prompts):
        return torch.full((len(images),), torch.nan)

    with pytest.warns(UserWarning, match="not finite, by .*broken: nothing was found"):
        result = improve("a red ball", loss=broken, **settings)
    assert str(result).startswith("nothing found: no candidate has a finite loss")
