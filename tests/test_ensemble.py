"""Ensembles: calibration, three combinations by hand, gradients, and who disagrees."""

import functools
import math

import pytest
import torch

from dpodiff import Dictionary, Ensemble, LoadError, Weighted, contrasts_of, losses
from dpodiff.losses import JPEG, black, leave_one_out, white

PROMPTS = ["a wall"] * 3


def red(images, prompts):
    return images[:, 0].mean(dim=(1, 2))


def rough(images, prompts):
    return (images[:, 1] ** 2).sum(dim=(1, 2)).sqrt()


def wavy(images, prompts):
    return torch.sin(5 * images[:, 2]).mean(dim=(1, 2))


def images(count, seed=0):
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)).double()


def calibrated(combine="mean", **settings):
    return Ensemble(
        {"red": red, "rough": rough, "wavy": wavy},
        combine,
        location=[0.5, 2.0, 0.2],
        scale=[0.1, 0.5, 0.25],
        **settings,
    )


def by_hand(batch):
    rows = zip(red(batch, PROMPTS), rough(batch, PROMPTS), wavy(batch, PROMPTS))
    return [
        [(a.item() - 0.5) / 0.1, (b.item() - 2) / 0.5, (c.item() - 0.2) / 0.25] for a, b, c in rows
    ]


@pytest.mark.parametrize("combine", ["mean", "worst", "bound"])
def test_combinations_equal_a_computation_by_hand(combine):
    batch = images(3)
    for value, row in zip(calibrated(combine, kappa=2)(batch, PROMPTS).tolist(), by_hand(batch)):
        mean = sum(row) / 3
        spread = math.sqrt(sum((z - mean) ** 2 for z in row) / 3)
        expected = {"mean": mean, "worst": max(row), "bound": mean + 2 * spread}[combine]
        assert value == pytest.approx(expected, abs=1e-9)


def test_a_bound_of_two_losses_is_the_worse_one():
    settings = {"location": [0, 0], "scale": [1, 2]}
    worst = Ensemble([red, rough], "worst", **settings)(images(3), PROMPTS)
    bound = Ensemble([red, rough], "bound", **settings)(images(3), PROMPTS)
    torch.testing.assert_close(bound, worst)


@pytest.mark.parametrize("combine", ["mean", "worst", "bound"])
def test_gradients_agree_with_differences_in_float64(combine):
    loss = calibrated(combine)
    batch = images(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, PROMPTS), batch)
    assert loss.differentiable


def test_a_bound_has_a_finite_gradient_where_the_losses_agree():
    same = {"one": red, "other": lambda images, prompts: red(images, prompts)}
    loss = Ensemble(same, "bound", location=[0, 0], scale=[1, 1])
    batch = images(3).requires_grad_()
    loss(batch, PROMPTS).sum().backward()
    torch.testing.assert_close(batch.grad[:, 0], torch.full_like(batch.grad[:, 0], 1 / 16))


def test_fit_gives_each_member_mean_0_and_deviation_1_on_its_images():
    batch = images(16)
    members = (
        Ensemble([red, rough, wavy]).fit(batch, ["a wall"] * 16).members(batch, ["a wall"] * 16)
    )
    torch.testing.assert_close(members.mean(dim=0), torch.zeros(3).double(), atol=1e-9, rtol=0)
    torch.testing.assert_close(members.std(dim=0), torch.ones(3).double())


def test_fit_leaves_the_ensemble_as_it_was_and_keeps_its_settings():
    raw = Ensemble([red, rough], "bound", kappa=3)
    fitted = raw.fit(images(3), PROMPTS)
    assert (fitted.combine, fitted.kappa) == ("bound", 3)
    with pytest.raises(ValueError, match=r"Ensemble\(red, rough, .*\) is not calibrated: call fit"):
        raw(images(3), PROMPTS)


def test_a_prompt_is_refused_early_if_not_calibrated_or_a_member_cannot_judge_it():
    with pytest.raises(ValueError, match="is not calibrated"):
        losses.check_prompt(Ensemble([red, rough]), "a cup")

    class Picky:
        def check(self, prompt):
            raise ValueError(f"not {prompt!r}")

        def __call__(self, images, prompts):
            return red(images, prompts)

    for loss in (
        Ensemble({"picky": Picky(), "red": red}, location=[0, 0], scale=[1, 1]),
        Weighted({Picky(): 1.0}),
    ):
        with pytest.raises(ValueError, match="not 'a cup'"):
            losses.check_prompt(loss, "a cup")


def test_members_may_be_named():
    loss = Ensemble(["white", "black"], location=[0, 0], scale=[1, 1])
    expected = (white(images(3), PROMPTS) + black(images(3), PROMPTS)) / 2
    torch.testing.assert_close(loss(images(3), PROMPTS), expected)
    assert repr(loss) == "Ensemble(white, black, combine='mean')"
    with pytest.raises(LoadError, match="unknown loss 'beauty'"):
        Ensemble(["white", "beauty"])


def test_named_members_that_need_a_lexicon_get_it():
    statements = functools.partial(contrasts_of, lexicon=Dictionary(antonyms={"red": ["blue"]}))
    names = ["contrastive:toy", "decomposed:toy"]
    loss = Ensemble(names, statements=statements, location=[0, 0], scale=[1, 1])
    batch = torch.rand(2, 3, 64, 64)
    members = loss.members(batch, ["a red ball"] * 2)
    torch.testing.assert_close(members[:, 0], members[:, 1])  # one statement, so both are one loss
    with pytest.raises(ValueError, match="'a ball' has no contrast prompt"):
        losses.check_prompt(loss, "a ball")
    with pytest.raises(LoadError, match="need a lexicon|come from a lexicon"):
        Ensemble(names)


def test_an_ensemble_has_a_gradient_if_all_its_members_do():
    assert not losses.is_differentiable(Ensemble([white, JPEG()]))


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ([white], {}, "at least two losses, not 1"),
        ([white, white], {}, "called the same: white, white"),
        ([white, 3], {}, "3 is not a loss"),
        ([white, black], {"combine": "best"}, "one of mean, worst, bound, not 'best'"),
        ([white, black], {"kappa": -1}, "kappa must be at least 0"),
        ([white, black], {"location": [0, 0]}, "both have 2 numbers"),
        ([white, black], {"location": [0, 0], "scale": [1]}, "both have 2 numbers"),
        ([white, black], {"location": [0, 0], "scale": [1, 0]}, "scale of black must be above 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, settings, message):
    with pytest.raises(ValueError, match=message):
        Ensemble(arguments, **settings)


def test_images_that_calibrate_nothing_are_refused():
    with pytest.raises(ValueError, match="at least two images"):
        Ensemble([white, black]).fit(images(1), ["a wall"])
    with pytest.raises(ValueError, match="the scale of white must be above 0"):
        Ensemble([white, black]).fit(torch.ones(2, 3, 4, 4), ["a wall"] * 2)


def test_the_member_that_disagrees_stands_first():
    before, after = images(3), images(3)
    after[:, 0] -= 0.1 * after[:, 0]  # red falls, the others rise
    after[:, 1:] = (after[:, 1:] * 1.05).clamp(max=1)
    loss = Ensemble({"red": red, "green": lambda x, p: x[:, 1].mean(dim=(1, 2)), "rough": rough})
    table = loss.fit(images(8, seed=1), ["a wall"] * 8).leave_one_out(before, after, PROMPTS)
    assert table["loss"][0] == "red"
    assert table["disagrees"][0]
    assert table["change"][0] < 0 < table["others"][0]
    assert table["opposed"][0] == 1


def test_leave_one_out_equals_a_computation_by_hand():
    before = [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    after = [[1.0, -1.0, -1.0], [4.0, 0.0, 1.0]]  # changes (1, -1, -1), (3, -1, 0)
    table = leave_one_out(before, after, ["a", "b", "c"]).set_index("loss")
    assert table.loc["a", ["change", "others", "gap"]].tolist() == [2, -0.75, 2.75]
    # Its gaps are 2 and 3.5, their standard deviation 1.5 / sqrt(2).
    assert table.loc["a", "error"] == pytest.approx(0.75)
    assert table.loc["c", ["change", "others", "opposed"]].tolist() == [-0.5, 0.5, 0]
    assert table["disagrees"].to_dict() == {"a": True, "b": True, "c": True}


def test_leave_one_out_refuses_matrices_that_do_not_match():
    with pytest.raises(ValueError, match=r"not \(2, 3\) and \(3, 3\)"):
        leave_one_out(torch.zeros(2, 3), torch.zeros(3, 3))
    with pytest.raises(ValueError, match="3 members, but 1 names"):
        leave_one_out(torch.zeros(2, 3), torch.zeros(2, 3), ["a"])
