"""Records are read with their stamp, and a claim that fails is printed as failed."""

import json
from dataclasses import asdict, replace

import pandas as pd
import pytest

from dpodiff.results.records import Recorded
from dpodiff.results.stamp import Stamp
from dpodiff.toy.digests import scorers_digest, weights_digest


@pytest.fixture
def folder(tmp_path):
    rows = []
    for index in range(12):
        for solver, gain in (("epo", 0.1 + 0.01 * index), ("random", 0.01 * (-1) ** index)):
            for measure, sign in (("loss, new seeds", -1), ("judge, clean", 1)):
                row = {"prompt": f"p{index}", "solver": solver, "measure": measure}
                rows.append(row | {"before": 0.5, "after": 0.5 + sign * gain})
    stamp = Stamp.collect({"budget": 40})
    stamp.seconds = 12.0
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "stamp.json").write_text(json.dumps(asdict(stamp)))
    pd.DataFrame(rows).to_csv(tmp_path / "some" / "table.csv", index=False)
    return tmp_path


def test_differences_are_paired_over_prompts(folder):
    row = Recorded.load("some", folder).differences().loc["epo: loss, new seeds"]
    assert row["mean"] == pytest.approx(-0.155)
    assert row["low"] < -0.155 < row["high"] < 0
    assert row["prompts"] == 12


def test_a_claim_whose_interval_contains_zero_is_not_shown(folder):
    found = Recorded.load("some", folder).verdicts()
    assert [one.verdict for one in found] == ["holds", "holds", "not shown", "not shown"]


def test_a_claim_whose_opposite_holds_is_told_from_one_that_is_not_shown(folder):
    found = Recorded.load("some", folder).verdicts(worse=True)
    assert [one.verdict for one in found] == ["opposite", "opposite", "not shown", "not shown"]


def test_no_claim_is_made_on_a_handful_of_prompts(folder):
    record = Recorded.load("some", folder)
    few = record.table[record.table["prompt"].isin(["p0", "p1", "p2"])]
    found = replace(record, table=few).verdicts()
    assert {(one.prompts, one.verdict) for one in found} == {(3, "too few prompts")}


def test_contrast_pairs_two_solvers(folder):
    contrast = Recorded.load("some", folder).contrast("epo", "random")
    assert contrast.loc["loss, new seeds", "high"] < 0 < contrast.loc["judge, clean", "low"]


def test_searches_of_one_prompt_are_averaged_before_the_interval(folder):
    record = Recorded.load("some", folder)
    twice = [record.table.assign(search_seed=seed) for seed in (0, 1)]
    twice[1]["after"] += 0.2
    both = replace(record, table=pd.concat(twice))
    row = both.differences().loc["epo: loss, new seeds"]
    assert row["prompts"] == 12
    assert row["mean"] == pytest.approx(-0.055)


def test_a_search_that_only_one_of_two_solvers_made_is_not_compared(folder):
    record = Recorded.load("some", folder)
    first = record.table.assign(search_seed=0)
    second = first[first["solver"] == "random"].assign(search_seed=1, after=-100.0)
    more = replace(record, table=pd.concat([first, second]))
    pd.testing.assert_frame_equal(
        more.contrast("epo", "random"), record.contrast("epo", "random"), check_exact=True
    )


def test_solvers_without_a_search_in_common_make_no_claim(folder):
    record = Recorded.load("some", folder)
    seeds = record.table["solver"].map({"epo": 0, "random": 1})
    apart = replace(record, table=record.table.assign(search_seed=seeds))
    claims = [("evolution helps", "epo", "random")]
    assert record.tested(claims, "loss, new seeds")
    assert not apart.tested(claims, "loss, new seeds")


def test_a_claim_on_two_solvers_holds_in_one_direction_only(folder):
    record = Recorded.load("some", folder)
    claims = [("evolution helps", "epo", "random"), ("chance helps", "random", "epo")]
    found = record.tested(claims, "loss, new seeds")
    assert [(one.claim, one.verdict) for one in found] == [
        ("evolution helps", "holds"),
        ("chance helps", "opposite"),
    ]


def test_a_part_of_a_record_is_about_the_solvers_asked_for(folder):
    record = Recorded.load("some", folder)
    assert set(record.of("random").table["solver"]) == {"random"}
    with pytest.raises(ValueError, match="no 'gpo'; it has epo, random"):
        record.of("gpo")


def test_curves_are_read_where_they_were_kept(folder):
    assert Recorded.load("some", folder).curves is None
    curve = pd.DataFrame({"prompt": ["p0"], "solver": ["epo"], "spent": [1.0], "best": [0.5]})
    curve.to_csv(folder / "some" / "curves.csv", index=False)
    assert Recorded.load("some", folder).curves["best"].tolist() == [0.5]


def test_what_was_gained_late_is_told_from_what_was_gained_early(folder):
    record = Recorded.load("some", folder)
    rows = [(1, 0.9), (5, 0.6), (20, 0.5), (30, 0.4)]
    curve = pd.DataFrame(rows, columns=["spent", "best"]).assign(solver="epo", search_seed=0)
    curves = pd.concat([curve.assign(prompt=f"p{index}") for index in range(12)])
    record = replace(record, curves=curves)
    for start, end, change in ((0, 40, -0.5), (0, 0.5, 0), (5, 29, -0.1), (20, 40, -0.1)):
        gained = record.gained(start, end).differences()
        assert gained.loc["epo: loss, search seeds", "mean"] == pytest.approx(change)


def test_without_curves_nothing_is_said_about_the_time_between(folder):
    with pytest.raises(ValueError, match="some has no curves"):
        Recorded.load("some", folder).gained(0, 20)


def test_the_stamp_names_parameters_device_commit_and_seconds(folder):
    text = Recorded.load("some", folder).stamp_text()
    for part in ("Recorded", "12 s", "commit", "budget = 40", "python"):
        assert part in text


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, []),
        ({"weights": weights_digest(), "scorers": scorers_digest()}, []),
        ({"weights": "0123456789ab"}, ["weights"]),
        ({"weights": weights_digest(), "scorers": "0123456789ab"}, ["scorers"]),
        ({"weights": weights_digest(), "small weights": "0123456789ab"}, ["weights"]),
    ],
    ids=["no digest", "the installed ones", "other weights", "other scorers", "of the small model"],
)
def test_a_record_made_with_other_weights_says_so(folder, parameters, said):
    record = Recorded.load("some", folder)
    stamp = replace(record.stamp, parameters=record.stamp.parameters | parameters)
    lines = replace(record, stamp=stamp).stamp_text().splitlines()
    assert [line.split()[3] for line in lines if line.startswith("Made with other")] == said


def test_an_unknown_record_is_answered_with_those_there_are(folder):
    with pytest.raises(FileNotFoundError, match="there are: some"):
        Recorded.load("other", folder)


def test_claims_are_contrasted_where_both_solvers_were_recorded(folder):
    recorded, measure = Recorded.load("some", folder), "loss, new seeds"
    claims = [("EPO wins", "epo", "random"), ("HPO wins", "hpo", "epo")]
    table = recorded.contrasts(claims, measure)
    assert list(table.index) == ["EPO wins"]
    assert table.loc["EPO wins", "mean"] == pytest.approx(
        recorded.contrast("epo", "random").loc[measure, "mean"]
    )
    (one,) = recorded.tested(claims, measure)
    assert (one.claim, one.measure) == ("EPO wins", measure)
    assert one.effect == table.loc["EPO wins", "mean"]


def test_of_an_attack_the_claim_is_that_it_gets_worse(folder):
    found = Recorded.load("some", folder).verdicts(worse=True)
    assert "holds" not in {one.verdict for one in found}
    assert found[0].verdict == "opposite"


def test_images_that_moved_away_count_as_worse(folder):
    recorded = Recorded.load("some", folder)
    table = recorded.table[recorded.table["measure"] == "judge, clean"]
    moved = replace(recorded.of("epo"), table=table.assign(measure="visual distance"))
    assert moved.of("epo").verdicts(worse=True)[0].verdict == "holds"
    assert moved.of("epo").verdicts()[0].verdict == "opposite"


def test_what_is_left_after_verification_takes_the_place_of_what_was_found(folder):
    recorded = Recorded.load("some", folder)
    with pytest.raises(ValueError, match="the searches of some were not verified"):
        recorded.verified()
    refused = replace(recorded, table=recorded.table.assign(verified=recorded.table["before"]))
    changes = refused.verified().changes("loss, new seeds")
    assert (changes["mean"] == 0).all()
    assert (changes[["risen", "fallen"]] == 0).all(axis=None)


def test_large_rises_and_falls_are_counted_over_prompts(folder):
    recorded = Recorded.load("some", folder).of("epo")
    change = {"a": 0.2, "b": -0.3, "c": 0.05, "d": 0.15}
    rows = [
        {"prompt": p, "solver": "epo", "measure": "judge", "before": 0.5, "after": 0.5 + c}
        for p, c in change.items()
    ]
    ((_, row),) = replace(recorded, table=pd.DataFrame(rows)).changes("judge").iterrows()
    assert (row["risen"], row["fallen"], row["prompts"]) == (0.5, 0.25, 4)
    assert row["mean"] == pytest.approx(0.025)


def test_an_unknown_measure_is_answered_with_those_there_are(folder):
    with pytest.raises(ValueError, match="no measure 'beauty'; it has .*loss, new seeds"):
        Recorded.load("some", folder).changes("beauty")


def test_a_record_shows_its_stamp_folded_and_escaped(folder):
    record = Recorded.load("some", folder)
    stamp = replace(record.stamp, parameters={"prompt": "<script>"})
    shown = replace(record, stamp=stamp)._repr_html_()
    assert shown.startswith("<details><summary>Recorded ")
    assert "&lt;script&gt;" in shown and "<script>" not in shown
    assert "other weights" not in shown
    stamp = replace(record.stamp, parameters={"weights": "0" * 12})
    summary = replace(record, stamp=stamp)._repr_html_().split("</summary>")[0]
    assert "Made with other weights of the toy world than the installed ones" in summary
