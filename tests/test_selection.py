"""What would have been picked: exact means over draws, on seeds seen and unseen."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from dpodiff.results.selection import best_of, rank_probabilities, word_effects


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_the_chance_to_be_the_best_of_n_is_that_of_counting(n):
    draws = [min(draw) for draw in combinations(range(6), n)]
    counted = np.bincount(draws, minlength=6) / len(draws)
    assert rank_probabilities(6, n) == pytest.approx(counted)


@pytest.mark.parametrize("n", [0, 7])
def test_more_than_there_are_cannot_be_drawn(n):
    with pytest.raises(ValueError, match="from 1 to 6"):
        rank_probabilities(6, n)


@pytest.fixture
def table():
    """Two prompts, four candidates, three seeds; the judge likes what the loss dislikes."""
    rng = np.random.default_rng(0)
    rows = [
        {"prompt": prompt, "candidate": candidate, "seed": seed, "loss": loss, "judge": loss**2}
        for prompt in ("a", "b")
        for candidate in range(4)
        for seed, loss in enumerate(rng.random(3))
    ]
    return pd.DataFrame(rows)


def test_the_change_is_the_mean_over_all_draws(table):
    found = best_of(table, [2], [0, 1]).set_index("prompt")
    for prompt, rows in table.groupby("prompt"):
        losses = rows.pivot(index="candidate", columns="seed", values="loss")
        seen, unseen = losses[[0, 1]].mean(axis=1), losses[2]
        picks = [min((0, *draw), key=seen.get) for draw in combinations((1, 2, 3), 2)]
        assert found.loc[prompt, "seen"] == pytest.approx(np.mean(seen[picks]) - seen[0])
        assert found.loc[prompt, "loss"] == pytest.approx(np.mean(unseen[picks]) - unseen[0])
        assert found.loc[prompt, "judge"] == pytest.approx(
            np.mean(unseen[picks] ** 2) - unseen[0] ** 2
        )


def test_a_prompt_that_no_candidate_beats_is_kept(table):
    table.loc[table["candidate"] == 0, "loss"] = -1.0
    found = best_of(table, [1, 3], [0])
    assert (found[["seen", "loss", "judge"]] == 0).all(axis=None)


def test_harder_pressing_never_picks_worse_on_the_seen_seeds(table):
    found = best_of(table, [1, 2, 3], [0, 2])
    assert all(group["seen"].is_monotonic_decreasing for _, group in found.groupby("prompt"))


def test_some_seed_must_be_left_unseen(table):
    with pytest.raises(ValueError, match="no seed is left"):
        best_of(table, [1], [0, 1, 2])


def test_the_effect_of_a_word_is_its_candidates_mean_against_the_others(table):
    words = pd.DataFrame(
        {
            "prompt": ["a"] * 4 + ["b"] * 4,
            "candidate": [0, 1, 2, 3] * 2,
            "negative": ["", "dark", "dark, ugly", "ugly", "", "ugly", "dark", "dark, bad"],
        }
    )
    found = word_effects(table, words, fewest=2)
    assert sorted(found.index) == ["dark", "ugly"]  # "bad" is known of one prompt only
    means = table.groupby(["prompt", "candidate"])["loss"].mean()
    a = means["a"][[1, 2]].mean() - means["a"][[0, 3]].mean()
    b = means["b"][[2, 3]].mean() - means["b"][[0, 1]].mean()
    assert found.loc["dark", "mean"] == pytest.approx((a + b) / 2)
    assert found["mean"].is_monotonic_increasing
