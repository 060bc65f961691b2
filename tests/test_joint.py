"""Words and noise in turns, on a model whose best pair is known."""

import pytest
import torch
from gaussian import Gaussian

from dpodiff.gradients import Full
from dpodiff.objective import Objective
from dpodiff.objective.cost import Budget
from dpodiff.objective.queries import GradientQuery, NoiseQuery
from dpodiff.solvers import EPO, RandomSearch, search
from dpodiff.solvers.dno import DNO
from dpodiff.solvers.gpo import GPO
from dpodiff.solvers.joint import Joint
from dpodiff.spaces.space import Slot, Space

SPACE = Space(
    "left left",
    (Slot("left", ("left", "", "right"), start=0), Slot("left", ("left", "", "right"), start=5)),
)


def distance(images, prompts):
    """From images of the clean latent 3, which words alone bring to 2 on average."""
    return ((images - 0.8) / 0.1).square().mean(dim=(1, 2, 3))


def objective(seeds=(0, 1), **settings):
    return Objective(Gaussian(), distance, SPACE, seeds, **settings)


def joint(goal, words=None, *, prompts=3, steps=2, **settings):
    words = words or EPO(SPACE, population=4, parents=2, mutations=1, crossovers=1)
    noise = DNO(SPACE, goal.noise(), lr=0.1, estimator=Full(), **settings)
    return Joint(words, noise, prompts=prompts, steps=steps)


def run(goal, solver, budget=60):
    return search(solver, goal, Budget(budget), progress=False)


@pytest.mark.parametrize("kind", ["epo", "gpo", "random"])
def test_both_are_found_and_beat_either_alone(kind):
    words = {
        "epo": lambda: EPO(SPACE, population=4, parents=2, mutations=1, crossovers=1),
        "gpo": lambda: GPO(SPACE, steps=8),
        "random": lambda: RandomSearch(SPACE),
    }[kind]
    goal = objective()
    result = run(goal, joint(goal, words(), prompts=4, steps=6))
    only_words = run(objective(), words())
    other = objective()
    only_noise = run(other, DNO(SPACE, other.noise(), lr=0.1, estimator=Full()))
    assert result.prompts.positive == only_words.prompts.positive == "right right"
    assert sum(result.losses) < sum(only_words.losses) < sum(only_noise.losses)
    assert list(result.losses) == pytest.approx(distance(result.images, []).tolist())


def test_turns_alternate_and_words_come_first():
    goal = objective()
    result = run(goal, joint(goal))
    kinds = ["words"]  # the user's own prompt
    steps = {step["spent"] for step in result.trace.steps}
    kinds += ["noise" if record.spent in steps else "words" for record in result.trace.records[1:]]
    assert kinds[1:11] == ["words"] * 3 + ["noise"] * 2 + ["words"] * 3 + ["noise"] * 2
    assert result.cost.spent <= 60


def test_a_turn_of_the_words_begins_with_the_best_prompt_on_the_noise_of_now():
    goal = objective()
    solver = joint(goal)
    solver.tell([SPACE.identity], [goal.evaluate([SPACE.identity])[0].value])
    asked = []
    for _ in range(6):
        query = solver.ask()
        solver.learn(query, goal.evaluate_noise(query))
        asked.append(query)
    assert asked[5].candidate == asked[4].candidate == asked[3].candidate
    assert asked[5].estimator is None
    assert torch.equal(asked[5].noise, solver.noise.noise)
    assert not torch.equal(asked[5].noise, asked[0].noise)


def test_gradients_of_words_are_asked_on_the_noise_of_now():
    goal = objective()
    solver = joint(goal, GPO(SPACE, steps=8))
    query = solver.ask()
    assert isinstance(query, GradientQuery)
    assert torch.equal(query.noise, goal.noise())


def test_once_all_prompts_are_seen_only_noise_is_left():
    goal = objective()
    result = run(goal, joint(goal, RandomSearch(SPACE), prompts=20, steps=3), budget=80)
    assert {record.candidate for record in result.trace.records} == set(SPACE)
    assert result.status == "budget"


def test_a_rejected_prompt_costs_nothing_and_never_wins():
    goal = objective(constraint=lambda prompts: prompts.positive != "right right")
    result = run(goal, joint(goal, RandomSearch(SPACE), prompts=9, steps=2))
    assert result.prompts.positive != "right right"
    assert any(not record.losses for record in result.trace.records)


def test_the_same_seed_gives_the_same_result():
    first, again = (run(goal, joint(goal, gamma=0.1)) for goal in (objective(), objective()))
    assert first.losses == again.losses
    assert first.prompts == again.prompts


def test_questions_of_noise_carry_the_penalty_whoever_asks():
    goal = objective()
    solver = joint(goal, gamma=0.5)
    solver.noise.noise.data += 3
    query = solver.ask()
    assert isinstance(query, NoiseQuery)
    assert min(query.penalties) > 1


@pytest.mark.parametrize("settings", [{"prompts": 0}, {"steps": 0}])
def test_empty_turns_are_refused(settings):
    with pytest.raises(ValueError, match="must be at least 1"):
        joint(objective(), **settings)


def test_words_and_noise_of_different_spaces_are_refused():
    with pytest.raises(ValueError, match="same space"):
        Joint(EPO(SPACE), DNO(Space("far"), torch.zeros(1, 1, 3, 4, 4)))
