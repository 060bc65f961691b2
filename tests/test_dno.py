"""Searches of noise: the known optimum is reached, seeds do not mix, costs are equal."""

import io
import math

import numpy as np
import pytest
import torch
from gaussian import Gaussian, line
from PIL import Image

from dpodiff.gradients import Checkpointed, Full, Hybrid
from dpodiff.gradients.regularization import improbability
from dpodiff.models.batches import Batches
from dpodiff.objective import Objective
from dpodiff.objective.cost import Budget
from dpodiff.objective.noise import NoiseObjective
from dpodiff.results.trace import Trace
from dpodiff.solvers import search
from dpodiff.solvers.best_of_n import search_noise
from dpodiff.solvers.dno import DNO, ReNO
from dpodiff.solvers.zero_order import ZeroOrder
from dpodiff.spaces.space import Prompts, Space

SPACE = Space("far")


def target():
    ramp = torch.linspace(-1, 1, 48, dtype=torch.float64).view(3, 4, 4)
    return 0.5 + 0.1 * ramp


def distance(images, prompts):
    """From images of the clean latents -1 ... 1, in units of the latents."""
    return ((images - target()) / 0.1).square().mean(dim=(1, 2, 3))


def shade(images, prompts):
    return images.mean(dim=(1, 2, 3))


def blind(images, prompts):
    """The distance without a gradient."""
    return torch.from_numpy(distance(images.detach(), prompts).numpy())


def jpeg_size(images, prompts):
    """Kilobytes of each image as a JPEG, enlarged so that there is something to compress."""
    sizes = []
    for image in images.detach().numpy():
        pixels = (image.clip(0, 1) * 255).round().astype(np.uint8).transpose(1, 2, 0)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((32, 32), Image.Resampling.NEAREST).save(file, "jpeg")
        sizes.append(len(file.getvalue()) / 1000)
    return torch.tensor(sizes)


def objective(loss=distance, seeds=(0, 1), **settings):
    return Objective(Gaussian(), loss, SPACE, seeds, **settings)


def run(goal, make=DNO, budget=100, watch=None, **settings):
    solver = make(goal.space, goal.noise(), **settings)
    return search(solver, goal, Budget(budget), progress=False, **(watch or {}))


def test_the_known_optimum_is_reached():
    goal = objective()
    goal.model.steps = 3
    result = run(goal, lr=0.3, estimator=Full(), budget=600)
    offset, slope, _ = line(goal.model, "far")
    best = (torch.linspace(-1, 1, 48, dtype=torch.float64).view(3, 4, 4) - offset) / slope
    torch.testing.assert_close(result.noise, best.expand(2, 1, 3, 4, 4), atol=0.05, rtol=0)
    assert max(result.losses) < 1e-3 * min(result.baseline_losses)


def test_an_attack_goes_the_other_way():
    goal = objective(shade, task="attack")
    result = run(goal, lr=0.1, budget=20)
    assert min(result.losses) > max(result.baseline_losses)
    assert result.trace.records[-1].value < result.trace.records[0].value


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_all_steps_noise_is_moved_at_eta_above_0(eta):
    goal = objective(eta=eta)
    start = goal.noise()
    result = run(goal, lr=0.05, estimator=Full(), budget=60)
    moved = (result.noise - start).abs().amax(dim=(0, 2, 3, 4))
    assert len(moved) == 9
    assert (moved[:-1] > 0.1).all()
    assert max(result.losses) < min(result.baseline_losses)


def test_the_first_step_is_that_of_adamw_on_clipped_gradients():
    goal = objective(seeds=(0,))
    solver = DNO(SPACE, goal.noise(), lr=0.03)
    query = solver.ask()
    solver.learn(query, goal.evaluate_noise(query))
    gradient = goal.evaluate_noise(query).gradients
    torch.testing.assert_close(solver.noise.detach(), query.noise - 0.03 * gradient.sign())
    assert solver.noise.grad.norm() <= 1 + 1e-9


def test_gradients_are_clipped_a_image():
    goal = objective(lambda images, prompts: 100 * distance(images, prompts))
    solver = DNO(SPACE, goal.noise())
    query = solver.ask()
    solver.learn(query, goal.evaluate_noise(query))
    assert solver.noise.grad.flatten(1).norm(dim=1).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (DNO, {"gamma": 0.1}),
        (DNO, {"estimator": Hybrid(4)}),
        (ReNO, {"every": 2}),
        (ZeroOrder, {}),
    ],
)
def test_seeds_are_problems_of_their_own(make, settings):
    both = run(objective(seeds=(0, 1)), make, 25, **settings)
    alone = run(objective(seeds=(0,)), make, 25, **settings)
    assert both.losses[0] == pytest.approx(alone.losses[0], rel=1e-6)
    torch.testing.assert_close(both.noise[:1], alone.noise)


@pytest.mark.parametrize(
    ("make", "settings"),
    [(DNO, {"gamma": 0.1, "estimator": Hybrid(3)}), (ReNO, {}), (ZeroOrder, {})],
)
def test_the_same_seed_gives_the_same_result(make, settings):
    first, again, other = (run(objective(), make, 22, seed=seed, **settings) for seed in (3, 3, 4))
    assert first.losses == again.losses
    assert torch.equal(first.noise, again.noise)
    assert make is ReNO or first.losses != other.losses  # nothing in it is random


def test_an_iteration_is_a_record_and_the_rest_of_the_budget_a_last_look():
    result = run(objective(), estimator=Full(), budget=36)
    assert [record.spent for record in result.trace.records] == [1, *range(4, 35, 3), 35]
    assert [step["kind"] for step in result.trace.steps] == ["noise"] * 11
    assert result.status == "budget"
    assert (result.cost.evaluations, result.cost.gradients) == (2, 11)


def test_only_the_first_gradient_may_cost_more_than_is_left():
    assert run(objective(), estimator=Full(), budget=40).cost.spent == 40
    assert run(objective(), estimator=Hybrid(2, estimator=Full()), budget=3).cost.spent == 6


def test_each_seed_keeps_its_best():
    goal = objective()
    result = run(goal, lr=0.5, budget=60)
    rows = np.array([record.losses for record in result.trace.records])
    assert result.losses == pytest.approx(tuple(rows.min(axis=0)))
    assert result.baseline_losses == pytest.approx(tuple(rows[0]))
    assert list(result.losses) == pytest.approx(distance(result.images, []).tolist())
    assert list(result.baseline_losses) == pytest.approx(distance(result.before, []).tolist())
    bests = [record.best for record in result.trace.records]
    assert bests == sorted(bests, reverse=True)


def test_a_viewer_sees_every_step():
    film = []
    result = run(
        objective(), watch={"viewer": lambda record, images: film.append((record, images))}
    )
    assert [record for record, _ in film] == result.trace.records[1:]
    for record, images in film:
        assert distance(images, []).tolist() == pytest.approx(list(record.losses))
    torch.testing.assert_close(film[0][1], result.before)


def test_the_trace_can_be_read_back(tmp_path):
    path = tmp_path / "noise.jsonl"
    result = run(objective(), gamma=0.1, watch={"trace": Trace(path)})
    loaded = Trace.load(path)
    assert loaded.records == result.trace.records
    assert loaded.stamp.parameters["solver"]["gamma"] == 0.1
    assert loaded.stamp.parameters["eta"] == 0
    assert "penalty" in loaded.steps[0]


def test_without_a_rein_the_noise_is_no_noise_any_more_and_gamma_keeps_it():
    def improbable(result):
        return improbability(result.noise, torch.Generator().manual_seed(9)).max().item()

    hacked, kept = (
        run(objective(shade), lr=0.2, gamma=gamma, budget=100, estimator=Full())
        for gamma in (0.0, 0.1)
    )
    assert improbable(hacked) > 10
    assert improbable(kept) < 2
    assert sum(hacked.losses) < sum(kept.losses) < sum(kept.baseline_losses)


def landscape(loss):
    model = Gaussian()
    batches = {"batches": Batches(model), "graph_batches": Batches(model)}
    settings = {"eta": 0.0, "steps": 8, "sign": 1}
    return NoiseObjective(model, Prompts("far", ""), loss, "far", **settings, **batches)


def test_the_hybrid_gradient_points_where_the_true_one_does():
    noise = objective().noise()
    true = landscape(distance).value_and_gradient(noise, Full())[2]
    found = landscape(blind).value_and_gradient(noise, Hybrid(1000, mu=0.001, estimator=Full()))[2]
    cosines = torch.cosine_similarity(true.flatten(1), found.flatten(1))
    assert cosines.min() > 0.97
    rough = landscape(blind).value_and_gradient(noise, Hybrid(16))[2]
    assert (torch.cosine_similarity(true.flatten(1), rough.flatten(1)) > 0.2).all()


def test_the_direction_of_the_hybrid_gradient_equals_a_computation_by_hand():
    where, hybrid = landscape(blind), Hybrid(3, mu=0.05)
    noise = objective().noise()
    images = where.images(noise)
    found = hybrid.direction(where.images, where.losses, noise, images, seed=7)
    ways = torch.randn(3, 1, 1, 3, 4, 4, generator=torch.Generator().manual_seed(7))
    total = torch.zeros_like(images)
    for way in ways:
        moved = where.images(noise + 0.05 * way.double())
        change = blind(moved, []) - blind(images, [])
        total += change.view(-1, 1, 1, 1) * (moved - images)
    expected = total / total.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    torch.testing.assert_close(found, expected)


def test_shares_of_the_samples_add_up(monkeypatch):
    """Two processes, one after the other: what the other has found is added."""
    import accelerate.utils

    where, hybrid = landscape(blind), Hybrid(5)
    noise = objective().noise()
    arguments = where.images, where.losses, noise, where.images(noise), 0
    alone = hybrid.direction(*arguments)
    parts = []
    for index in range(2):
        monkeypatch.setattr(
            "dpodiff.gradients.hybrid.share", lambda samples, i=index: range(i, samples, 2)
        )
        monkeypatch.setattr(
            accelerate.utils, "reduce", lambda part, kind: parts.append(part) or sum(parts)
        )
        together = hybrid.direction(*arguments)
    torch.testing.assert_close(together, alone)


def test_a_loss_without_a_gradient_is_lowered_by_the_hybrid():
    result = run(objective(blind), lr=0.1, estimator=Hybrid(16, estimator=Full()), budget=400)
    assert max(result.losses) < 0.8 * min(result.baseline_losses)
    assert result.cost.gradients == 21  # at 19 evaluations each, and one for the user's noise
    assert (result.cost.spent, result.cost.images) == (400, 2 * (1 + 17 * 21))


def test_jpeg_size_is_lowered_by_the_hybrid_with_a_rein():
    goal = objective(jpeg_size)
    result = run(goal, lr=0.1, gamma=0.01, estimator=Hybrid(16, mu=0.1), budget=300)
    assert np.mean(result.losses) < np.mean(result.baseline_losses)


def test_a_loss_without_a_gradient_names_the_hybrid():
    with pytest.warns(UserWarning, match="no gradient in the images; the hybrid gradient"):
        assert run(objective(blind)).status == "failed"


def test_reno_looks_at_the_whole_rollout_now_and_then():
    result = run(objective(), ReNO, 27, steps=2, every=3)
    assert {step["kind"] for step in result.trace.steps} == {"noise"}
    looks = len(result.trace.records) - 1
    assert result.cost.gradients == len(result.trace.steps)
    assert (looks, result.cost.gradients) == (8, 24)
    assert result.cost.spent == 1 + 8 + 24 * 3 * 2 / 8
    assert sum(result.losses) < sum(result.baseline_losses)


def test_zero_order_search_moves_to_better_noise_of_the_same_length():
    result = run(objective(), ZeroOrder, 120, radius=0.4)
    assert max(result.losses) < min(result.baseline_losses)
    lengths = result.noise.flatten(1).norm(dim=1)
    assert lengths.tolist() == pytest.approx([math.sqrt(48)] * 2, rel=0.3)
    assert result.cost.spent == 120


def test_all_methods_are_paid_from_one_budget():
    goals = [objective() for _ in range(4)]
    results = [
        run(goals[0], budget=41, lr=0.05, estimator=Full()),
        run(goals[1], ReNO, 41),
        run(goals[2], ZeroOrder, 41),
        search_noise(goals[3], Budget(41), progress=False),
    ]
    for result in results:
        assert 40 < result.cost.spent <= 41 + 1e-9
        assert len(result.losses) == len(result.baseline_losses) == 2
        assert result.images.shape == result.before.shape == (2, 3, 4, 4)
        assert sum(result.losses) <= sum(result.baseline_losses)


def test_gradients_that_are_not_finite_move_nothing():
    goal = objective()
    solver = DNO(SPACE, goal.noise(), estimator=Checkpointed())
    query = solver.ask()
    look = goal.evaluate_noise(query)
    look.gradients[0, 0, 0, 0, 0] = math.nan
    solver.learn(query, look)
    assert torch.equal(solver.noise[0], query.noise[0])
    assert not torch.equal(solver.noise[1], query.noise[1])
    assert solver.skipped == 1


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (DNO, {"lr": 0}, "dno's lr must be above 0"),
        (DNO, {"gamma": -1}, "dno's gamma must be at least 0, not -1"),
        (DNO, {"gamma": math.nan}, "dno's gamma must be a finite number, not nan"),
        (DNO, {"gamma": math.inf}, "dno's gamma must be a finite number, not inf"),
        (DNO, {"clip": 0}, "dno's clip must be above 0"),
        (ReNO, {"steps": 0}, "reno's steps must be at least 1"),
        (ZeroOrder, {"radius": 1.5}, "radius of zero-order search must be at most 1, not 1.5"),
        (ZeroOrder, {"neighbors": 0}, "neighbors of zero-order search must be at least 1"),
    ],
)
def test_bad_settings_are_refused(make, settings, message):
    with pytest.raises(ValueError, match=message):
        make(SPACE, torch.zeros(1, 1, 3, 4, 4), **settings)


def test_reno_has_no_noise_for_the_steps_of_an_sde():
    with pytest.raises(ValueError, match="set eta to 0"):
        ReNO(SPACE, objective(eta=1.0).noise())


@pytest.mark.parametrize(
    ("settings", "message"), [((0,), "samples must be at least 1"), ((4, 0.0), "mu must be")]
)
def test_a_bad_hybrid_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Hybrid(*settings)
