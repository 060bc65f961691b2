"""The image-text matcher with random weights: its forms, its gradient, and what it refuses."""

import pytest
import torch

from dpodiff.toy.matcher import LENGTH, Matcher, content_words

PROMPTS = ["a red ball on the sea", "a blue cup left of a star", "a dark night"]


@pytest.fixture
def images():
    return torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def a_matcher(form="failure"):
    torch.manual_seed(1)
    return Matcher(form).eval().requires_grad_(False)


def test_both_forms_give_one_loss_an_image(images):
    failure, log = (a_matcher(form)(images, PROMPTS) for form in ("failure", "log"))
    assert failure.shape == log.shape == (3,)
    assert failure.dtype == torch.float32
    assert ((failure > 0) & (failure < 1) & (log > 0)).all()
    torch.testing.assert_close(failure, 1 - (-log).exp())


def test_success_is_that_every_word_holds_and_the_image_is_clean(images):
    matcher = a_matcher("log")
    said = matcher.statements(images[:1], PROMPTS[0])
    assert list(said) == ["red", "ball", "sea", "clean"]
    expected = -sum(torch.tensor(share).log() for share in said.values())
    torch.testing.assert_close(matcher(images[:1], PROMPTS[:1]), expected)


def test_a_prompt_that_asks_for_a_defect_asks_for_no_clean_image(images):
    matcher = a_matcher("log")
    said = matcher.statements(images[2:], "a dark night")
    words = [said[word] for word in content_words("a dark night")]
    expected = -sum(torch.tensor(share).log() for share in words)
    torch.testing.assert_close(matcher(images[2:], ["a dark night"]), expected)


def test_a_prompt_does_not_depend_on_the_others_of_its_batch(images):
    matcher = a_matcher()
    together = matcher(images, PROMPTS)
    alone = [matcher(images[i : i + 1], PROMPTS[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("form", ["failure", "log"])
def test_the_gradient_in_the_images_is_that_of_differences(images, form):
    matcher = a_matcher(form)
    image = (0.1 + 0.8 * images[:1]).requires_grad_()
    (gradient,) = torch.autograd.grad(matcher(image, PROMPTS[:1]).sum(), image)
    step = 1e-2 * gradient / gradient.norm()
    with torch.no_grad():
        change = matcher(image + step, PROMPTS[:1]) - matcher(image - step, PROMPTS[:1])
    expected = 2 * (gradient * step).sum()
    assert gradient.any()
    torch.testing.assert_close(change.sum(), expected, atol=1e-6, rtol=0.05)


def test_words_beyond_the_longest_prompt_are_left_out(images):
    long = " ".join(["red ball"] * LENGTH)
    assert len(content_words(long)) == LENGTH
    assert a_matcher()(images[:1], [long]).isfinite().all()


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="form must be one of failure, log, not 'square'"):
        Matcher("square")


def test_images_and_prompts_that_do_not_fit_are_refused(images):
    matcher = a_matcher()
    with pytest.raises(ValueError, match="as many prompts, not 2"):
        matcher(images, PROMPTS[:2])
    with pytest.raises(ValueError, match="images must be"):
        matcher(images[0], PROMPTS[:1])
