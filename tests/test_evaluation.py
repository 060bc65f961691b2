"""held_out measures what the search did not."""

import pytest
import tiny
import torch
from gaussian import Gaussian
from helpers import FakeModel, fake_shade, negative_space, shade

import dpodiff
from dpodiff import Slot, SphericalCLIP
from dpodiff.results.held_out import held_out, on_search_seeds, visual_distance
from dpodiff.toy.judge import Judge

PROMPT = "a red ball"


@pytest.fixture
def result():
    return dpodiff.improve(
        PROMPT,
        model=FakeModel(),
        loss=shade,
        space=negative_space(3, 3),
        budget=6,
        verify=0,
        progress=False,
    )


def test_scores_both_prompts_on_the_given_seeds(result):
    table = held_out(result, [100, 101], {"shade": shade})
    before = (fake_shade(PROMPT, "", 100) + fake_shade(PROMPT, "", 101)) / 2
    after = sum(fake_shade(*result.prompts, seed) for seed in (100, 101)) / 2
    assert table.loc["shade", "before"] == pytest.approx(before)
    assert table.loc["shade", "after"] == pytest.approx(after)
    assert table.loc["shade", "difference"] == pytest.approx(after - before)


def test_a_search_of_noise_is_measured_on_the_noise_it_chose():
    def height(images, prompts):
        return (images - 0.8).abs().mean(dim=(1, 2, 3))

    settings = {"model": Gaussian(), "loss": height, "budget": 12, "progress": False}
    result = dpodiff.align("left", method="zero-order", **settings)
    own = on_search_seeds(result, {"height": height})
    assert own.loc["height", "before"] == pytest.approx(sum(result.baseline_losses) / 4)
    assert own.loc["height", "after"] == pytest.approx(sum(result.losses) / 4)
    assert own.loc["height", "difference"] < 0
    assert held_out(result, [100, 101], {"height": height}).loc["height", "difference"] == 0


def test_costs_the_search_nothing(result):
    images = result.objective.cost.images
    held_out(result, [100], {"shade": shade})
    assert result.objective.cost.images == images


def test_refuses_a_seed_of_the_search(result):
    with pytest.raises(ValueError, match="seed 2 was used by the search"):
        held_out(result, [2, 100], {"shade": shade})


def test_adds_the_verdicts_of_a_judge(result):
    torch.manual_seed(0)
    table = held_out(result, [100], {}, Judge().eval())
    assert list(table.index) == ["judge, all as asked", "judge, clean"]
    assert table[["before", "after"]].isin([0.0, 1.0]).all().all()


def test_adds_what_is_left_of_the_meaning():
    space = dpodiff.Space(PROMPT, (Slot("ball", ("ball", "boat", "box", "star", "tree")),))
    result = dpodiff.improve(
        PROMPT, model=FakeModel(), loss=shade, space=space, verify=0, progress=False
    )

    def letters(texts):
        return torch.tensor([[1.0, len(text) - len(PROMPT)] for text in texts])

    table = held_out(result, [100], {}, encoder=letters)
    moved = len(result.prompts.positive) - len(PROMPT)
    assert list(table.index) == ["similarity"]
    assert table.loc["similarity", "before"] == 1
    assert table.loc["similarity", "after"] == pytest.approx((1 + moved**2) ** -0.5)


class Flat:
    """A CLIP whose features are the angle of an image's mean."""

    def features(self, images):
        angles = images.mean(dim=(1, 2, 3))
        return torch.stack([angles.cos(), angles.sin()], dim=1)


def test_adds_how_far_the_images_moved(result):
    table = held_out(result, [100, 101], {}, clip=Flat())
    before, after = (
        torch.tensor([fake_shade(*prompts, seed) for seed in (100, 101)])
        for prompts in ((PROMPT, ""), result.prompts)
    )
    expected = (1 - (before - after).cos()).mean().item()
    assert list(table.index) == ["visual distance"]
    assert table.loc["visual distance", "before"] == 0
    assert table.loc["visual distance", "after"] == pytest.approx(expected, abs=1e-6)


def test_visual_distance_is_one_minus_the_cosine_of_clips_features(tmp_path):
    clip = SphericalCLIP(f"local-dir:{tiny.clip(tmp_path / 'clip')}", device="cpu")
    generator = torch.Generator().manual_seed(0)
    a, b = torch.rand(2, 3, 3, 16, 16, generator=generator)
    expected = 1 - torch.cosine_similarity(clip.features(a), clip.features(b))
    torch.testing.assert_close(visual_distance(a, b, clip), expected)
    assert visual_distance(a, a, clip).tolist() == [0, 0, 0]
