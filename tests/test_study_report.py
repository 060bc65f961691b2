"""Reading a study: win rates, intervals, agreement, scores, what is left out, bad files."""

import contextlib
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, strategies as st
from studies import lighter, small

import dpodiff
from dpodiff.studies import Rules
from dpodiff.studies.measures import over_prompts

METHODS = ("search", "rewriter")


def answered(study, choose=lighter, rater="r1", **changes):
    """Answers of a rater of the page, all given in two seconds."""
    answers = study.answered(choose, rater) | {"made_by": "page"} | changes
    for answer in answers["answers"]:
        answer["ms"] = 2000
    return answers


def noisy(seed, accuracy=0.8):
    """A rater of perfect sight who sometimes answers at random."""
    rng = np.random.default_rng(seed)

    def choose(left, right, prompt):
        if left.equal(right) or left.std() > 0.1 or right.std() > 0.1:
            return lighter(left, right, prompt)
        return lighter(left, right, prompt) if rng.random() < accuracy else "left"

    return choose


def test_the_better_method_wins_whatever_its_side():
    study = small()
    report = dpodiff.read_study(answered(study), study.key())
    row = report.win_rates.loc["search"]
    assert (row["win rate"], row["answers"], row["pairs"], row["prompts"]) == (1, 16, 16, 8)
    assert 0.6 < row["low"] < 1 == row["high"]  # all prompts agree: not a point
    assert "search              win rate 1.000" in str(report)
    assert "left out: nothing" in str(report)


def test_who_always_presses_the_same_key_is_left_out_for_it():
    study = small(checks=0, repeats=0.5)
    good, bad = answered(study), answered(study, lambda *_: "left", "r2")
    report = dpodiff.read_study([good, bad], study.key())
    assert "left out: rater r2, reversed 8 of 8 repeats" in str(report)
    assert report.win_rates.loc["search", "answers"] == 16


def test_who_fails_checks_is_left_out_for_it():
    study = small(repeats=0)

    def inverse(left, right, prompt):
        return {"left": "right", "right": "left", "tie": "tie"}[lighter(left, right, prompt)]

    report = dpodiff.read_study([answered(study), answered(study, inverse, "r2")], study.key())
    assert "left out: rater r2, failed 1 of 2 checks" in str(report)
    with pytest.raises(ValueError, match="no answer counts: rater r2: failed 1 of 2 checks"):
        dpodiff.read_study(answered(study, inverse, "r2"), study.key())


def test_fast_answers_are_left_out_and_fast_raters_too():
    study = small(repeats=0, checks=0)
    one, many = answered(study), answered(study, rater="r2")
    one["answers"][0]["ms"] = 100
    for answer in many["answers"][:8]:
        answer["ms"] = 100
    report = dpodiff.read_study([one, many], study.key())
    assert report.win_rates.loc["search", "answers"] == 15
    assert "left out: 1 answers faster than 0.4 s" in str(report)
    assert "left out: rater r2, 8 of 16 answers faster than 0.4 s" in str(report)
    every = dpodiff.read_study([one, many], study.key(), Rules(seconds=0))
    assert every.win_rates.loc["search", "answers"] == 32


def test_repeats_and_checks_count_for_no_method():
    study = small(repeats=1.0, checks=1.0)
    report = dpodiff.read_study(answered(study), study.key())
    assert len(study.pairs) == 48 and len(report.answers) == 16


def test_functions_are_never_taken_for_people():
    study = small()
    report = dpodiff.read_study([answered(study), study.answered(lighter, "judge")], study.key())
    assert "simulated: 1 of these raters are functions, no people" in str(report)


def test_agreement_is_one_for_equal_raters_and_about_zero_for_random_ones():
    study = small(prompts=40, repeats=0, checks=0)
    same = [answered(study, rater=name) for name in ("r1", "r2", "r3")]
    assert dpodiff.read_study(same, study.key()).agreement == 1
    random = [answered(study, noisy(k, 0), f"r{k}") for k in range(3)]
    assert abs(dpodiff.read_study(random, study.key()).agreement) < 0.15


def test_a_preference_for_the_left_side_is_seen():
    study = small(prompts=40, checks=0, repeats=0)
    biased = dpodiff.read_study(answered(study, noisy(0, 0.5)), study.key()).left
    assert biased.low > 0.6
    fair = dpodiff.read_study(answered(study), study.key()).left
    assert fair.low < 0.5 < fair.high


def test_scores_order_the_methods_and_stay_finite():
    study = small(*METHODS, all_pairs=True)
    report = dpodiff.read_study(answered(study), study.key())
    scores = report.scores["score"]
    assert scores["before"] == 0 < scores["search"] < scores["rewriter"] < 10
    assert (report.scores["low"] <= scores).all() and (scores <= report.scores["high"]).all()
    assert dpodiff.read_study(answered(small()), small().key()).scores is None


def test_scores_are_those_of_the_model_that_made_the_answers():
    """Log-odds 0, 1 and 2 are found again from many answers."""
    study = small(*METHODS, all_pairs=True, prompts=300, pairs_per_prompt=3, repeats=0, checks=0)
    truth, key = {"before": 0.0, "search": 1.0, "rewriter": 2.0}, study.key()
    rng = np.random.default_rng(0)
    answers = answered(study)
    for answer in answers["answers"]:
        methods = dict(zip("ab", key["pairs"][answer["pair"]]["methods"]))
        left = methods.pop(answer["left"])
        (right,) = methods.values()
        chance = 1 / (1 + np.exp(truth[right] - truth[left]))
        answer["choice"] = "left" if rng.random() < chance else "right"
    scores = dpodiff.read_study(answers, key).scores
    assert scores["score"].to_dict() == pytest.approx(truth, abs=0.15)
    assert (scores["low"] <= 0.15 + scores["score"]).all()


@pytest.mark.parametrize(("prompts", "rate"), [(10, 0.6), (20, 0.6), (20, 0.8), (60, 0.5)])
def test_the_interval_covers_the_win_rate_when_prompts_differ(prompts, rate):
    rng, hits, runs = np.random.default_rng(0), 0, 500
    names = pd.Series(np.repeat(np.arange(prompts), 4))
    for _ in range(runs):
        own = rng.beta(9 * rate, 9 * (1 - rate), prompts)  # correlation 0.1 within a prompt
        won = pd.Series(rng.random(4 * prompts) < np.repeat(own, 4)).astype(float)
        interval = over_prompts(won, names)
        hits += interval.low <= rate <= interval.high
    assert 0.9 <= hits / runs <= 0.98


def test_nothing_is_claimed_of_few_prompts():
    study = small(prompts=9)
    report = dpodiff.read_study(answered(study), study.key())
    assert report.win_rates.loc["search", "low"] > 0.5
    assert "too few prompts" in str(report)


def test_an_unfinished_file_counts_as_far_as_it_goes():
    study = small(checks=0, repeats=0)
    half = answered(study)
    half["answers"] = half["answers"][:5]
    assert dpodiff.read_study(half, study.key()).win_rates.loc["search", "answers"] == 5


def test_files_and_folders_are_read(tmp_path):
    study = small()
    study.save(tmp_path / "study.html")
    for name in ("r1", "r2"):
        (tmp_path / f"{name}.json").write_text(json.dumps(answered(study, rater=name)))
    report = dpodiff.read_study(tmp_path, tmp_path / "study.key.json")
    assert len(report.raters) == 2


DAMAGED = [
    ({"format": "x"}, "holds no answers"),
    ({"version": 9}, "has version 9 of the format"),
    ({"study": "0" * 12}, "belongs to study '000000000000'"),
    ({"rater": ""}, "rater must be a name"),
    ({"rater": 5}, "rater must be a name"),
    ({"rater": "r\x1b[2J"}, "without control characters"),
    ({"made_by": "robot"}, "made_by must be"),
    ({"answers": {}}, "answers must be a list"),
    ({"answers": [3]}, "answer 1: must be an object with pair, left, choice, ms"),
]


@pytest.mark.parametrize(("change", "message"), DAMAGED)
def test_a_damaged_file_is_named_with_its_fault(tmp_path, change, message):
    study = small()
    (tmp_path / "r1.json").write_text(json.dumps(answered(study) | change))
    with pytest.raises(ValueError, match=rf"r1\.json.*{message}"):
        dpodiff.read_study(tmp_path / "r1.json", study.key())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pair": "nothing"}, "answer 2: the study has no pair 'nothing'"),
        ({"pair": []}, "answer 2: the study has no pair"),
        ({"left": "c"}, "answer 2: left must be 'a' or 'b'"),
        ({"choice": "both"}, "answer 2: choice must be one of left, right, tie"),
        ({"choice": ["left"]}, "answer 2: choice must be one of"),
        ({"ms": float("nan")}, "answer 2: ms must be a number"),
        ({"ms": -1}, "answer 2: ms must be a number"),
        ({"ms": True}, "answer 2: ms must be a number"),
        ({"ms": 10**400}, "answer 2: ms must be a number"),
    ],
)
def test_a_damaged_answer_is_named_with_its_fault(change, message):
    study = small()
    answers = answered(study)
    answers["answers"][1] |= change
    with pytest.raises(ValueError, match=message):
        dpodiff.read_study(answers, study.key())


def test_a_pair_answered_twice_and_a_rater_with_two_files_are_refused():
    study = small()
    twice = answered(study)
    twice["answers"].append(twice["answers"][0])
    with pytest.raises(ValueError, match="is answered twice"):
        dpodiff.read_study(twice, study.key())
    with pytest.raises(ValueError, match="are both of rater 'r1'"):
        dpodiff.read_study([answered(study), answered(study)], study.key())


@pytest.mark.parametrize("text", ["", "{", "[1]", "[" * 100_000, "\udcff", '{"format": 1}'])
def test_what_is_no_file_of_answers_is_a_clear_error(tmp_path, text):
    path = tmp_path / "r1.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"r1\.json"):
        dpodiff.read_study(path, small().key())
    with pytest.raises(ValueError, match=r"r1\.json"):
        dpodiff.read_study(answered(small()), path)


@pytest.mark.parametrize("answers", [3, [3], None, [None]])
def test_answers_of_another_kind_are_a_clear_error(answers):
    with pytest.raises(ValueError, match="answers 1 must be a file or its content"):
        dpodiff.read_study(answers, small().key())


def test_no_answers_at_all_are_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match="there are no answers"):
        dpodiff.read_study(tmp_path, small().key())


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
STUDY = small()
WHOLE = answered(STUDY)


@given(st.sampled_from([*WHOLE]), JSON)
def test_no_field_of_a_file_brings_anything_but_a_clear_error(name, value):
    with contextlib.suppress(ValueError):
        dpodiff.read_study(WHOLE | {name: value}, STUDY.key())


@given(st.sampled_from([*STUDY.key()]), JSON)
def test_no_field_of_a_key_brings_anything_but_a_clear_error(name, value):
    with contextlib.suppress(ValueError):
        str(dpodiff.read_study(WHOLE, STUDY.key() | {name: value}))
