"""How unlikely a noise is: DNO's bounds by hand, on normal and on tampered noise."""

import math

import numpy as np
import pytest
import torch

from dpodiff.gradients.regularization import improbability, log_probability, norm_surprise


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def penalty(noise, seed=0, **settings):
    return improbability(noise, torch.Generator().manual_seed(seed), **settings)


def by_hand(entries, k):
    """The two bounds of the paper, for one image, with numpy."""
    n = len(entries) // k
    rows = np.asarray(entries[: n * k]).reshape(n, k)
    m1 = np.sqrt((rows.mean(axis=0) ** 2).sum())
    moment = sum(np.outer(row, row) for row in rows) / n
    m2 = np.abs(np.linalg.eigvalsh(moment - np.eye(k))).max()
    mean = min(math.log(2) - n * m1**2 / (2 * k), 0)
    covariance = max(math.sqrt(1 + m2) - 1 - math.sqrt(k / n), 0)
    return mean + min(math.log(2) - n * covariance**2 / 2, 0)


@pytest.mark.parametrize("k", [1, 4, 16])
@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_bounds_equal_a_computation_by_hand(k, scale):
    noise = scale * normal(3, 262) + 0.2
    expected = [by_hand(row.tolist(), k) for row in noise]
    assert log_probability(noise, k).tolist() == pytest.approx(expected)
    assert any(expected)


def test_the_penalty_is_its_own_order_and_the_mean_of_the_others():
    noise = normal(2, 64) * 2
    found = penalty(noise, permutations=3, seed=5)
    generator = torch.Generator().manual_seed(5)
    orders = [torch.randperm(64, generator=generator) for _ in range(3)]
    for row, value in zip(noise, found):
        others = [by_hand(row[order].tolist(), 4) for order in orders]
        assert value.item() == pytest.approx(-(by_hand(row.tolist(), 4) + np.mean(others)))


@pytest.mark.parametrize("shape", [(1, 4, 16, 16), (11, 4, 16, 16)])
def test_normal_noise_is_hardly_penalized(shape):
    assert penalty(normal(8, *shape)).max() < 1


TAMPERED = {
    "shifted": lambda z: z + 0.3,
    "too long": lambda z: 1.3 * z,
    "too short": lambda z: 0.5 * z,
    "striped": lambda z: torch.where(torch.arange(16) % 4 == 0, z + 1, z),
    "repeated": lambda z: z[..., ::4].repeat_interleave(4, dim=-1),
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_tampered_noise_is_penalized(kind):
    assert penalty(TAMPERED[kind](normal(2, 1, 4, 16, 16))).min() > 5


def test_a_pattern_hidden_from_one_order_is_found_in_others():
    # Rows of alternating sign: each is as it should be on average, but all entries are of size 1.3.
    pattern = torch.tensor([1.0, -1.0]).repeat(512).double() * 2 + normal(1024)
    swapped = pattern.view(2, 512).T.reshape(1, -1)
    assert penalty(swapped).item() > 5


def test_gradients_agree_with_finite_differences():
    noise = (normal(2, 64) * 1.7 + 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: penalty(z, permutations=4), noise)
    assert torch.autograd.gradcheck(norm_surprise, noise)


def test_descending_the_penalty_makes_noise_of_it():
    noise = (1.3 * normal(1, 1024) + 0.2).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW([noise], lr=0.02, weight_decay=0)
    for _ in range(40):
        optimizer.zero_grad()
        improbability(noise, generator, permutations=10).sum().backward()
        optimizer.step()
    assert penalty(noise.detach()).item() < 1


def test_a_image_s_penalty_depends_on_no_other_and_on_the_seed_alone():
    noise = normal(3, 64) * 2
    assert torch.equal(penalty(noise)[1:2], penalty(noise[1:2]))
    assert torch.equal(penalty(noise), penalty(noise))
    assert not torch.equal(penalty(noise), penalty(noise, seed=1))


def test_the_norm_alone_is_least_surprising_where_it_is_most_likely():
    direction = normal(1, 64)
    direction = direction / direction.norm()
    lengths = torch.linspace(5, 11, 7).view(-1, 1)
    values = norm_surprise(direction * lengths)
    expected = [length**2 / 2 - 63 * math.log(length) for length in lengths.flatten().tolist()]
    lowest = 63 / 2 - 63 * math.log(math.sqrt(63))
    assert values.tolist() == pytest.approx([value - lowest for value in expected])
    assert norm_surprise(direction * math.sqrt(63)).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [((1, 7), {}, "need 8 entries"), ((1, 9), {"k": 0}, "k and permutations")],
)
def test_bad_settings_are_refused(shape, settings, message):
    with pytest.raises(ValueError, match=message):
        penalty(normal(*shape), **settings)
