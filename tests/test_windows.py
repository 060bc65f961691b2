"""Negative prompts that act in a part of the steps: sampler, space, objective and results."""

import copy
import itertools
import json
import pickle
import re

import numpy as np
import pytest
import tiny
import torch
from helpers import FakeModel, shade

import dpodiff
from dpodiff import BlackBox, GuidedPrompts, Objective, Prompts, Slot, Space, window_space
from dpodiff.gradients import SDO, Checkpointed, Full, Shortcut
from dpodiff.models import load
from dpodiff.models.noise import FixedNoise, draw
from dpodiff.models.sampling import guided, sample
from dpodiff.models.window import steps_in
from dpodiff.objective.queries import NoiseQuery
from dpodiff.results.metadata import Rollout, parameters, web_negative, workflow
from dpodiff.results.trace import Trace

STEPS = 4
BUILDERS = {"sd-v1": tiny.stable_diffusion, "sdxl": tiny.sdxl, "sd3": tiny.sd3}
WINDOWS = [None, (0.25, 0.75), (0.0, 0.5), (0.5, 0.5), (0.0, 1.0)]


@pytest.fixture(scope="module", params=BUILDERS)
def model(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "tiny"
    model = load(str(BUILDERS[request.param](folder)), device="cpu")
    for encoder in model.text_encoders:
        encoder.limit = tiny.TOKENS  # T5 pads to hundreds, which takes its time
    model.steps, model.guidance, model.image_size = STEPS, 3.0, 16
    return model


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A tiny Stable Diffusion."""
    folder = tiny.stable_diffusion(tmp_path_factory.mktemp("small") / "tiny")
    model = load(str(folder), device="cpu")
    model.steps, model.guidance, model.image_size = STEPS, 3.0, 16
    return model


def by_hand(model, prompt, negative, seed, window):
    """The image of one prompt, each step with the text that acts in it."""
    x, positive = model.latents([seed]), model.encode([prompt])
    active = steps_in(window, STEPS)
    for step in range(STEPS):
        away = model.encode([negative if step in active else ""])
        x = sample(model, x, positive, away, steps=STEPS, guidance=3.0, start=step, stop=step + 1)
    return model.decode(x)


def test_one_batch_has_images_of_many_windows(model):
    count = len(WINDOWS)
    jobs = ["a red ball"] * count, ["blurry", "", "box", "tree", "blurry"], [0, 1, 2, 3, 0]
    images = model.generate(*jobs, windows=WINDOWS)
    for image, window, *job in zip(images, WINDOWS, *jobs, strict=True):
        (expected,) = by_hand(model, *job, window)
        torch.testing.assert_close(image, expected, atol=1e-4, rtol=0)


def test_a_window_of_all_steps_is_none_and_an_empty_one_no_negative_prompt(model):
    jobs = ["a red ball"] * 4, ["blurry"] * 3 + [""], [0] * 4
    whole, none, empty, without = model.generate(*jobs, windows=[(0, 1), None, (0.5, 0.5), None])
    torch.testing.assert_close(whole, none)
    torch.testing.assert_close(empty, without, atol=1e-4, rtol=0)
    assert not torch.allclose(whole, without, atol=1e-4)


def test_a_window_changes_no_cost(small):
    small.forwards = 0
    small.generate(["a red ball"] * 2, ["blurry"] * 2, [0, 1], windows=[(0.25, 0.5), None])
    assert small.forwards == 2 * 2 * STEPS


def test_an_early_estimate_has_the_window_of_its_step(small):
    images = small.generate(["a ball"], ["box"], [0], windows=[(0.5, 1.0)], stop=2)
    plain = small.generate(["a ball"], [""], [0], stop=2)
    torch.testing.assert_close(images, plain, atol=1e-4, rtol=0)
    later = small.generate(["a ball"], ["box"], [0], windows=[(0.25, 1.0)], stop=2)
    assert not torch.allclose(later, plain, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 6, 30, 50])
def test_windows_that_touch_share_no_step_and_leave_none_out(steps):
    parts = [steps_in(window, steps) for window in ((0, 0.17), (0.17, 0.5), (0.5, 1))]
    assert [step for part in parts for step in part] == list(range(steps))


@pytest.mark.parametrize(
    "wrong", [(0.5,), (0.6, 0.4), (-0.1, 1), (0, 1.5), "ab", (0, float("nan"))]
)
def test_what_is_no_window_is_refused(small, wrong):
    with pytest.raises(ValueError, match="a window"):
        small.generate(["a ball"], ["box"], [0], windows=[wrong])


def test_there_is_one_window_an_image(small):
    with pytest.raises(ValueError, match="one window per image is needed, not 1 for 2"):
        small.generate(["a ball"] * 2, ["box"] * 2, [0, 1], windows=[(0, 0.5)])


@pytest.mark.parametrize("estimator", [Full(), Checkpointed(), SDO(1), Shortcut(STEPS - 1)])
def test_estimators_sample_with_windows(small, estimator):
    windows, count = [(0.25, 0.75), None], 2
    noise = draw(small, range(count))
    fixed = FixedNoise(small, noise)
    negative = small.encode_negative(["blurry"] * count, STEPS, windows)
    texts = small.encode(["a red ball"] * count), negative
    x = fixed.latents().requires_grad_()
    images = estimator(fixed, x, *texts, steps=STEPS, guidance=3.0)
    expected = small.generate(["a red ball"] * count, ["blurry"] * count, [0, 1], windows=windows)
    torch.testing.assert_close(images, expected, atol=1e-4, rtol=0)


def test_the_gradient_of_a_negative_prompt_is_zero_outside_of_its_window(small):
    inside = small.encode(["blurry"]).requires_grad_()
    negative = small.encode_negative(["blurry"], STEPS, [(0.0, 0.5)])
    negative = type(negative)(inside, negative.outside, negative.active)
    x, positive = small.latents([0]), small.encode(["a ball"])
    timesteps = small.scheduler(STEPS).timesteps
    for step, t in enumerate(timesteps):
        prediction = guided(small, x, t, positive, negative, 3.0)
        if prediction.requires_grad:
            (gradient,) = torch.autograd.grad(prediction.sum(), inside)
        else:
            gradient = torch.zeros(1)
        assert (gradient.abs().sum() > 0) == (step < 2)


LIBRARY = Slot("", ("", "blurry", "dark"), "negative")


def space_of(*slots, negative=""):
    return window_space("a red ball", [0.25], [0.5, 0.75], negative_prompt=negative) + Space(
        "a red ball", slots, negative
    )


def test_a_candidate_chooses_a_window():
    space = space_of(LIBRARY)
    found = [space.decode((*ends, 1)).window for ends in ((0, 0), (1, 0), (0, 1), (1, 2))]
    assert found == [None, (0.25, 1.0), (0.0, 0.5), (0.25, 0.75)]
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_without_a_negative_prompt_there_is_no_window():
    space = space_of(LIBRARY)
    assert space.decode((1, 1, 0)) == Prompts("a red ball", "")
    assert space_of(negative="dark").decode((1, 1)).window == (0.25, 0.5)


def test_prompts_of_another_window_are_other_prompts():
    own, one, other = (space_of(LIBRARY).decode((start, 1, 1)) for start in (0, 1, 0))
    assert own == other != one and len({own, one, other}) == 2
    for copied in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert copied == one and copied.window == (0.25, 0.5) and copied.guidance is None
    assert "window=(0.25, 0.5)" in repr(one)


@pytest.mark.parametrize("wrong", ["0", "1", "-0.5", "early"])
def test_a_share_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="above 0 and below 1"):
        Slot("window start", ("", wrong), "window_start")


def test_a_window_that_could_end_before_it_starts_is_refused():
    with pytest.raises(ValueError, match=r"may start at 0\.6 and end at 0\.5"):
        window_space("a red ball", [0.2, 0.6], [0.5])
    with pytest.raises(ValueError, match="at most one window_start slot"):
        window_space("a red ball") + window_space("a red ball")


def brightness(images, prompts):
    return images.mean((1, 2, 3))


def test_images_are_made_in_the_window_of_their_candidate(small):
    space = space_of(LIBRARY)
    goal = Objective(small, brightness, space, (0, 1), batch_size=16)
    mixed = [(1, 0, 1), (0, 1, 2), (0, 0, 1), (1, 2, 1), (1, 1, 0), (0, 0, 0)]
    for candidate, evaluation in zip(mixed, goal.evaluate(mixed), strict=True):
        prompts = space.decode(candidate)
        images = small.generate(
            *([text] * 2 for text in prompts), [0, 1], windows=[prompts.window] * 2
        )
        expected = brightness(images, []).tolist()
        assert evaluation.losses == pytest.approx(expected, rel=1e-5)
    assert goal.cost.evaluations == 5  # the last two read the same


def test_a_given_noise_is_denoised_in_the_window_of_its_candidate(small):
    goal = Objective(small, brightness, space_of(LIBRARY), (0, 1))
    for candidate in ((1, 1, 1), (0, 2, 1)):
        losses = goal.evaluate([candidate])[0].losses
        for estimator in (None, Full()):
            answer = goal.evaluate_noise(NoiseQuery(goal.noise(), candidate, estimator))
            assert answer.losses == pytest.approx(losses, rel=1e-5)


def test_a_window_has_no_gradient(small):
    goal = Objective(small, brightness, space_of(LIBRARY), (0,))
    sizes = [len(slot.choices) for slot in goal.space.slots]
    weights = [torch.full((size,), 1 / size).double() for size in sizes]
    start, end, words = goal.gradient(weights, Shortcut(1)).gradients
    assert start.abs().sum() == end.abs().sum() == 0
    assert words.abs().sum() > 0


def test_a_black_box_takes_no_window():
    gray = BlackBox(lambda *job: np.full((8, 8, 3), 0.5))
    goal = Objective(gray, shade, space_of(LIBRARY), (0,))
    with pytest.raises(ValueError, match="leave the window slots out"):
        goal.evaluate([(1, 0, 1)])


def improve(space="window+nplib", **settings):
    settings = {"budget": 8, "seeds": 1, "verify": 0, "progress": False} | settings
    return dpodiff.improve("a red ball", space=space, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": FakeModel()}, "takes no window"),
        ({"model": BlackBox(lambda *job: None)}, "takes no window"),
        ({"space": "window"}, "a window needs a negative prompt"),
        ({"space": "window+synonym"}, "a window needs a negative prompt"),
    ],
)
def test_windows_that_would_change_nothing_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        improve(**settings)


class Windowed(FakeModel):
    """Images that are the darker the shorter the window is."""

    takes_window = True

    def generate(self, prompts, negative_prompts, seeds, *, windows=None):
        made = super().generate(prompts, [""] * len(prompts), seeds) * 0 + 1
        lengths = [1.0 if w is None else w[1] - w[0] for w in windows or [None] * len(seeds)]
        return made * torch.tensor(lengths).view(-1, 1, 1, 1)


def test_the_window_that_was_found_is_said_saved_and_read_back(tmp_path):
    result = improve(
        "window",
        negative_prompt="dark",
        model=Windowed(),
        loss=shade,
        budget=12,
        solver="random",
        trace=tmp_path / "trace.jsonl",
    )
    assert result.prompts.window == (0.33, 0.5)
    assert "window:           0.33 to 0.5 of the steps" in str(result)
    written = json.loads(json.dumps(result.to_json()))
    assert written["window"] == [0.33, 0.5]
    saved = dpodiff.load_result(result.save(tmp_path / "run"))
    assert saved.prompts == result.prompts
    windows = [record.window for record in Trace.load(tmp_path / "trace.jsonl").records]
    assert windows == [record.window for record in result.trace.records]
    assert (0.33, 0.5) in windows and None in windows
    old = json.loads((tmp_path / "run" / "result.json").read_text())
    for part in (old, old["found"], old["user"]):
        del part["window"]  # as before there were windows
    (tmp_path / "run" / "result.json").write_text(json.dumps(old))
    assert dpodiff.load_result(tmp_path / "run").prompts.window is None


TOY = Rollout("toy", 6, 3.0, "DDIMScheduler")


@pytest.mark.parametrize(
    ("window", "text"),
    [
        (None, "b [c]"),
        ((0.0, 0.5), r"[b \[c\]::0.5]"),
        ((0.2, 1.0), r"[b \[c\]:0.2]"),
        ((0.2, 0.5), r"[[b \[c\]::0.5]:0.2]"),
    ],
)
def test_a_window_is_prompt_editing_in_the_web_ui(window, text):
    prompts = GuidedPrompts("a", "b [c]", 3.0, window)
    assert web_negative(prompts) == text
    assert f"Negative prompt: {text}" in parameters(prompts, 0, (64, 64), TOY)


@pytest.mark.parametrize("window", [(0.0, 0.5), (0.2, 1.0), (0.2, 0.5)])
def test_the_workflow_has_one_condition_at_each_step(window):
    nodes = workflow(GuidedPrompts("a", "b", None, window), 0, (64, 64), TOY)
    links = [v for node in nodes.values() for v in node["inputs"].values() if isinstance(v, list)]
    used = {name for name, _ in links}
    assert used < set(nodes) and set(nodes) - used == {"7"}  # all but the one that saves
    ranges = sorted(
        (node["inputs"]["start"], node["inputs"]["end"], nodes[node["inputs"]["conditioning"][0]])
        for node in nodes.values()
        if node["class_type"] == "ConditioningSetTimestepRange"
    )
    assert (ranges[0][0], ranges[-1][1]) == (0, 1)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))
    texts = {(start, end): node["inputs"]["text"] for start, end, node in ranges}
    assert texts.pop(window) == "b" and set(texts.values()) == {""}
    sampler = nodes["5"]["inputs"]
    assert re.fullmatch("Conditioning.*", nodes[sampler["negative"][0]]["class_type"])
