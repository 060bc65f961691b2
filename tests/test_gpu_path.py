"""Every chapter under the `gpu` profile, on a Stable Diffusion v1-4 of random weights.

The profile's own parameters and the chapters' own cells, with three replacements: the model is a
tiny folder in the published one's format, the weights that would be downloaded are tiny and there
(`offline`), and what takes long is counted lower (`SMALL`). The cells run in this process, one
shell a chapter, since a kernel each would take minutes to import the same things.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import diffusers
import nbformat
import numpy as np
import offline
import pytest
import tiny_published
from papermill import inspect_notebook
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from published import PUBLISHED
from shells import Shell, cleared, opened, run_cell

import dpodiff
from book import build
from dpodiff.toy import WEIGHTS
from dpodiff.toy.captions import known_words

ROOT = Path(__file__).parents[1]
PROFILE = build.Profile.load(ROOT / "book" / "profiles" / "gpu.yaml")
CHAPTERS = {path.stem: path for path in build.Book(ROOT).chapters()}

# Chapters that no other model can run.
NO_MODEL = {
    "00_results": "makes no image",
    "02_the_toy_world": "is about the toy world",
    "05_spaces": "makes no image",
    "15_what_to_optimize": "is judged by the toy world's judge, image by image",
    "17_dno_from_scratch": "trains its own model",
    "90_build_spaces": "makes no image",
    "91_what_works": "makes no image",
}
# What is lowered so that a chapter takes seconds; the profile refuses what it does not declare.
SMALL = {
    "01_quickstart": {"budget": 2, "seeds": 2},
    "03_the_models_inside": {"seeds": 2, "guidances": [1.0, 7.5], "step_counts": [2, 5]},
    "04_the_problem": {"seeds": 4, "many": 4, "steps": 2, "splits": 10},
    "06_the_shortcut_gradient": {
        "prompts": ["a ball in the sky", "a red ball"],
        "steps": 4,
        "places": [0, 2],
        "lengths": [1],
        "shown": 3,
        "seeds": 1,
    },
    "07_relaxing_words": {"draws": 5, "steps": 2, "seeds": 2, "blends": 3, "points": 2},
    "08_gpo": {
        "steps": 4,
        "seeds": 1,
        "budget": 10,
        "iterations": 4,
        "few_seeds": 1,
        "searches": 2,
    },
    "09_epo": {"steps": 2, "seeds": 1, "budget": 12, "evaluations": 20, "searches": 2},
    "10_hpo": {
        "steps": 3,
        "seeds": 1,
        "looked_at": 3,
        "few_seeds": 1,
        "unseen": 1,
        "budget": 6,
        "iterations": 4,
    },
    "11_improving_prompts": {"budget": 2, "seeds": 1, "unseen": 1},
    "12_attacking_prompts": {"budget": 3, "seeds": 2, "unseen": 2},
    "13_ablations": {"prompts": 2, "seeds": 1, "guidances": [2.0]},
    "14_from_toy_to_stable_diffusion": {"steps": 2, "seeds": 1, "budget": 2},
    "16_noise_as_the_variable": {"steps": 2, "seeds": 1, "budget": 4, "hacking": 4},
    "18_rewards_without_gradients": {
        "steps": 2,
        "points": 3,
        "tests": 2,
        "counts": [1, 2],
        "sizes": [0.1, 0.3],
        "budget": 8,
        "samples": 2,
        "prompt_budget": 2,
        "unseen": 2,
    },
    "19_noise_prompt_or_both": {
        "steps": 2,
        "seeds": 1,
        "budget": 5,
        "prompts_a_turn": 2,
        "steps_a_turn": 1,
        "unseen": 1,
    },
    "20_what_people_prefer": {"prompts": 6, "pairs_per_prompt": 1},
    "21_when_negative_prompts_act": {
        "steps": 2,
        "seeds": 1,
        "prompts": ["a red ball", "a blue box"],
        "nouns": ["tree"],
        "adjectives": ["green"],
        "defects": ["blurry"],
        "others": ["cup"],
        "momentum_steps": 3,
    },
    "22_what_the_noise_decides": {"seeds": 6, "shown": 2, "receivers": 3, "pool": 32},
    "23_transfer": {"budget": 2, "seeds": 2, "unseen": 2},
    "92_sweep_a_file": {"budget": 2, "seeds": 1, "prompt_ids": "0,3"},
}

# Only the last section of these is moved; before it the toy model is in `sd`.
LAST_SECTION = {"22_what_the_noise_decides"}

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "model_card.json").is_file(), reason="the toy weights are not trained"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    words = sorted(known_words())
    folder = tmp_path_factory.mktemp("gpu") / "sd"
    return tiny_published.write(folder, PUBLISHED["sd-v1-4"], words)


@pytest.fixture
def downloaded(folder, monkeypatch) -> None:
    """Weights are there, and rollouts are short where a chapter leaves that to the model."""
    offline.have_clips(folder.parent, monkeypatch.setitem)
    monkeypatch.setattr("dpodiff.spaces.constraints.SENTENCE_T5", "toy")
    monkeypatch.setattr("dpodiff.models.stable_diffusion.StableDiffusion.steps", 5)


@pytest.fixture(scope="module")
def one_shell(tmp_path_factory) -> Iterator[Shell]:
    with opened(tmp_path_factory.mktemp("ipython")) as shell:
        yield shell


@pytest.fixture
def shell(one_shell) -> Iterator[Shell]:
    with cleared(one_shell):
        yield one_shell


def run_chapter(shell: Shell, notebook: nbformat.NotebookNode, name: str) -> None:
    """Runs the cells that papermill would run, and looks whether figures are there.

    Cells are numbered as in the executed copy, where one more stands behind the parameters.
    """
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or "skip-execution" in cell.metadata.tags:
            continue
        try:
            shown = run_cell(shell, cell.source)
        except Exception as error:
            kind = type(error).__name__
            raise AssertionError(f"{name}, cell {number}: {kind}: {error}") from error
        # Those that begin with none are of a record that may be missing.
        if "figure" in cell.metadata.get("mystnb", {}) and "figure = None" not in cell.source:
            imaged = any("image/png" in data or "text/html" in data for data in shown)
            assert imaged, f"{name}, cell {number}: no figure is shown"


@pytest.mark.parametrize("name", sorted(CHAPTERS.keys() - NO_MODEL.keys()))
def test_chapter_runs(name, folder, downloaded, shell):
    declared = inspect_notebook(CHAPTERS[name])
    assert "model" in declared, f"{name} has no parameter 'model', and NO_MODEL says not why"
    assert PROFILE.common["model"] != "toy"
    common = PROFILE.common | {"model": str(folder)}
    own = PROFILE.notebooks | {name: PROFILE.notebooks.get(name, {}) | SMALL.get(name, {})}
    parameters = replace(PROFILE, common=common, notebooks=own).parameters(CHAPTERS[name])
    notebook = parameterize_notebook(load_notebook_node(str(CHAPTERS[name])), parameters)
    run_chapter(shell, notebook, name)
    assert shell.user_ns["model"] == str(folder)
    moved = shell.user_ns["other" if name in LAST_SECTION else "sd"]
    assert moved.name == str(folder)


@pytest.mark.parametrize("name", NO_MODEL)
def test_chapter_of_the_toy_world_has_no_model_to_move(name):
    assert "model" not in inspect_notebook(CHAPTERS[name])


def test_front_door_takes_every_space_and_words_of_ones_own(folder, downloaded, tmp_path):
    result = dpodiff.improve(
        "a red ball",
        model=str(folder),
        loss="white",
        space="modifiers+antonym+synonym+nplib+emphasis+guidance+window",
        keywords=["red"],
        nplib=["dark", "blurry"],
        modifiers={"look": ["sharp", "crisp"]},
        second_loss="black",
        budget=26,
        seeds=1,
        verify=6,
        progress=False,
    )
    assert result.status != "failed" and result.verification is not None
    sides = {slot.side for slot in result.objective.space.slots}
    assert sides >= {"positive", "negative", "modifier", "emphasis", "guidance", "window_start"}
    result.save(tmp_path / "saved")
    assert dpodiff.load_result(tmp_path / "saved").prompts == result.prompts


def test_front_door_takes_a_pipeline_and_an_offloaded_model(folder, downloaded):
    settings = {"loss": "white", "budget": 3, "seeds": 1, "verify": 0, "progress": False}
    pipeline = diffusers.StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, feature_extractor=None
    )
    found = [
        dpodiff.improve("a red ball", model=model, **settings).losses
        for model in (pipeline, dpodiff.load(str(folder), offload=True), str(folder))
    ]
    assert np.ptp(found, axis=0) == pytest.approx(0, abs=1e-5)
