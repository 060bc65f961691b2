"""The recorders of the toy world, each part made once with tiny settings."""

import json
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import dpodiff
from dpodiff.spaces.constraints import load_encoder
from dpodiff.toy.judge import Judge
from dpodiff.toy.matcher import Matcher
from dpodiff.toy.scenes import Scene, Thing

BOOK = Path(__file__).parents[1] / "book"
PROMPT = "a red ball on the sea"
MAIN = "judge, all and clean"


@pytest.fixture(scope="module")
def book():
    """Imports a script of the book."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BOOK)
        yield import_module


@pytest.fixture(autouse=True)
def small(book, monkeypatch):
    """The toy world with two steps, and an untrained matcher."""
    torch.manual_seed(0)
    matcher = Matcher().eval().requires_grad_(False)
    model = dpodiff.load("toy")
    model.steps = 2
    have = {"model": book("recording").Remembering(model), "judge": Judge.load()}
    for name in ("record_start", "record_landscape", "record_claims", "record_windows"):
        monkeypatch.setattr(book(name), "models", lambda: have)
    loss = book("scorers").loss
    loss.cache_clear()
    monkeypatch.setattr("dpodiff.toy.matcher.load_matcher", lambda device, form: matcher)
    yield
    loss.cache_clear()


@pytest.fixture
def claims(book, monkeypatch):
    """The recorder of verified searches, with a small budget."""
    recorder = book("record_claims")
    for name, value in {"BUDGET": 14, "SEEDS": 2, "FRESH": 6, "UNSEEN": range(1000, 1002)}.items():
        monkeypatch.setattr(recorder, name, value)
    monkeypatch.setattr(recorder, "FITTED", range(500, 504))
    return recorder


@pytest.fixture
def landscape(book, monkeypatch):
    """The recorder of the landscape, with few seeds."""
    recorder = book("record_landscape")
    monkeypatch.setattr(recorder, "SEEDS", range(2))
    monkeypatch.setattr(recorder, "FITTED", range(10, 14))
    monkeypatch.setattr(recorder, "GROUPS", {"sparse": ("sparse",), "all": ("sparse", "dense")})
    recorder.prompts_of.cache_clear()
    return recorder


def test_a_start_has_a_row_a_validation_prompt_and_each_sampler_its_own_images(book):
    start = book("record_start")
    tables = {
        sampler: start.run(2, 1, sampler, 3, 3.0, "")["table.csv"]
        for sampler in (start.OWN, *start.SAMPLERS)
    }
    for sampler, table in tables.items():
        assert list(table["prompt"]) == start.validation_prompts(2)
        assert set(table["sampler"]) == {sampler}
        assert table["all and clean"].between(0, 1).all()
        assert (table["all and clean"] <= table[["all", "clean"]].min(axis=1)).all()
    model = start.models()["model"].model
    images = []
    for sampler in tables:
        model.scheduler = partial(start.scheduler, model, sampler)
        images.append(start.made(model, PROMPT, "", 1, steps=3, guidance=3.0))
    assert not torch.allclose(images[0], images[1], atol=0.01)
    assert not torch.allclose(images[0], images[2], atol=0.01)


def test_the_cells_of_a_start_are_different(book):
    start = book("record_start")
    cells = start.cells()
    assert len(set(cells)) == len(cells)
    assert {negative for *_, negative in cells} == {"", *start.NEGATIVES}


def test_candidates_begin_with_the_prompt_itself_and_are_all_different(book, landscape):
    model = landscape.models()["model"]
    found = book("drawing").drawn(PROMPT, model, 3, np.random.default_rng(0))
    assert found[0][1:] == (PROMPT, "", None)
    assert len({one[1:] for one in found}) == len(found)
    spaces = {one.space for one in found}
    assert spaces == {"own", *book("drawing").GROUPS["all"]}
    sparse = [one.negative.split(", ") for one in found if one.space == "sparse"]
    assert all(len(words) in (2, 3) for words in sparse)


def test_kept_images_are_scored_again_and_picks_are_tested_on_other_seeds(
    book, landscape, monkeypatch, tmp_path
):
    drawing = book("drawing")

    def few(prompt, model, each, rng):
        all_of_them = drawing.drawn(prompt, model, each, rng)
        kept = [one for one in all_of_them if one.space in ("own", "sparse", "dense")]
        return [*kept[:5], drawing.Drawn("both", f"{prompt}, sharp", "bad")]

    monkeypatch.setattr(landscape, "drawn", few)
    images, folder, record = tmp_path / "images", tmp_path / "headroom", book("storing").opened
    scores = images / "scores"
    prompts = [(0, PROMPT), (1, "a blue cup in the snow")]
    for where, keys, parts, make in (
        (images, ["number", "prompt"], prompts, partial(landscape.render, images, 2)),
        (
            scores,
            ["scorer", "number"],
            [(scorer, n) for n in (0, 1) for scorer in ("judge", "contrastive", "ensemble")],
            partial(landscape.score, images),
        ),
    ):
        with record(where, keys, parts, {}) as store:
            store.add({part: make(*part) for part in parts}, 1.0)
    kept = np.load(images / "0.npz")
    assert kept["images"].shape == (6, 2, 3, 64, 64)
    assert kept["images"].dtype == np.uint8
    table = landscape.images_table(images)
    assert len(table) == 2 * 6 * 2
    own = table[(table["prompt"] == PROMPT) & (table["candidate"] == 0)]
    shown = torch.from_numpy(kept["images"][0]).float() / 255
    expected = book("scorers").loss("contrastive")(shown, [PROMPT] * 2)
    assert own.sort_values("seed")["contrastive"].tolist() == pytest.approx(
        expected.tolist(), abs=1e-4
    )
    landscape.keep(images, folder)
    found = dpodiff.Recorded.load("headroom", tmp_path).table
    assert set(found["loss"]) == {"oracle", "contrastive", "ensemble"}
    assert set(found["space"]) == {"sparse", "all"}
    assert (found["prompts"] == 2).all()
    ((_, same),) = pd.read_csv(folder / "fixed.csv").iterrows()
    assert (same["modifiers"], same["negative"], same["prompts"]) == ("sharp", "bad", 2)
    with_words, own = (table[table["candidate"] == k][MAIN.removeprefix("judge, ")] for k in (5, 0))
    assert same["mean"] == pytest.approx(with_words.mean() - own.mean(), abs=1e-4)


def test_images_that_are_gone_are_not_scored(landscape, tmp_path):
    (tmp_path / "table.csv").write_text(f"number,prompt\n0,{PROMPT}\n")
    with pytest.raises(FileNotFoundError, match="0.npz is missing: remove"):
        landscape.score(tmp_path, "judge", 0)


@pytest.mark.parametrize(
    "name", ["matcher and CLIP: epo, diagnosis", "matcher: random", "spherical: gpo"]
)
def test_a_verified_search_is_judged_as_found_and_as_verified(claims, name):
    tables = claims.run(name, PROMPT, 0)
    table, (_, found) = tables["table.csv"], next(tables["found.csv"].iterrows())
    assert {"loss, search seeds", "loss, held-out CLIP", MAIN} <= set(table["measure"])
    assert found["spent"] <= claims.BUDGET + 1e-6
    if found["verdict"] == "refused":
        assert (table["verified"] == table["before"]).all()
    else:
        assert found["verdict"] == "accepted"
        assert not (table["verified"] == table["before"]).all()
    for one in tables.values():
        assert len(one) and (one["solver"] == name).all()


def test_fixed_modifiers_leave_out_what_the_prompt_has(claims):
    tables = claims.run("fixed modifiers, negative prompt", f"{PROMPT}, crisp", 0)
    ((_, found),) = tables["found.csv"].iterrows()
    assert found["positive"] == f"{PROMPT}, crisp, sharp, clean, detailed"
    assert found["negative"] == claims.BLAME


def test_the_unchanged_prompt_changes_nothing_and_a_negative_prompt_does(claims):
    unchanged = claims.run("unchanged", PROMPT, 0)["table.csv"]
    assert (unchanged["before"] == unchanged["after"]).all()
    fixed = claims.run("fixed negative prompt", PROMPT, 0)["table.csv"].set_index("measure")
    assert fixed.loc["loss, held-out CLIP", "before"] != fixed.loc["loss, held-out CLIP", "after"]


def test_the_best_of_n_images_are_those_that_the_loss_likes_best(claims, book):
    name = "best of N, four kept: spherical"
    tables = claims.run(name, PROMPT, 1)
    assert tables["found.csv"]["images"].tolist() == [28]
    images = claims.generate(PROMPT, range(2028, 2056))
    losses = book("scorers").loss("spherical")(images, [PROMPT] * 28)
    best = claims.measures(images[losses.argsort()[:4]], PROMPT)
    table = tables["table.csv"].set_index("measure")["after"]
    assert table.to_dict() == pytest.approx(best, abs=1e-5)


@pytest.fixture
def paper(book, monkeypatch):
    """The recorder of the paper's claims, with a small budget."""
    recorder = book("record_paper_claims")
    have = book("record_claims").models() | {
        "loss": dpodiff.SphericalCLIP("toy"),
        "second": dpodiff.SphericalCLIP("toy-heldout"),
        "encoder": load_encoder("toy"),
    }
    small = {"BUDGET": 4, "SEEDS": 1, "UNSEEN": range(1000, 1002), "models": lambda: have}
    for name, value in small.items():
        monkeypatch.setattr(recorder, name, value)
    return recorder


def test_a_fixed_negative_prompt_is_kept_whether_it_is_better_or_not(paper):
    changes = []
    for negative in ("red, ball, sea", paper.FIXED):
        result = paper.with_negative(PROMPT, negative)
        assert result.prompts.negative == negative
        images = result.objective.model.generate([PROMPT], [negative], [0])
        assert result.losses[0] == pytest.approx(result.objective.loss(images, [PROMPT]).item())
        changes.append(result.losses[0] - result.baseline_losses[0])
    assert max(changes) > 0


@pytest.mark.parametrize("name", ["fixed negative prompt", "epo", "attack, random"])
def test_methods_of_the_paper_have_the_same_measures_and_an_attack_two_more(paper, name):
    expected = ["loss, search seeds", "loss, new seeds", "loss, held-out CLIP"]
    expected += ["judge, all as asked", "judge, clean"]
    if name.startswith("attack"):
        expected += ["similarity", "visual distance"]
    assert paper.run(name, PROMPT, 0)["table.csv"]["measure"].tolist() == expected


def test_all_arms_have_the_same_tables(claims):
    arms = ("matcher and CLIP: tpe", "guidance 5", "best of N, one kept: matcher")
    columns = [
        {file: list(table.columns) for file, table in claims.run(name, PROMPT, 0).items()}
        for name in arms
    ]
    assert columns[0] == columns[1] == columns[2]


def test_a_record_of_claims_says_what_was_found_and_what_is_left_after_verification(
    claims, book, tmp_path
):
    folder = tmp_path / "verified"
    parts = [("fixed negative prompt", p, 0) for p in (PROMPT, "a blue cup in the snow")]
    with book("storing").opened(folder, claims.SEARCH, parts, {"budget": 12}) as store:
        store.add({part: claims.run(*part) for part in parts}, 1.0)
    table = claims.report(folder)
    assert table.index.tolist() == ["fixed negative prompt"]
    assert (table["found"] == table["verified"]).all(axis=None)
    assert json.loads((folder / "stamp.json").read_text())["parameters"]["budget"] == 12


def test_all_experiments_with_windows_have_the_same_columns(book, monkeypatch):
    recorder = book("record_windows")
    every = (0.0, 0.5), (0.0, 1.0)
    monkeypatch.setattr(recorder, "windows", lambda: list(every))
    monkeypatch.setattr(recorder, "FIRST", (1,))
    monkeypatch.setattr(recorder, "INDUCED", range(1))
    monkeypatch.setattr(recorder, "LOOKED_AT", range(2))
    for kind in recorder.KINDS:
        table = recorder.run(f"remove {kind}", recorder.KINDS[kind].prompts[0], 0)["table.csv"]
        if table["images"].sum():
            rows = table.pivot(index="measure", columns=["start", "end"], values="after")
            assert list(rows.columns) == list(every)
            assert rows.loc[["removed", "rest"]].ge(0).all(axis=None)
            assert rows.loc[["removed", "rest"]].le(1).all(axis=None)
    prompt = recorder.ABSENT["color"][0][0]
    induced = recorder.run("induce color", prompt, 0)["table.csv"]
    assert set(induced["measure"]) == {"shown", "shown, other word"}
    assert list(induced.columns) == list(table.columns)


def test_the_rest_leaves_out_what_was_named(book):
    rest = book("record_windows").rest
    ball, star = Thing("ball", "red"), Thing("star", "blue")
    both = Scene((ball, star), background="sea", defect="dark")
    assert rest(both, Scene((ball,), background="sea", defect="dark"), "object") == 1
    assert rest(both, Scene((star,), background="sea", defect="dark"), "object") == 0.5
    assert rest(both, Scene((ball, star), background="sea"), "defect") == 1
    assert rest(both, Scene((ball, star), background="sky"), "background") == 1
    assert rest(both, Scene((ball, star), background="sky"), "defect") == pytest.approx(2 / 3)


@pytest.fixture
def transfer(book, monkeypatch):
    """The recorder of transfer, with a small budget; the second model has more steps."""
    recorder, have = book("record_transfer"), book("record_claims").models()
    other = dpodiff.load("toy")
    other.steps = 3
    models = {"toy": have["model"], "toy-small": book("recording").Remembering(other)}
    monkeypatch.setattr(recorder, "models", lambda: models)
    monkeypatch.setattr(recorder, "toy_models", lambda: have)
    small = {"budget": 5, "seeds": 2}  # too small for a verification
    monkeypatch.setattr(recorder, "SETTINGS", recorder.SETTINGS | small)
    monkeypatch.setattr(recorder, "UNSEEN", range(1000, 1002))
    return recorder


@pytest.mark.parametrize("task", ["improve", "attack"])
def test_what_a_search_found_is_scored_on_both_models_and_sets_of_seeds(transfer, task):
    who = task, "toy-small: matcher and CLIP", PROMPT
    tables = transfer.run(*who)
    table, ((_, found),) = tables["table.csv"], tables["found.csv"].iterrows()
    measures = {*transfer.LOSSES, MAIN}
    cells = table[table["measure"].isin(measures)]
    assert len(cells) == 2 * 2 * len(measures)
    assert set(cells["model"]) == {"toy", "toy-small"}
    assert set(cells["seeds"]) == {"search seeds", "new seeds"}
    home = cells.query("model == 'toy-small' and seeds == 'search seeds'").set_index("measure")
    change = home["after"] - home["before"]
    sign = 1 if task == "improve" else -1
    assert sign * change["matcher and CLIP"] <= 0  # a search loses nothing on its own seeds
    assert found["spent"] <= 5
    assert not found["accepted"]
    for one in tables.values():
        assert one[list(transfer.PART)].drop_duplicates().values.tolist() == [list(who)]


def test_prompts_of_transfer_are_hard_and_middling_in_turn(transfer):
    from dpodiff.toy.prompts import prompt_set

    failing = {p: share for style in transfer.STYLES for p, share in prompt_set(style).items()}
    prompts = transfer.prompts_of(20)
    assert len(set(prompts)) == 20
    hard, middling = ([failing[p] for p in prompts[k::2]] for k in (0, 1))
    assert hard == sorted(hard, reverse=True)
    assert min(hard) > max(middling)


def test_random_candidates_are_scored_by_every_loss_and_by_the_judge(book, monkeypatch):
    recorder = book("record_random_landscape")
    monkeypatch.setattr(recorder, "models", book("record_landscape").models)
    monkeypatch.setattr(recorder, "CANDIDATES", 3)
    monkeypatch.setattr(recorder, "SEEDS", 2)
    tables = recorder.run(PROMPT)
    words = tables["candidates.csv"]
    assert words["negative"].iloc[0] == ""
    assert words["negative"].is_unique
    table = tables["table.csv"]
    assert table.groupby("candidate")["seed"].apply(list).tolist() == [[0, 1]] * 3
    assert table[list(recorder.LOSSES)].nunique().min() > 1
    assert (table[MAIN.removeprefix("judge, ")] == table["all"] * table["clean"]).all()


def test_cheap_gradients_are_compared_with_the_exact_one(book, monkeypatch):
    recorder = book("record_gradients")
    monkeypatch.setattr(recorder, "STEPS", 8)  # not the toy model's own number
    monkeypatch.setattr(recorder, "SEEDS", 1)
    cheap = (dpodiff.gradients.Shortcut(7, 1), dpodiff.gradients.Truncated(8))
    monkeypatch.setattr(recorder, "ESTIMATORS", cheap)
    table = recorder.run(PROMPT, recorder.PAPER)["table.csv"]
    assert table["loss"].unique().tolist() == [recorder.PAPER]
    assert table["estimator"].tolist() == ["Shortcut", "Truncated"]
    assert table["cosine"].between(-1, 1).all()
    assert table["cosine"].iloc[1] == pytest.approx(1, abs=1e-3)  # it keeps all steps
    assert table["price"].iloc[0] < table["price"].iloc[1]
