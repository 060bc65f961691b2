"""What there is to gain is read off from images that were judged before."""

import numpy as np
import pandas as pd
import pytest

from dpodiff.results.headroom import against_best, headroom

SPACES = {"sparse": ["sparse"], "both": ["sparse", "dense"]}


@pytest.fixture
def images():
    """Of each of three prompts one sparse candidate is worse, and one dense better, on all seeds.

    The loss "fooled" likes the worse one, "right" the better one.
    """
    rows = [
        (prompt, k, space, seed, good, -good, good)
        for prompt in "pqr"
        for k, (space, good) in enumerate([("own", 0.5), ("sparse", 0.25), ("dense", 1.0)])
        for seed in range(4)
    ]
    columns = ["prompt", "candidate", "space", "seed", "judge", "right", "fooled"]
    return pd.DataFrame(rows, columns=columns)


def gains(images, **changed):
    settings = {"spaces": SPACES, "sizes": [1, 9], "seen": [0, 1], "losses": ["right", "fooled"]}
    table = headroom(images, measure="judge", **(settings | changed))
    return table.set_index(["space", "n", "loss"])


def test_a_pick_gains_what_its_loss_likes(images):
    table = gains(images)
    assert table.loc[("both", 2, "oracle"), "mean"] == pytest.approx(0.5)
    assert table.loc[("both", 2, "right"), "better"] == 1
    assert table.loc[("both", 2, "fooled"), "mean"] == pytest.approx(-0.25)
    assert table.loc[("both", 2, "fooled"), "worse"] == 1


def test_the_oracle_keeps_the_prompt_where_a_space_has_nothing_better(images):
    assert gains(images).loc[("sparse", 1, "oracle"), "mean"] == 0


def test_more_candidates_than_there_are_means_all(images):
    assert list(gains(images).index.unique("n")) == [1, 2]


def test_a_gain_on_the_seeds_of_the_pick_does_not_count(images):
    lucky = images["space"].eq("dense") & images["seed"].isin([0, 1])
    images["judge"] = np.where(lucky, 1.0, 0.5)
    assert gains(images).loc[("both", 2, "oracle"), "mean"] == pytest.approx(0)


def test_a_space_without_candidates_of_a_prompt_is_refused(images):
    images = images[~(images["prompt"].eq("q") & images["space"].eq("dense"))]
    with pytest.raises(ValueError, match="the space 'dense' has no candidates of some prompts"):
        gains(images, spaces={"dense": ["dense"]})


def test_settings_are_compared_with_the_best_on_the_same_prompts():
    rng = np.random.default_rng(0)
    prompts = pd.DataFrame({"prompt": list("abcdefghijkl"), "base": rng.uniform(0, 0.8, 12)})
    cells = [("x", 4, 0.0), ("x", 6, 0.1), ("y", 4, 0.05)]
    table = pd.concat(
        prompts.assign(sampler=name, steps=steps, clean=prompts["base"] + gain)
        for name, steps, gain in cells
    )
    found = against_best(table, ["sampler", "steps"], "clean")
    assert found[["sampler", "steps"]].values.tolist() == [["x", 6], ["y", 4], ["x", 4]]
    # The prompts differ far more than the settings, but in pairs nothing is left of that.
    assert found["high"].tolist() == pytest.approx([0, -0.05, -0.1])
