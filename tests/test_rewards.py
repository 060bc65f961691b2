"""Rewards: agreement with stock models and processors by hand, gradients, missing weights."""

import open_clip
import pytest
import tiny_rewards
import torch
from open_clip.transform import image_transform
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import transforms
from torchvision.transforms.functional import to_tensor
from transformers import AutoTokenizer, BertTokenizer, CLIPImageProcessor, CLIPModel

from dpodiff import LoadError, losses
from dpodiff.losses.preprocessing import CLIP_MEAN, CLIP_STD
from dpodiff.models.pretrained import find, read

PROMPTS = ["a red ball", "a blue box on the sea"]
NAMES = ["hpsv2.1", "pickscore", "aesthetic", "imagereward"]
SIZE = tiny_rewards.SIZE

each_reward = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of each reward, and what the stock libraries have in it."""
    root = tmp_path_factory.mktemp("rewards")
    builders = [getattr(tiny_rewards, n) for n in ("hps", "pickscore", "aesthetic", "imagereward")]
    return {name: (root / name, build(root / name)) for name, build in zip(NAMES, builders)}


@pytest.fixture
def load(folders):
    def load(name):
        folder, _ = folders[name]
        if name == "hpsv2.1":
            return losses.HPS(str(folder), tiny_rewards.ARCHITECTURE, device="cpu")
        return losses.load(f"{name}:{folder}", device="cpu")

    return load


def random_images(*size, seed=0):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed))


def by_hand(name, folder, stock, pixels):
    """The reward (batch,) of normalized pixels, as the release computes it."""
    if name == "hpsv2.1":
        tokens = open_clip.get_tokenizer(tiny_rewards.ARCHITECTURE)(PROMPTS)
        images, texts, _ = stock(pixels, tokens)
        return (images @ texts.T).diagonal()
    if name == "pickscore":
        tokens = AutoTokenizer.from_pretrained(folder)(PROMPTS, padding=True, return_tensors="pt")
        return stock(**tokens, pixel_values=pixels).logits_per_image.diagonal()
    if name == "aesthetic":
        clip, layers = stock
        return layers(nn.functional.normalize(clip(pixels).image_embeds, dim=-1))[:, 0]
    vision, text, layers = stock
    settings = {"padding": "max_length", "max_length": 35, "return_tensors": "pt"}
    tokens = BertTokenizer.from_pretrained(folder)(PROMPTS, **settings)
    tokens = {key: tokens[key] for key in ("input_ids", "attention_mask")}
    states = text(**tokens, encoder_hidden_states=vision.forward_features(pixels))
    raw = layers(states.last_hidden_state[:, 0])[:, 0]
    return (raw - 0.16717362830052426) / 1.0333394966054072


@each_reward
def test_a_reward_equals_the_stock_model_by_hand(load, folders, name):
    images = random_images(2, 3, SIZE, SIZE)
    mean, std = torch.tensor([CLIP_MEAN, CLIP_STD]).view(2, 1, 3, 1, 1)
    with torch.no_grad():
        expected = by_hand(name, *folders[name], (images - mean) / std)
        actual = load(name).reward(images, PROMPTS)
    assert expected.std() > 1e-4
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-4)


@each_reward
def test_the_loss_is_minus_the_reward(load, name):
    reward, images = load(name), random_images(2, 3, 20, 28)
    loss = reward(images, PROMPTS)
    assert loss.shape == (2,)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, -reward.reward(images, PROMPTS))
    assert losses.is_differentiable(reward)


@each_reward
def test_gradients_of_images_agree_with_finite_differences(load, name):
    reward = load(name)
    for module in vars(reward).values():
        if isinstance(module, nn.Module):
            module.double()
    images = 0.1 + 0.8 * random_images(2, 3, 20, 24).double()
    images.requires_grad_()
    (gradient,) = torch.autograd.grad(reward(images, PROMPTS).sum(), images)
    direction = random_images(2, 3, 20, 24, seed=1).double() - 0.5
    step = 1e-5 * direction
    with torch.no_grad():
        change = (reward(images + step, PROMPTS) - reward(images - step, PROMPTS)).sum() / 2e-5
    assert gradient.abs().max() > 0
    torch.testing.assert_close((gradient * direction).sum(), change, rtol=1e-4, atol=1e-8)


def stock_processor(name, folder):
    """From an image to pixels (3, height, width), as the release makes them."""
    if name == "hpsv2.1":
        return image_transform(SIZE, is_train=False, resize_mode="longest")
    if name == "pickscore":
        processor = CLIPImageProcessor.from_pretrained(folder)
        return lambda pixels: processor(pixels, return_tensors="pt").pixel_values[0]
    bicubic = transforms.InterpolationMode.BICUBIC
    resize = [transforms.Resize(SIZE, bicubic), transforms.CenterCrop(SIZE)]
    return transforms.Compose(
        [*resize, transforms.ToTensor(), transforms.Normalize(CLIP_MEAN, CLIP_STD)]
    )


@each_reward
@pytest.mark.parametrize("size", [(64, 64), (48, 41), (10, 12)])
def test_preprocessing_follows_the_stock_processor(load, folders, name, size):
    colors = 0.2 + 0.6 * random_images(*size, 3, seed=1)
    pixels = Image.fromarray((255 * colors).byte().numpy())
    actual = load(name)._preprocess(to_tensor(pixels)[None])[0]
    expected = stock_processor(name, folders[name][0])(pixels)
    # The stock ones round to 8 bits, some after each of two passes: 2 / 255 / 0.26.
    torch.testing.assert_close(actual, expected, atol=0.031, rtol=0)


@pytest.mark.parametrize("name", ["hpsv2.1", "pickscore"])
def test_each_distinct_text_is_encoded_once(load, monkeypatch, name):
    reward, encoded = load(name), []
    encode = reward._texts._encode
    monkeypatch.setattr(
        reward._texts, "_encode", lambda texts: encoded.append(len(texts)) or encode(texts)
    )
    reward(random_images(3, 3, SIZE, SIZE), ["a red ball", "a tree", "a red ball"])
    reward(random_images(2, 3, SIZE, SIZE), ["a tree", "a boat"])
    assert encoded == [2, 1]


@each_reward
def test_long_prompts_are_cut(load, name):
    reward, images = load(name), random_images(1, 3, SIZE, SIZE)
    long = " ".join(["a red ball on the sea"] * 30)
    torch.testing.assert_close(reward(images, [long]), reward(images, [long + " green"]))


@each_reward
def test_wrong_images_and_numbers_are_refused(load, name):
    reward = load(name)
    with pytest.raises(ValueError, match=r"in \[0, 1\], not in"):
        reward(2 * random_images(2, 3, SIZE, SIZE), PROMPTS)
    with pytest.raises(ValueError, match="2 images need as many prompts, not 1"):
        reward(random_images(2, 3, SIZE, SIZE), PROMPTS[:1])


@pytest.mark.parametrize("name", ["hpsv2.1", "aesthetic", "imagereward"])
def test_other_weights_are_refused(load, folders, name):
    folder, _ = folders[name]
    good = load_file(folder / "model.safetensors")
    try:
        save_file({"other.weight": torch.zeros(2)}, folder / "model.safetensors")
        with pytest.raises(LoadError, match=f"{folder} holds (other weights|no CLIP)"):
            load(name)
    finally:
        save_file(good, folder / "model.safetensors")


@each_reward
def test_a_folder_of_pickles_says_how_to_convert_them(tmp_path, name):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(LoadError, match=r"pytorch_model.bin but no .*save_file"):
        losses.load(f"{name}:{tmp_path}")


def test_a_pickle_is_not_opened(tmp_path):
    (tmp_path / "HPS_v2.1_compressed.pt").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(LoadError, match="HPS_v2.1_compressed.pt is a pickle: only safetensors"):
        losses.load(f"hpsv2.1:{tmp_path / 'HPS_v2.1_compressed.pt'}")


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"not one")
    with pytest.raises(LoadError, match="is not a safetensors file"):
        read(str(tmp_path))


@pytest.mark.parametrize("source", ["nowhere", "./no/such", "gone/model.safetensors", "a/b/c"])
def test_what_is_not_there_is_not_looked_for_elsewhere(source, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *a: pytest.fail("asked the hub"))
    with pytest.raises(LoadError, match="there is no file or folder"):
        find(source)


def test_without_a_network_a_local_copy_is_asked_for(monkeypatch):
    def offline(*args, **settings):
        raise OSError("no network\nand more")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(LoadError, match="RE-N-Y/hpsv21 cannot be loaded: .*local folder"):
        losses.load("hpsv2.1")
    monkeypatch.setattr(CLIPModel, "from_pretrained", offline)
    with pytest.raises(LoadError, match="yuvalkirstain/PickScore_v1 cannot be loaded: .*local"):
        losses.load("pickscore")
