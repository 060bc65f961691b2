"""Patches of noise: editing, positions, scores, and the energy test."""

import numpy as np
import pytest
import torch
from families import BUILDERS, Family

from dpodiff.models.noise import FixedNoise, draw
from dpodiff.patches import (
    crop_positions,
    cut_patch,
    energy_test,
    find_positions,
    first_estimate,
    mean_patch,
    paste_patch,
    patch_score,
    position_entropy,
    resample_patch,
    sample_grid,
    seed_share,
    shuffled_seeds,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=generator(seed))


@pytest.mark.parametrize("shape", [(2, 4, 16, 16), (2, 3, 4, 8, 12)], ids=["latents", "vectors"])
def test_a_pasted_patch_is_there_and_the_rest_is_kept(shape):
    old, patch = noise(*shape), noise(*shape[:-2], 5, 5, seed=1)
    places = [(0.3, 0.5), (0.7, 0.4)]
    new = paste_patch(old, patch, places)
    assert torch.equal(cut_patch(new, places, 5), patch)
    assert (new != old).flatten(1).sum(1).tolist() == [patch[0].numel()] * 2
    assert torch.equal(paste_patch(new, cut_patch(old, places, 5), places), old)


def test_a_place_is_from_the_left_and_from_the_top_and_moves_inside_at_the_border():
    new = paste_patch(torch.zeros(1, 1, 10, 20), torch.ones(1, 1, 3, 3), (1.0, 0.0))
    rows, columns = new[0, 0].nonzero().T
    assert rows.unique().tolist() == [0, 1, 2]
    assert columns.unique().tolist() == [17, 18, 19]


def test_a_resampled_patch_depends_on_the_generator_alone():
    old = noise(3, 4, 16, 16)
    new = resample_patch(old, (0.5, 0.5), 7, generator(1))
    assert torch.equal(new, resample_patch(old, (0.5, 0.5), 7, generator(1)))
    changed = new != old
    assert changed[..., 4:11, 4:11].all()
    assert changed.sum() == 3 * 4 * 7 * 7
    assert not torch.equal(new[0, :, 4:11, 4:11], new[1, :, 4:11, 4:11])


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda z: cut_patch(z, (0.5, 1.5), 3), r"place must lie in \[0, 1\]"),
        (lambda z: cut_patch(z, (0.5,), 3), r"place must be \(x, y\), or \(2, 2\)"),
        (lambda z: cut_patch(z, (0.5, float("nan")), 3), r"place must lie in \[0, 1\]"),
        (lambda z: cut_patch(z, (0.5, 0.5), 17), "size must be .*16"),
        (lambda z: paste_patch(z, z[:, :2, :3, :3], (0.5, 0.5)), "patch must be square"),
        (lambda z: paste_patch(z, z[:, :, :3, :4], (0.5, 0.5)), "patch must be square"),
        (lambda z: cut_patch(z.long(), (0.5, 0.5), 3), "noise must be a tensor"),
        (lambda z: resample_patch(z, (0.5, 0.5), 3, 0), "generator must be a torch.Generator"),
    ],
)
def test_what_is_no_patch_is_refused(call, answer):
    with pytest.raises(ValueError, match=answer):
        call(noise(2, 4, 16, 16))


def test_entropy_is_the_mean_variance_of_both_coordinates():
    nan = [np.nan, np.nan]
    positions = [[[0.2, 0.5], [0.4, 0.5], [0.6, 0.8]], [[0.1, 0.1], [0.1, 0.1], nan], [nan] * 3]
    positions[2][0] = [0.5, 0.5]
    found = position_entropy(positions)
    assert found[0] == pytest.approx((0.04 + 0.03) / 2)
    assert found[1] == 0
    assert np.isnan(found[2])


def test_shuffling_keeps_the_positions_of_each_prompt_and_takes_them_apart():
    positions = np.arange(80.0).reshape(10, 4, 2)
    shuffled = shuffled_seeds(positions, np.random.default_rng(0))
    for k in range(4):
        assert sorted(map(tuple, shuffled[:, k])) == sorted(map(tuple, positions[:, k]))
    assert any((shuffled[k] != positions[k]).any() for k in range(10))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_the_share_of_the_seed_is_found_with_missing_values(share):
    rng = np.random.default_rng(0)
    values = np.sqrt(share) * rng.normal(size=(400, 1))
    values = values + np.sqrt(1 - share) * rng.normal(size=(400, 5)) + 10 * np.arange(5)
    values[rng.random(values.shape) < 0.3] = np.nan
    found = seed_share(values)
    assert found.low < share < found.high
    assert found.high - found.low < 0.2
    assert abs(seed_share(shuffled_seeds(values, rng)).mean) < 0.06


def test_a_share_of_too_few_values_is_refused():
    with pytest.raises(ValueError, match="at least two noises"):
        seed_share([[0.5, np.nan], [np.nan, 0.2]])


def test_the_energy_statistic_is_that_of_the_definition():
    first, second = noise(5, 3), noise(7, 3, seed=1) + 0.5

    def mean(a, b, same):
        pairs = [(a[i] - b[j]).norm() for i in range(len(a)) for j in range(len(b))]
        return sum(pairs) / (len(a) * (len(b) - same))

    expected = 2 * mean(first, second, 0) - mean(first, first, 1) - mean(second, second, 1)
    found = energy_test(first, second, generator(), permutations=5)
    assert found.statistic == pytest.approx(expected.item(), abs=1e-5)


def test_equal_distributions_give_no_distance_and_uniform_p_values():
    tests = [
        energy_test(noise(12, 6, seed=k), noise(12, 6, seed=k + 500), generator(k), permutations=99)
        for k in range(200)
    ]
    statistics = np.array([test.statistic for test in tests])
    assert abs(statistics.mean()) < 3 * statistics.std() / len(tests) ** 0.5
    assert (statistics < 0).mean() > 0.3
    assert np.mean([test.p_value <= 0.1 for test in tests]) == pytest.approx(0.1, abs=0.06)


def test_a_shift_is_found_in_pairs_too():
    first, second = noise(40, 6), noise(40, 6, seed=1)
    assert energy_test(first, second + 0.6, generator()).p_value < 0.01
    assert energy_test(first, second + 0.6, generator(), paired=True).p_value < 0.01


def test_copies_of_one_patch_deceive_an_unpaired_test():
    first, second = noise(10, 6), noise(10, 6, seed=1)
    alone = energy_test(first, second, generator())
    copied = energy_test(first.repeat(5, 1), second.repeat(5, 1), generator())
    assert alone.p_value > 0.05
    assert copied.p_value < 0.01


def test_paired_samples_have_as_many_rows():
    with pytest.raises(ValueError, match="the same shape"):
        energy_test(noise(4, 3), noise(5, 3), generator(), paired=True)


def test_scores_of_random_noise_are_standard_normal_and_the_template_is_found():
    latents = torch.zeros(6, 4, 16, 16)
    latents[:3, :, 2:7, 9:14] = 2.0
    places = torch.tensor([[0.72, 0.28]] * 3 + [[torch.nan, 0.5]] * 3)
    template = mean_patch(latents, places, 5)
    assert torch.equal(template, torch.full((4, 5, 5), 2.0))
    scores = patch_score(noise(2000, 4, 16, 16), template, (0.72, 0.28))
    assert abs(scores.mean()) < 0.1
    assert scores.std().item() == pytest.approx(1, abs=0.1)
    own = patch_score(latents, template, (0.72, 0.28))
    assert own.tolist() == pytest.approx([20.0] * 3 + [0.0] * 3, rel=1e-5)


def test_a_template_of_nothing_is_refused():
    nowhere = torch.full((2, 2), torch.nan)
    with pytest.raises(ValueError, match="found on no image"):
        mean_patch(noise(2, 4, 8, 8), nowhere, 3)
    with pytest.raises(ValueError, match="template is zero"):
        patch_score(noise(2, 4, 8, 8), torch.zeros(4, 3, 3), (0.5, 0.5))


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (lambda images, prompt: [[3.0, 40.0]] * len(images), "not in pixels"),
        (lambda images, prompt: [0.5] * len(images), "must give centers"),
    ],
)
def test_a_detector_that_gives_no_positions_is_refused(found, answer):
    with pytest.raises(ValueError, match=answer):
        find_positions(torch.zeros(2, 1, 3, 8, 8), ["a ball"], found)


def brightest(images, prompt):
    """A box around the brightest pixel."""
    height, width = images.shape[2:]
    flat = images.mean(1).flatten(1).argmax(1)
    x, y = flat % width, flat // width
    return torch.stack([x / width, y / height, (x + 1) / width, (y + 1) / height], dim=1)


@pytest.mark.parametrize("name", ["sd-v1", "sdxl"])
def test_patches_work_on_the_latents_of_other_families(name, tmp_path):
    model = Family(name, BUILDERS[name](tmp_path / "model")).load()
    model.steps = 2
    prompts, start = ["a red ball", "a blue box"], model.latents([0, 1, 2])
    grid = sample_grid(model, prompts, start, batch_size=4)
    images = model.generate(prompts, ["", ""], [1, 1])
    assert torch.allclose(grid.images[1], images, atol=1e-5)
    positions = find_positions(grid.images, prompts, brightest)
    assert positions.shape == (3, 2, 2)
    assert np.isfinite(position_entropy(positions)).all()
    patch = cut_patch(start, (0.25, 0.25), 3)
    changed = paste_patch(draw(model, [0, 1, 2]), patch[:, None], (0.75, 0.75))
    new = FixedNoise(model, changed).generate(["a red ball"] * 3, [""] * 3, range(3))
    assert (new - grid.images[:, 0]).abs().amax(dim=(1, 2, 3)).gt(0).all()
    whole = first_estimate(model, "a red ball", start)
    assert whole.shape == start.shape[1:]
    assert patch_score(start, whole, (0.5, 0.5)).isfinite().all()


def test_crops_find_a_thing_that_the_other_text_does_not_describe():
    images = torch.zeros(2, 3, 16, 32)
    images[:, 0, :, :16], images[:, 2, :, 16:] = 1.0, 0.5  # red to the left, some blue to the right
    images = torch.stack([images[0], images[1].flip(-1)])

    def loss(crops, texts):
        channel = {"red": 0, "blue": 2}
        return torch.stack(
            [-crop[channel[text]].mean() for crop, text in zip(crops, texts, strict=True)]
        )

    assert crop_positions(loss, images, "red", "blue", steps=3)[:, 0].tolist() == [0.25, 0.75]
    assert crop_positions(loss, images, "blue", "red", steps=3)[:, 0].tolist() == [0.75, 0.25]
    everywhere = crop_positions(loss, images, "red", size=1.0, steps=2)
    assert everywhere.tolist() == [[0.5, 0.5]] * 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0.0}, "size"),
        ({"size": 2}, "size"),
        ({"steps": 1}, "steps"),
        ({"text": 3}, "text"),
    ],
)
def test_crops_that_cannot_be_cut_are_refused(settings, message):
    arguments = {"text": "red", **settings}
    with pytest.raises(ValueError, match=message):
        crop_positions(
            lambda images, texts: images.mean((1, 2, 3)), torch.zeros(1, 3, 8, 8), **arguments
        )
