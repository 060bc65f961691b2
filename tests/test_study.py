"""Making a study: which pairs are shown, in which order, and what the page gives away."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import FakeModel, shade
from studies import flat, lighter, small
from typer.testing import CliRunner

import dpodiff
from dpodiff.cli.app import app
from dpodiff.studies.pairs import APART, VERSIONS, orders

SEARCH = {"loss": shade, "space": "nplib", "budget": 8, "seeds": 3, "progress": False}


def searched(prompt="a red ball", **settings):
    return dpodiff.improve(prompt, model=FakeModel(), lexicon="toy", verify=0, **SEARCH, **settings)


def kinds(study):
    shown = [pair for pair in study.pairs if pair.methods and not pair.repeats]
    again = [pair for pair in study.pairs if pair.repeats]
    return shown, again, [pair for pair in study.pairs if pair.expected]


def test_pairs_are_of_one_prompt_and_seed_against_the_baseline():
    shown, again, checks = kinds(small("search", "rewriter", pairs_per_prompt=2))
    assert len(shown) == 8 * 2 * 2
    assert all("before" in pair.methods for pair in shown)
    assert len(again) == 4  # a tenth, rounded up
    assert [pair.expected == "tie" for pair in checks].count(True) == 1


def test_methods_are_compared_with_each_other_on_request():
    shown, _, _ = kinds(small("search", "rewriter", all_pairs=True))
    assert {frozenset(pair.methods) for pair in shown} >= {frozenset(("search", "rewriter"))}
    assert len(shown) == 8 * 2 * 3


def test_which_image_is_a_and_which_is_left_is_random():
    study = small(prompts=60, repeats=0, checks=0)
    first = np.mean([pair.methods[0] == "search" for pair in study.pairs])
    left = np.mean([side == "a" for _, side in orders(study.pairs, 0)[0]])
    assert 0.3 < first < 0.7 and 0.3 < left < 0.7


def test_a_seed_repeats_a_study_and_another_one_does_not():
    assert small(seed=3).id == small(seed=3).id
    assert small(seed=3).html() == small(seed=3).html()
    assert small(seed=3).id != small(seed=4).id


def test_raters_see_different_orders_with_all_pairs():
    study = small()
    first, second = ([s.pair.id for s in study.session(name).order] for name in ("r1", "r2"))
    assert sorted(first) == sorted(second) == sorted(pair.id for pair in study.pairs)
    assert first != second


@pytest.mark.parametrize("version", range(VERSIONS))
def test_a_repeated_pair_comes_later_with_its_sides_swapped(version):
    study = small(repeats=1.0, checks=0, prompts=20, pairs_per_prompt=1)
    at = {study.pairs[i].id: (k, s) for k, (i, s) in enumerate(orders(study.pairs, 0)[version])}
    for pair in study.pairs:
        if pair.repeats:
            (first, left), (second, again) = at[pair.repeats], at[pair.id]
            assert {left, again} == {"a", "b"}
            assert second > first
    gaps = [at[p.id][0] - at[p.repeats][0] for p in study.pairs if p.repeats]
    assert np.mean([gap > APART for gap in gaps]) > 0.6  # all but the last ones


def test_a_result_brings_its_baseline_along():
    study = dpodiff.study({"search": searched()}, pairs_per_prompt=3)
    shown, _, _ = kinds(study)
    assert {pair.prompt for pair in shown} == {"a red ball"}
    assert sorted(pair.seed for pair in shown) == [0, 1, 2]


def test_pairs_with_the_same_image_twice_are_counted_and_not_shown():
    same = flat(0.2) | {"prompt 0": flat(0.6)["prompt 0"]}
    study = dpodiff.study({"before": flat(0.2), "search": same}, pairs_per_prompt=3)
    assert study.equal == 21
    assert {pair.prompt for pair in study.pairs} == {"prompt 0"}


@pytest.mark.parametrize(
    ("methods", "settings", "message"),
    [
        ({"before": flat(0.2)}, {}, "share no prompt and seed"),
        ({"before": flat(0.2), "search": flat(0.2)}, {}, "24 have the same image twice|16 have"),
        ({"search": {"a": np.ones((1, 4, 4, 3))}}, {}, r"must be \(n, 3, height, width\)"),
        ({"before": flat(0.2), "search": {"a": np.full((1, 3, 4, 4), 2)}}, {}, "from 0 to 1"),
        ({"search": [3]}, {}, "a result, a folder or images are needed, not '3'"),
        ({"before": flat(0.2), "search": flat(0.6)}, {"repeats": 2}, "repeats must be a share"),
        ({"search": "nowhere"}, {}, "nowhere holds no result.json"),
        ({"before": []}, {}, "is the name of the baseline"),
    ],
)
def test_bad_input_is_one_clear_error(methods, settings, message):
    with pytest.raises(ValueError, match=message):
        dpodiff.study(methods, **settings)


def test_searches_with_different_baselines_are_not_mixed():
    class Other(FakeModel):
        def generate(self, prompts, negative_prompts, seeds):
            return 1 - super().generate(prompts, negative_prompts, seeds)

    other = dpodiff.improve("a red ball", model=Other(), lexicon="toy", verify=0, **SEARCH)
    with pytest.raises(ValueError, match="two different images of 'a red ball' and seed 0"):
        dpodiff.study({"one": searched(), "two": other})


def test_the_page_holds_no_method_and_no_markup_of_a_prompt(tmp_path):
    evil = '</script><img src=x onerror="alert(1)"> & <!--'
    images = [{evil: flat(light)["prompt 0"]} for light in (0.2, 0.6)]
    study = dpodiff.study(dict(zip(["plainbase", "secretsearch"], images)), baseline="plainbase")
    page = study.html()
    assert "plainbase" not in page and "secretsearch" not in page
    assert "<img src=x" not in page and page.count("</script>") == 2
    data = re.search(r'<script id="data"[^>]*>(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(data)["pairs"][0]["prompt"] == evil


def test_the_page_loads_nothing():
    page = small().html()
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|src=(?!\"data:)", page)


def test_files_are_replaced_only_on_request(tmp_path):
    page, key = tmp_path / "study.html", tmp_path / "study.key.json"
    small().save(page)
    before = page.read_text(), key.read_text()
    with pytest.raises(FileExistsError, match=r"study\.html is there"):
        small(seed=1).save(page)
    assert (page.read_text(), key.read_text()) == before
    small(seed=1).save(page, overwrite=True)
    assert page.read_text() != before[0]
    assert {file.name for file in tmp_path.iterdir()} == {"study.html", "study.key.json"}


def test_going_back_replaces_an_answer():
    session = small().session("r1")
    session.answer("left")
    session.back()
    session.answer("right")
    assert [one["choice"] for one in session.answers()["answers"]] == ["right"]


def test_ties_are_refused_by_a_forced_choice():
    study = small(ties=False)
    assert not any(pair.expected == "tie" for pair in study.pairs)
    with pytest.raises(ValueError, match="a choice is one of left, right, not 'tie'"):
        study.session("r1").answer("tie")


def test_the_panel_gives_the_answers_that_the_page_would():
    study = small()
    panel = dpodiff.study_panel(study, "r1")
    session = study.session("r1")
    assert panel.images[0].value == study.png(session.showing.images[0])
    while not panel.session.done:
        panel.buttons["left"].click()
    assert panel.buttons["left"].disabled and not panel.buttons["back"].disabled
    answers = panel.answers()
    assert [a["pair"] for a in answers["answers"]] == [s.pair.id for s in session.order]
    assert answers["made_by"] == "panel"


def test_prompts_are_text_in_the_panel():
    images = [{"<b>x</b>": flat(light)["prompt 0"]} for light in (0.2, 0.6)]
    panel = dpodiff.study_panel(dpodiff.study(dict(zip(["before", "new"], images))), "r1")
    assert "&lt;b&gt;x&lt;/b&gt;" in panel.text.value


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    """Folders of two searches, as the command line writes them."""
    folder = tmp_path_factory.mktemp("searches") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dpodiff.models.load", lambda *given: FakeModel())
        for prompt in ("a red ball", "a blue car"):
            out = ["--out", str(folder / prompt.replace(" ", "-"))]
            options = ["--loss", "white", "--lexicon", "toy", "--budget", "8", "--seeds", "3"]
            CliRunner().invoke(app, ["improve", prompt, *out, *options, "--verify", "0"])
    return folder


@pytest.fixture
def runs(searches, tmp_path, monkeypatch):
    """A copy of these folders, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(searches, tmp_path / "runs"))


def test_folders_make_the_same_pairs_as_results(runs):
    study = dpodiff.study({"search": runs}, pairs_per_prompt=3)
    assert {pair.prompt for pair in study.pairs} == {"a red ball", "a blue car"}
    again = dpodiff.study({"search": [runs / "a-red-ball", runs / "a-blue-car"]})
    assert {pair.prompt for pair in again.pairs} == {"a red ball", "a blue car"}


def test_a_study_is_a_command(runs):
    done = CliRunner().invoke(app, ["study", "runs", "--out", "study.html"])
    assert done.exit_code == 0, done.stderr
    assert "study.key.json" in done.stdout
    study = dpodiff.study({"found": runs})
    (runs.parent / "r1.json").write_text(json.dumps(study.answered(lighter, "r1")))
    report = CliRunner().invoke(app, ["study-report", "r1.json", "--key", "study.key.json"])
    assert report.exit_code == 0, report.stderr
    assert "found               win rate" in report.stdout
    named = CliRunner().invoke(app, ["study", "epo=runs/a-red-ball", "--out", "named.html"])
    assert named.exit_code == 0, named.stderr
    assert "epo" in (runs.parent / "named.key.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "nowhere", "--out", "study.html"], "nowhere holds no result.json"),
        (["study-report", "runs/a-red-ball/result.json", "--key", "x.json"], "x.json"),
    ],
)
def test_a_command_answers_bad_arguments_in_one_line(runs, arguments, message):
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("dpodiff: ") and message in done.stderr
