"""VQAScore: agreement with the stock model and processor, gradients, and what is refused."""

import pytest
import tiny_vlm
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from dpodiff import LoadError, losses

SIZE = tiny_vlm.SIZE
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
PROMPTS = ["a red ball", "a blue box on the sea", "a red ball"]

NAMES = ["instructblip", "llava", "qwen2_vl"]
each_model = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("vqascore")
    for name in NAMES:
        getattr(tiny_vlm, name)(root / name)
    return root


@pytest.fixture
def load(folders):
    return lambda name: losses.load(f"vqascore:{folders / name}", device="cpu")


def random_images(*size, seed=0):
    return torch.rand(*size, generator=torch.Generator().manual_seed(seed))


def by_hand(folder, pixels, prompt):
    """P(yes) of an image (height, width, 3) in uint8, as the stock model would begin its answer."""
    model, processor = (
        kind.from_pretrained(folder) for kind in (AutoModelForImageTextToText, AutoProcessor)
    )
    text = f"Does this image show '{prompt}'? Please answer yes or no."
    if processor.chat_template:
        image = "<image>" if hasattr(processor, "num_additional_image_tokens") else QWEN_IMAGE
        text = f"USER : {image} {text} ASSISTANT :"
    inputs = processor(images=Image.fromarray(pixels.numpy()), text=text, return_tensors="pt")
    inputs = inputs.to(dtype=torch.float32)
    answer = model.float().generate(
        **inputs,
        max_new_tokens=1,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
    )
    yes = processor.tokenizer.convert_tokens_to_ids(["yes", "Yes"])
    return answer.logits[0].softmax(dim=-1)[0, yes].sum().item()


@each_model
def test_the_score_is_the_probability_that_the_stock_model_says_yes(load, folders, name):
    side = 28 if name == "qwen2_vl" else SIZE  # nothing is resized, which would round
    pixels = (255 * random_images(3, side, side, 3)).byte()
    images = pixels.permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        actual = load(name).reward(images, PROMPTS).tolist()
    expected = [by_hand(folders / name, *pair) for pair in zip(pixels, PROMPTS)]
    assert actual == pytest.approx(expected, rel=1e-4)
    assert len({f"{score:.2g}" for score in expected}) > 1


@each_model
def test_images_and_prompts_matter_and_the_loss_is_minus_the_score(load, name):
    loss, images = load(name), random_images(3, 3, 40, 24)
    values = loss(images, PROMPTS)
    assert values.shape == (3,)
    assert values.dtype == torch.float32
    assert values.unique().numel() == 3
    assert ((values > -1) & (values < 0)).all()
    torch.testing.assert_close(values, -loss.reward(images, PROMPTS))


@each_model
def test_gradients_of_images_agree_with_finite_differences(load, name):
    loss = load(name)
    loss.model.double()
    assert losses.is_differentiable(loss)
    images = (0.1 + 0.8 * random_images(2, 3, 20, 24)).double().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(images, PROMPTS[:2]).sum(), images)
    direction = random_images(2, 3, 20, 24, seed=1).double() - 0.5
    step = 1e-3 * direction  # T5 and Llama round to float32 inside, so no smaller one
    with torch.no_grad():
        change = loss(images + step, PROMPTS[:2]) - loss(images - step, PROMPTS[:2])
    assert gradient.abs().max() > 0
    expected = change.sum() / 2e-3
    torch.testing.assert_close((gradient * direction).sum(), expected, rtol=5e-3, atol=0)


def test_weights_of_half_precision_give_losses_of_single(folders):
    half = losses.VQAScore(str(folders / "llava"), "cpu", dtype=torch.bfloat16)
    images = random_images(3, 3, SIZE, SIZE)
    expected = losses.VQAScore(str(folders / "llava"), "cpu")(images, PROMPTS)
    assert half.model.dtype == torch.bfloat16
    torch.testing.assert_close(half(images, PROMPTS), expected, rtol=0.1, atol=0)


def test_a_processor_that_drops_the_gradient_makes_a_loss_without_one(load, monkeypatch):
    kind = type(load("llava")._processor.image_processor)
    call = kind.__call__

    def through_numpy(self, images, **settings):
        return call(self, [torch.from_numpy(image.numpy()) for image in images], **settings)

    monkeypatch.setattr(kind, "__call__", through_numpy)
    loss = load("llava")
    assert not losses.is_differentiable(loss)
    assert not loss(random_images(3, 3, SIZE, SIZE).requires_grad_(), PROMPTS).requires_grad


def test_the_question_can_be_another(folders):
    images = random_images(1, 3, SIZE, SIZE)
    other = losses.VQAScore(str(folders / "llava"), "cpu", question="Is '{}' in the image?")
    assert other(images, ["a ball"]) != losses.VQAScore(str(folders / "llava"), "cpu")(
        images, ["a ball"]
    )
    with pytest.raises(ValueError, match="where the prompt stands: 'Is it good"):
        losses.VQAScore(str(folders / "llava"), question="Is it good?")


def test_wrong_images_and_numbers_are_refused(load):
    loss = load("llava")
    with pytest.raises(ValueError, match=r"in \[0, 1\], not in"):
        loss(2 * random_images(3, 3, SIZE, SIZE), PROMPTS)
    with pytest.raises(ValueError, match="3 images need as many prompts, not 1"):
        loss(random_images(3, 3, SIZE, SIZE), PROMPTS[:1])


def test_models_of_another_kind_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(LoadError, match="the folder .*"):
        losses.load(f"vqascore:{tmp_path}")


def test_a_folder_of_pickles_says_how_to_convert_them(tmp_path, folders):
    (tmp_path / "config.json").write_text((folders / "llava" / "config.json").read_text())
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(LoadError, match=r"pytorch_model.bin but no .*save_file"):
        losses.load(f"vqascore:{tmp_path}")


def test_a_folder_without_a_processor_is_refused(tmp_path, folders):
    for file in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / file).write_bytes((folders / "llava" / file).read_bytes())
    with pytest.raises(LoadError, match="cannot be loaded|no image processor"):
        losses.load(f"vqascore:{tmp_path}")


def test_a_tokenizer_without_a_word_for_yes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_vlm, "ASKED", ["USER", ":", "ASSISTANT"])
    tiny_vlm.llava(tmp_path)
    with pytest.raises(LoadError, match="has no token for yes"):
        losses.load(f"vqascore:{tmp_path}")


def test_without_a_network_a_local_copy_is_asked_for(monkeypatch):
    def offline(*args, **settings):
        raise OSError("no network")

    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", offline)
    with pytest.raises(LoadError, match="instructblip-flan-t5-xl cannot be loaded: .*local"):
        losses.load("vqascore")
