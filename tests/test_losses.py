"""Losses: agreement with open_clip by hand, gradients, and refusal of wrong images."""

import math

import open_clip
import pytest
import tiny
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

from dpodiff.losses import SphericalCLIP, spherical_distance

PROMPTS = ["a red ball", "a blue box on the sea"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture
def loss(folder):
    return SphericalCLIP(f"local-dir:{folder}", device="cpu")


def pictures(*size, seed=0):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed))


def test_the_loss_equals_open_clip_by_hand(loss, folder):
    name = f"local-dir:{folder}"
    clip = open_clip.create_model(name).eval()
    images = pictures(2, 3, 16, 16)
    mean, std = torch.tensor([[0.4, 0.5, 0.6], [0.2, 0.3, 0.25]]).view(2, 1, 3, 1, 1)
    with torch.no_grad():
        x = clip.encode_image((images - mean) / std, normalize=True)
        y = clip.encode_text(open_clip.get_tokenizer(name)(PROMPTS), normalize=True)
    expected = 2 * torch.arcsin((x - y).norm(dim=-1) / 2) ** 2
    actual = loss(images, PROMPTS)
    assert actual.shape == (2,)
    assert actual.dtype == torch.float32
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("resize_mode", ["shortest", "squash"])
@pytest.mark.parametrize("size", [(64, 64), (48, 40), (10, 12)])
def test_preprocessing_follows_open_clip(tmp_path, resize_mode, size):
    folder = tiny.clip(tmp_path / "clip", resize_mode)
    _, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    colours = 0.2 + 0.6 * pictures(*size, 3, seed=1)
    picture = Image.fromarray((255 * colours).byte().numpy())
    ours = SphericalCLIP(f"local-dir:{folder}", device="cpu")
    actual = ours._preprocess(to_tensor(picture)[None])
    # Pillow rounds to 8 bits after each of its two passes, and clips brighter pictures there too.
    torch.testing.assert_close(actual[0], preprocess(picture), atol=0.03, rtol=0)


def test_gradients_of_images_agree_with_finite_differences(loss):
    loss.clip.double()
    images = 0.1 + 0.8 * pictures(2, 3, 20, 20).double()
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(images, PROMPTS).sum(), images)
    for seed in range(4):
        direction = pictures(2, 3, 20, 20, seed=seed).double() - 0.5
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


def test_each_distinct_text_is_encoded_once(loss, monkeypatch):
    encoded = []
    encode_text = loss.clip.encode_text
    monkeypatch.setattr(
        loss.clip, "encode_text", lambda ids, **k: encoded.append(len(ids)) or encode_text(ids, **k)
    )
    loss(pictures(3, 3, 16, 16), ["a red ball", "a tree", "a red ball"])
    loss(pictures(2, 3, 16, 16), ["a tree", "a boat"])
    assert encoded == [2, 1]


def test_features_are_unit_vectors(loss):
    for features in (loss.features(pictures(2, 3, 16, 16)), loss.text_features(PROMPTS)):
        torch.testing.assert_close(features.norm(dim=-1), torch.ones(2))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pictures(2, 16, 16, 3), r"not \(2, 16, 16, 3\); images.permute\(0, 3, 1, 2\)"),
        (pictures(3, 16, 16), r"not \(3, 16, 16\)$"),
        (pictures(2, 1, 16, 16), r"not \(2, 1, 16, 16\)$"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), "floating point"),
        (2 * pictures(2, 3, 16, 16) - 1, r"in \[0, 1\], not in \[-"),
        (torch.full((2, 3, 16, 16), math.nan), "nan"),
    ],
)
def test_wrong_images_are_refused(loss, images, message):
    with pytest.raises(ValueError, match=message):
        loss(images, PROMPTS)


def test_a_prompt_an_image_is_needed(loss):
    with pytest.raises(ValueError, match="2 images need as many prompts, not 1"):
        loss(pictures(2, 3, 16, 16), PROMPTS[:1])


def test_an_architecture_without_weights_is_refused():
    with pytest.raises(ValueError, match="'ViT-B-32' is an architecture without weights"):
        SphericalCLIP("ViT-B-32")


def test_a_missing_toy_clip_says_how_to_train_it(monkeypatch, tmp_path):
    monkeypatch.setattr("dpodiff.losses.WEIGHTS", tmp_path)
    with pytest.raises(FileNotFoundError, match="--stage clip"):
        SphericalCLIP("toy-heldout")
