"""Every benchmark runs at its smallest size, on tiny models, and says what it found.

Nothing here depends on time: only tables, counts and memory are looked at.
"""

import importlib
import math
import runpy
import sys
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path

import pytest
import tiny
import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from dpodiff import Objective, Recorded, Slot, Space, SphericalCLIP
from dpodiff.gradients import Full, Shortcut
from dpodiff.models.stable_diffusion import StableDiffusion

FOLDER = Path(__file__).parents[1] / "benchmarks"
SHARED = {"common", "world", "random_models", "killing"}
# Those of faults print tables of their own, and have tests of their own.
OTHERS = {"faults", "fuzz", "fuzz_entries", "fuzz_kinds", "memory_growth"}
NAMES = sorted({path.stem for path in FOLDER.glob("*.py")} - SHARED - OTHERS)


@pytest.fixture(scope="module")
def modules():
    """The benchmarks by name, imported as scripts of one folder import each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        yield {name: importlib.import_module(name) for name in [*NAMES, *SHARED]}


@pytest.fixture(scope="module")
def reports(modules, tmp_path_factory):
    """What each benchmark finds on tiny models."""
    folder = tmp_path_factory.mktemp("tiny")
    # As many tokens as Stable Diffusion takes: with fewer, most candidates would be refused.
    tiny.stable_diffusion(folder / "sd", tokens=77)
    tiny.clip(folder / "clip")
    slots = (
        Slot("ball", ("ball", "box", "star", "boat")),
        Slot("", ("", "blurry", "sky", "sea", "tree"), "negative"),
    )
    world = modules["world"].World(
        model=partial(StableDiffusion.from_pretrained, folder / "sd"),
        loss=partial(SphericalCLIP, f"local-dir:{folder / 'clip'}"),
        space=Space("a red ball", slots),
        stock=partial(modules["world"].stock_pipeline, folder / "sd"),
    )
    return {name: measured(modules[name], world) for name in NAMES}


def measured(module, world):
    """What a benchmark finds at its smallest size, on another world."""
    settings = dict(module.SIZES["small"])
    on = (world,) if settings.pop("world", None) else ()
    return module.measure(*on, **settings, repeats=1)


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_prints_a_row_a_way_and_its_goals(reports, name):
    report = reports[name]
    lines = str(report).splitlines()
    below = [*report.goals, *report.notes]
    assert len(lines) == 1 + len(report.rows) + (1 + len(below) if below else 0)
    assert all(heading in lines[0] for heading in report.rows[0])
    for goal in report.goals:
        assert math.isfinite(goal.value)
        assert str(goal).endswith(("holds", "FAILS"))


@pytest.mark.parametrize("name", NAMES)
def test_sizes_of_a_benchmark_have_the_same_settings(modules, name):
    sizes = modules[name].SIZES
    assert {"small", "toy"} <= set(sizes)
    assert all(set(settings) == set(sizes["small"]) for settings in sizes.values())


def test_the_released_way_does_the_same_search(reports):
    rows = reports["improve"].rows
    assert {row["way"] for row in rows} == {"released", "dpodiff"}
    assert len({(row["evaluations"], row["images"]) for row in rows}) == 1
    for steps in {row["steps"] for row in rows}:
        found = [row["loss found"] for row in rows if row["steps"] == steps]
        assert found == pytest.approx([found[0]] * len(found), rel=1e-3)


def test_recorded_verdicts_are_those_of_the_recorded_table(modules):
    module, record = modules["improve"], Recorded.load("benchmarks/improve-toy")
    rows = record.table.to_dict("records")
    verdicts = [*map(str, module.goals(rows)), module.fewer_steps(rows)]
    folder = resources.files("dpodiff") / "results/recorded/benchmarks/improve-toy"
    assert (folder / "verdicts.txt").read_text().splitlines() == verdicts
    by_way = record.table.set_index(["way", "steps", "images at a time"])["seconds"]
    for row in rows:
        same = by_way["released", row["steps"], 1] / row["seconds"]
        assert row[module.EQUAL_STEPS] == pytest.approx(same)


def test_a_solver_climbs_until_its_gain_is_reached(modules):
    module = modules["verified_gain"]

    def climb(*gains):
        runs = {
            10 * budget: [module.Run(8.0 * budget, 1.0, gain > 0, gain) for gain in pair]
            for budget, pair in enumerate(gains, 1)
        }
        return module.Climb(runs)

    climbs = {"quick": climb((0.0, 0.2)), module.PAPER: climb((0.0, 0.0), (0.0, 0.1))}
    report = module.report(climbs, gain=0.1)
    assert [row["reached"] for row in report.rows] == ["yes", "no"]
    assert [row["budget"] for row in report.rows] == [10, 20]
    assert [row["gain"] for row in report.rows] == pytest.approx([0.1, 0.05])
    assert [row["evaluations, relative"] for row in report.rows] == [1, 2]
    (goal,), (note,) = report.goals, report.notes
    assert (goal.value, goal.holds) == (0.5, False)
    assert "never gets there" in str(goal) and note.endswith(module.PAPER)


def test_more_budget_goes_to_those_alone_that_gain_too_little(modules, monkeypatch):
    module, asked = modules["verified_gain"], []

    def run(way, prompt, *, budget, **settings):
        asked.append((way, prompt, budget))
        return module.Run(budget, 1.0, True, 0.5 if way == "quick" else budget / 100)

    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module, "WAYS", {name: name for name in ("quick", "slow")})
    settings = {**module.SIZES["small"], "budgets": (10, 40, 80)}
    settings.update(gain=0.4, prompts=2)
    del settings["world"]
    world = modules["world"].toy_world()
    report = module.measure(world, **settings, repeats=1)
    prompts = [space.prompt for space in world.hard(2)]
    first = [(name, prompt, 10) for prompt in prompts for name in ("quick", "slow")]
    assert asked == [*first, *(("slow", prompt, 40) for prompt in prompts)]
    assert [row["reached"] for row in report.rows] == ["yes", "yes"]


def test_memory_grows_with_the_steps_for_the_full_gradient_alone(reports):
    def growth(name):
        rows = [row for row in reports["gradients"].rows if row["estimator"] == name]
        return rows[-1]["peak MB"] / rows[0]["peak MB"]

    assert growth("full") > 1.5
    for name in ("shortcut", "truncated", "SDO", "checkpointed"):
        assert growth(name) < 1.1


@pytest.fixture(scope="module")
def tiny_worlds(modules, tmp_path_factory):
    """The architectures of the benchmarks in small: of 256 pixels, asked for 16."""
    real, clip = modules["random_models"], tiny.clip(tmp_path_factory.mktemp("clip") / "clip")
    loss = partial(SphericalCLIP, f"local-dir:{clip}")
    worlds = {}
    for name, architecture in real.ARCHITECTURES.items():
        small = replace(architecture, networks=TINY[name](real.text_encoder))
        worlds[name] = modules["world"].random_world(small, name, 16, loss)
    return worlds


def tiny_text(build, kind):
    sizes = {"hidden_size": 32, "intermediate_size": 64, "projection_dim": 32}
    return partial(
        build, kind, **sizes, vocab_size=1000, num_hidden_layers=2, num_attention_heads=2
    )


def tiny_unet(**more):
    return partial(
        UNet2DConditionModel,
        sample_size=128,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=8,
        **more,
    )


def tiny_vae(**more):
    return partial(
        AutoencoderKL,
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        layers_per_block=2,
        norm_num_groups=8,
        latent_channels=4,
        **more,
    )


TINY = {
    "sd-v1-4": lambda build: {
        "text_encoder": tiny_text(build, CLIPTextModel),
        "unet": tiny_unet(cross_attention_dim=32),
        "vae": tiny_vae(),
    },
    "sdxl": lambda build: {
        "text_encoder": tiny_text(build, CLIPTextModel),
        "text_encoder_2": tiny_text(build, CLIPTextModelWithProjection),
        "unet": tiny_unet(
            cross_attention_dim=64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 32,
        ),
        "vae": tiny_vae(),
    },
    "sd3": lambda build: {
        "text_encoder": tiny_text(build, CLIPTextModelWithProjection),
        "text_encoder_2": tiny_text(build, CLIPTextModelWithProjection),
        "transformer": partial(
            SD3Transformer2DModel,
            sample_size=128,
            in_channels=4,
            out_channels=4,
            num_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=64,
            caption_projection_dim=32,
            pooled_projection_dim=64,
            pos_embed_max_size=64,
        ),
        "vae": tiny_vae(shift_factor=0.06),
    },
}
SIZES = {  # millions of weights, as published
    "sd-v1-4": {"text_encoder": 123.1, "unet": 859.5, "vae": 83.7},
    "sdxl": {"text_encoder": 123.1, "text_encoder_2": 694.7, "unet": 2567.5, "vae": 83.7},
    "sd3": {"text_encoder": 123.7, "text_encoder_2": 694.7, "transformer": 2028.3, "vae": 83.8},
}
each_architecture = pytest.mark.parametrize("name", TINY)


@each_architecture
def test_random_models_are_as_large_as_the_published_ones(modules, name):
    found = {}
    for part, build in modules["random_models"].ARCHITECTURES[name].networks.items():
        with torch.device("meta"):
            found[part] = sum(weight.numel() for weight in build().parameters()) / 1e6
    assert found == pytest.approx(SIZES[name], abs=0.06)


def test_the_random_clip_tells_images_apart(modules):
    loss = modules["random_models"].random_clip("ViT-S-32-alt")
    losses = loss(torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)), ["a"] * 2)
    assert losses.isfinite().all()
    assert losses[0] != losses[1]


@each_architecture
def test_random_models_make_the_images_of_their_stock_pipelines(modules, tiny_worlds, name):
    world = tiny_worlds[name]
    model = world.model()
    model.steps, jobs = 3, (["a red plane", "a boat"], ["blurry", "dark"], [0, 1])
    stock = modules["world"].stock_images(world.stock(model), *jobs, model)
    torch.testing.assert_close(stock, model.generate(*jobs), atol=1e-4, rtol=0)
    assert stock.std() > 0.01


@each_architecture
def test_graphs_in_blocks_give_the_same_gradients(tiny_worlds, name):
    world = tiny_worlds[name]
    model = world.model()
    model.steps, found = 3, []
    assert model.in_blocks
    for in_blocks in (True, False):
        model.in_blocks = in_blocks
        goal = Objective(model, world.loss(), world.space, (0,))
        even = [torch.full((len(s.choices),), 1 / len(s.choices)) for s in world.space.slots]
        found.append(goal.gradient(even, Shortcut(1)))
    assert found[0].value == pytest.approx(found[1].value, rel=1e-5)
    largest = max(gradient.abs().max() for gradient in found[1].gradients)
    for blocks, whole in zip(found[0].gradients, found[1].gradients):
        torch.testing.assert_close(blocks / largest, whole / largest, atol=1e-3, rtol=0)


def test_random_models_go_through_every_benchmark(modules, tiny_worlds):
    for name in ("search", "throughput"):
        assert measured(modules[name], tiny_worlds["sd3"]).rows
    rows = {
        (row["estimator"], row["steps"]): row
        for row in measured(modules["gradients"], tiny_worlds["sd-v1-4"]).rows
    }
    for name in ("shortcut", "checkpointed"):
        whole = rows[name + modules["gradients"].WHOLE, 4]
        assert rows[name, 4]["peak MB"] < 0.75 * whole["peak MB"]


def test_what_runs_out_of_memory_is_named(modules, tiny_worlds, monkeypatch):
    module = modules["gradients"]

    def peak_memory(run, device):
        if isinstance(run.args[1], Full):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 1_000_000

    monkeypatch.setattr(module, "peak_memory", peak_memory)
    report = measured(module, tiny_worlds["sd-v1-4"])
    assert "full" not in {row["estimator"] for row in report.rows}
    assert str(report).endswith("Out of memory: full, 2 steps; full, 4 steps")


def test_ways_are_timed_in_turns(modules):
    order = []
    ways = {name: partial(partial, order.append, name) for name in "ab"}
    timings = modules["common"].in_turns(ways, repeats=2)
    assert order == ["a", "b", "a", "b"]
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2]


def test_a_script_prints_its_stamp_and_writes_what_it_found(modules, monkeypatch, tmp_path, capsys):
    out = tmp_path / "kept"
    argv = ["import_time.py", "--size", "small", "--repeats", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.syspath_prepend(FOLDER)
    runpy.run_path(str(FOLDER / "import_time.py"), run_name="__main__")
    printed, kept = capsys.readouterr().out, Recorded.load("kept", tmp_path)
    assert f"commit {kept.stamp.commit}" in printed
    assert "import dpodiff" in printed
    assert kept.stamp.parameters["size"] == "small"
    assert kept.table.loc[0, "torch"] == "not imported"
    verdicts = (out / "verdicts.txt").read_text().splitlines()
    assert len(verdicts) == 2 and verdicts[1].endswith("holds")
    assert all(line in printed for line in verdicts)
