"""Verification as a part of a search: its budget, its cost, and what becomes of the result."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from helpers import FakeModel, Guided, negative_space, shade

from dpodiff import (
    Budget,
    RandomSearch,
    Trace,
    attack,
    held_out,
    improve,
    load,
    plots,
    verify,
)
from dpodiff.api.second_losses import chosen_second_losses
from dpodiff.results.acceptance import planned

SPACE = negative_space(6, 6)
LARGE = negative_space(9, 9, 9)
PROMPT = SPACE.prompt
MOST = 100.0


class Words(FakeModel):
    """Images whose shade is noise of the seed, multiplied for each word of the negative prompt.

    No factor is above `MOST`, so that all shades are at most 1.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def generate(self, prompts, negative_prompts, seeds):
        images = super().generate(prompts, [""] * len(prompts), seeds)
        factors = [self.factor ** len(negative.split()) for negative in negative_prompts]
        return images * torch.tensor(factors).view(-1, 1, 1, 1) / MOST


class Useless(FakeModel):
    """Images of one quality for all prompts, or of a worse one: in truth nothing helps.

    The noise is drawn anew for each run, prompt and seed, with some outliers.
    """

    def __init__(self, run: int, harm: float) -> None:
        super().__init__()
        self.run, self.harm = run, harm

    def generate(self, prompts, negative_prompts, seeds):
        losses = []
        for prompt, negative, seed in zip(prompts, negative_prompts, seeds, strict=True):
            entropy = [self.run, seed, *f"{prompt}|{negative}".encode()]
            rng = np.random.default_rng(entropy)
            quality = rng.standard_t(3) + self.harm * ("w1" in negative)
            losses.append(0.5 + quality / 10_000)  # a shade, from 0 to 1
        self.batches.append(len(seeds))
        return torch.tensor(losses).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


def run(model=None, *, call=improve, **settings):
    how = {"space": SPACE, "loss": shade, "solver": "random", "verify": 8, "progress": False}
    if call is attack:
        how |= {"encoder": lambda texts: torch.ones(len(texts), 1)}
    return call(PROMPT, model=model or FakeModel(), **how | settings)


def failing(error, after):
    """A loss that raises once `after` images were judged."""
    judged = []

    def loss(images, prompts):
        judged.extend(images)
        if len(judged) > after:
            raise error
        return shade(images, prompts)

    return loss


def test_what_is_proven_is_the_result():
    result = run(Words(0.8))
    assert result.verification.accepted
    assert result.candidate == result.verification.candidate
    assert result.prompts.negative
    assert sum(result.losses) < sum(result.baseline_losses)
    assert result.verdict.startswith("better: loss ")
    assert result.verdict.endswith("on 8 fresh seeds")
    lines = str(result).splitlines()
    assert " ".join([lines[0], lines[1].strip()]) == result.verdict
    assert all(len(line) <= 76 for line in lines[:2])


def test_what_is_not_proven_is_refused_and_the_prompt_itself_returned():
    result = run()
    assert not result.verification.accepted
    assert result.candidate == SPACE.identity
    assert result.prompts == (PROMPT, "")
    assert result.losses == result.baseline_losses
    assert torch.equal(result.images, result.before)
    assert str(result).startswith("not proven better: keep your prompt (best found: loss ")


def test_what_was_refused_can_still_be_had():
    result = run()
    found = result.found
    assert found.prompts.negative
    assert sum(found.losses) < sum(found.baseline_losses)
    assert found.images.mean(dim=(1, 2, 3)).tolist() == pytest.approx(found.losses)
    assert found.prompts.negative in str(result)
    assert found.verdict.startswith("not verified")


def test_an_attack_is_accepted_where_the_loss_is_higher():
    result = run(Words(1.3), call=attack)
    assert result.verification.accepted
    assert str(result).startswith("worse: loss ")
    assert result.verification.comparisons[0].changes["loss"].low > 0
    assert sum(result.losses) > sum(result.baseline_losses)


def test_an_attack_that_makes_better_images_is_refused():
    result = run(Words(0.8), call=attack)
    assert result.prompts == (PROMPT, "")
    assert str(result).startswith(
        "not proven worse: the attack failed (the search found nothing worse)\n"
    )
    assert "found:  " not in str(result)
    assert (result.cost.verification, result.verification.seeds) == (0, ())


def test_an_attack_that_is_luck_is_refused():
    result = run(call=attack)
    assert result.prompts == (PROMPT, "")
    assert sum(result.found.losses) > sum(result.baseline_losses)
    assert str(result).startswith("not proven worse: the attack failed (best found: loss ")


def test_the_budget_covers_search_and_verification():
    model = FakeModel()
    result = run(model, space=LARGE, budget=40, seeds=4)
    assert result.cost.evaluations == len(result.trace.records) == 36
    assert result.cost.verification == 4
    assert result.cost.spent == 40
    assert result.cost.images == sum(model.batches) == 160
    assert result.cost.denoiser_forwards == model.forwards
    assert "36 evaluations + 4 of verification = 40.0, 160 images" in str(result)


@pytest.mark.parametrize("seeds", [3, 5, 7])
def test_the_budget_is_not_exceeded_where_prices_are_no_whole_numbers(seeds):
    result = run(space=LARGE, budget=24, seeds=seeds)
    assert result.verification
    assert 23 < result.cost.spent <= 24


@pytest.mark.parametrize(
    ("fresh", "budget", "seeds", "paid", "price"),
    [
        (20, 40, 4, 20, 10),
        (20, 20, 4, 20, 10),
        (20, 19, 4, 18, 9),  # 20 would take more than half
        (20, 6, 4, 6, 3),
        (20, 5, 4, 0, 0),  # 4 can prove nothing
        (8, 40, 4, 8, 4),
        (8, 40, 1, 8, 16),
        (8, 28, 1, 7, 14),
        (0, 40, 4, 0, 0),
        (None, 40, 4, 0, 0),
    ],
)
def test_verification_takes_at_most_half_of_the_budget(fresh, budget, seeds, paid, price):
    plan = planned(fresh, Budget(budget), seeds)
    assert (plan.seeds, plan.price) == (paid, price)
    assert plan.left(Budget(budget)) == Budget(budget - price)


def test_a_budget_too_small_for_verification_leaves_the_search_and_says_so():
    result = run(budget=5, seeds=4)
    assert result.verification is None
    assert result.cost.evaluations == 5
    assert sum(result.losses) < sum(result.baseline_losses)
    assert result.verdict.startswith(
        "not verified: 6 fresh seeds cost 3 evaluations, more than half of the budget of 5"
    )


@pytest.mark.parametrize(("seeds", "text"), [(1, "1 seed"), (3, "3 seeds")])
def test_the_mean_losses_are_printed_with_the_number_of_seeds(seeds, text):
    result = run(verify=0, budget=3, seeds=seeds)
    before, after = np.mean(result.baseline_losses), np.mean(result.losses)
    change = f"mean loss:        {before:.4f} -> {after:.4f} on the search's {text}"
    assert change in str(result).splitlines()


@pytest.mark.parametrize("off", [0, None])
def test_verification_can_be_turned_off(off):
    result, model = run(verify=off, budget=30), FakeModel()
    assert (result.cost.spent, result.cost.verification) == (30, 0)
    assert str(result).startswith("not verified: verification was turned off\n")
    assert result.found is result
    alone = run(model, verify=0, budget=30)
    assert alone.candidate == result.candidate
    assert sum(model.batches) == 120


@pytest.mark.parametrize("wrong", [1, 5, -1])
def test_numbers_of_seeds_that_prove_nothing_are_refused(wrong):
    model = FakeModel()
    with pytest.raises(ValueError, match=f"verify={wrong}: at least 6 fresh seeds .* 0 turns"):
        run(model, verify=wrong)
    for kind in (8.0, True, "8"):
        with pytest.raises(ValueError, match="verify must be a whole number"):
            run(model, verify=kind)
    assert not model.batches


def test_a_second_loss_has_to_agree():
    def opposite(images, prompts):
        return -shade(images, prompts)

    assert run(Words(0.8), second_loss=shade).verification.accepted
    result = run(Words(0.8), second_loss=opposite)
    assert result.prompts == (PROMPT, "")
    assert "opposite +" in result.verdict
    named = run(Words(0.8), second_loss={"mine": shade, "sum": "white"})
    assert list(named.verification.comparisons[0].changes) == ["loss", "mine", "sum"]


def test_a_second_loss_does_not_take_the_place_of_the_searched_one():
    def loss(images, prompts):
        return -shade(images, prompts)

    loss.__qualname__ = "loss"  # as if it stood in a module
    result = run(Words(0.8), second_loss=loss)
    assert list(result.verification.comparisons[0].changes) == ["loss", "second loss"]
    assert not result.verification.accepted
    with pytest.raises(ValueError, match="a second loss is named 'loss'"):
        verify(result.found, losses={"loss": loss})


def test_a_second_loss_sees_only_fresh_seeds():
    seen = []

    def second(images, prompts):
        seen.extend(images)
        return shade(images, prompts)

    run(second_loss=second)
    assert len(seen) == 2 * 8


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (5, "second_loss must be a name, a callable .*, not 5"),
        ({"a": None}, "second_loss must be a name, a callable .*, not None"),
        ({"loss": shade}, "names a loss 'loss', which is the searched one's name"),
    ],
)
def test_what_is_no_second_loss_is_refused_before_any_image(second, message):
    model = FakeModel()
    with pytest.raises(ValueError, match=message):
        run(model, second_loss=second)
    assert not model.batches


def test_the_share_of_failed_images_verifies_the_default_loss_of_the_toy_model_alone():
    model = load("toy")
    assert list(chosen_second_losses(None, model)) == ["failed images"]
    assert chosen_second_losses(None, model, by_default=False) == {}
    assert chosen_second_losses(None, FakeModel()) == {}


def test_a_trace_says_the_verdict(tmp_path):
    path = tmp_path / "trace.jsonl"
    for settings in ({"model": Words(0.8)}, {}, {"budget": 5}):
        result = run(trace=path, overwrite=True, **settings)
        trace = Trace.load(path)
        assert trace.verdict == result.trace.verdict == result.verdict
        assert trace.status == result.status
        assert trace.cost == dataclasses.asdict(result.cost)
    result = run(trace=path, overwrite=True)
    kept = Trace.load(path).verification
    assert kept["accepted"] is False
    assert tuple(kept["seeds"]) == result.verification.seeds
    assert [tuple(c["candidate"]) for c in kept["comparisons"]] == [
        c.candidate for c in result.verification.comparisons
    ]


def test_a_trace_of_a_search_alone_has_no_verdict(tmp_path):
    path = tmp_path / "trace.jsonl"
    run(trace=path, verify=0)
    assert Trace.load(path).verdict is None
    assert sum("end" in json.loads(line) for line in path.read_text().splitlines()) == 1


def test_a_verification_that_fails_leaves_the_result_of_the_search(tmp_path):
    path = tmp_path / "trace.jsonl"
    error = RuntimeError("broken")
    with pytest.warns(UserWarning, match="verification failed.* RuntimeError: broken"):
        result = run(loss=failing(error, 36 * 4), space=LARGE, trace=path)
    assert (result.status, result.error) == ("failed", error)
    assert len(result.trace.records) == 36
    assert result.prompts.negative
    assert sum(result.losses) < sum(result.baseline_losses)
    assert str(result).startswith("not verified: it failed, RuntimeError: broken")
    trace = Trace.load(path)
    assert (trace.status, trace.error) == ("failed", "RuntimeError: broken")
    assert trace.verdict == result.verdict


def test_an_interrupted_verification_leaves_the_result_of_the_search(tmp_path):
    path = tmp_path / "trace.jsonl"
    # One batch of the verification is done.
    loss = failing(KeyboardInterrupt(), 36 * 4 + 8)
    result = run(loss=loss, space=LARGE, trace=path, batch_size=8)
    assert (result.status, result.error) == ("stopped", None)
    assert result.prompts.negative
    assert str(result).startswith("not verified: it was interrupted")
    assert result.cost.spent == result.trace.cost["spent"] == 36 + 8 / 4
    assert Trace.load(path).status == "stopped"


def test_a_search_that_was_stopped_or_failed_is_not_verified():
    result = run(callback=lambda record: record.index == 9)
    assert (result.status, result.cost.verification) == ("stopped", 0)
    assert str(result).startswith("not verified: the search was stopped")
    with pytest.warns(UserWarning, match="the search failed"):
        result = run(loss=failing(RuntimeError("broken"), 60))
    assert (result.status, result.cost.verification) == ("failed", 0)
    assert str(result).startswith("not verified: the search failed")


def test_a_verified_result_can_be_verified_again_on_other_seeds():
    result = run(Words(0.8))
    again = verify(result)
    assert again.accepted
    assert set(again.seeds).isdisjoint(result.verification.seeds)


def test_seeds_of_the_verification_are_not_held_out():
    with pytest.raises(ValueError, match="seed 5 was used by the verification"):
        held_out(run(), [5, 100], {"shade": shade})


def test_losses_that_are_not_finite_prove_nothing():
    def loss(images, prompts):
        losses = shade(images, prompts)
        return torch.where(losses < 0.05 / MOST, torch.nan, losses)

    result = run(Words(0.5), loss=loss, space=negative_space(2), verify=20)
    assert not result.verification.accepted
    assert result.verification.comparisons[0].changes["loss"][1:] == (-np.inf, np.inf)
    assert run(Words(0.5), space=negative_space(2), verify=20).verification.accepted


@pytest.mark.parametrize("harm", [0.0, 0.5])
def test_a_search_of_a_useless_space_is_hardly_ever_accepted(harm):
    """Whole searches: the best of 29 on their own seeds, then the best on fresh ones."""
    runs = 250
    accepted = better = 0
    for number in range(runs):
        result = run(Useless(number, harm), budget=35, seed=number, seeds=4)
        accepted += result.verification.accepted
        better += sum(result.found.losses) < sum(result.found.baseline_losses)
    # The search believes nearly always that it found something.
    assert better > 0.9 * runs
    # 2.5%, and three standard errors of the simulation
    assert accepted / runs <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / runs)


def test_no_worse_prompt_is_ever_returned_unproven():
    """Without verification most results of a harmful space are worse than the prompt itself."""
    worse = {0: 0, 8: 0}
    for fresh in worse:
        for number in range(60):
            result = run(Useless(number, 1.0), budget=30, seed=number, seeds=4, verify=fresh)
            worse[fresh] += "w1" in result.prompts.negative
    assert worse[0] > 10
    assert worse[8] <= 1


def test_solvers_of_ones_own_are_verified_too():
    result = run(Words(0.8), solver=RandomSearch)
    assert result.verification.accepted


@pytest.mark.parametrize("sign", [1, -1])
def test_the_guidance_of_a_candidate_is_said(tmp_path, sign):
    path = tmp_path / "trace.jsonl"
    second = {"other": lambda images, prompts: sign * shade(images, prompts)}
    result = run(Guided(), space="guidance", budget=12, second_loss=second, trace=path)
    assert result.verification.accepted == (sign == 1)
    assert result.prompts.guidance == (2.0 if sign == 1 else None)
    said = ["guidance:         2"] if sign == 1 else ["its guidance:     2"]
    assert [line for line in str(result).splitlines() if "guidance" in line] == said
    written = Trace.load(path).verification
    assert (written["prompts"], written["guidance"]) == ([PROMPT, ""], result.prompts.guidance)
    titles = [
        text.get_text() for text in plots.strip(result).findobj(lambda a: hasattr(a, "get_text"))
    ]
    assert any("guidance: 2" in title for title in titles) == (sign == 1)
