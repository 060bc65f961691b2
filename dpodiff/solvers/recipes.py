"""Recipes: solvers by name, every setting said.

A recipe makes a solver from a space, the steps of the model's rollout, and a seed:

    solver = RECIPES["dpodiff-hpo"](space, steps=model.steps, seed=0)

which is what `dpodiff.improve(prompt, solver="dpodiff-hpo")` does. Those of evolution and forward
selection also take `first`, candidates that are evaluated before all others.

Those named "dpodiff-..." are the paper's (Wang et al., 2024, arXiv 2407.01606); where its released
code does something else, the recipe says so. The others are ours. What a recipe does not hold is
the same for all solvers and belongs to objective and model. In the paper: a budget of 40
evaluations on 3 or 4 seeds, 50 steps, guidance 7.5, spherical CLIP loss, and for attacks a
similarity of at least 0.9 to the user's prompt by sentence-T5-base.

Budgets are counted otherwise than in the release, which prices 20 gradient steps at the steps they
reach (7.6 evaluations, "8") and their backward passes at nothing. Here a backward pass counts as
two forward passes: 9.0 evaluations at 50 steps, 10.0 at 25. So the paper's 8 + 32 is 9 + 31 at
equal cost.
"""

from collections.abc import Callable
from functools import partial

from dpodiff import solvers
from dpodiff.solvers import Solver
from dpodiff.solvers.base import FirstCandidates
from dpodiff.spaces.space import Space
from dpodiff.spaces.written import WrittenSpace

# (space, *, steps, seed) -> solver
Recipe = Callable[..., Solver]


def dpodiff_epo(space: Space, *, steps: int | None = None, seed: int = 0) -> Solver:
    """The paper's EPO: at 40 evaluations, a random population of 20 and one generation.

    The release differs from `EPO`, which follows the paper:

    - A mutated slot may draw its old word again, and a mutation may change no slot.
    - Both parents of a crossover may be the same.
    - After 10 proposals for each child wanted, most of them seen before, the search gives up.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> from dpodiff.solvers.recipes import dpodiff_epo
        >>> space = dpodiff.nplib_space("a red ball", NPLIB)
        >>> solver = dpodiff_epo(space)
        >>> solver.population, solver.rate
        (20, 0.1)
    """
    return solvers.EPO(
        space, seed=seed, population=20, parents=10, mutations=10, rate=0.1, crossovers=10
    )


def dpodiff_gpo(space: Space, *, steps: int, seed: int = 0) -> "solvers.GPO":
    """The paper's GPO: 20 gradient steps, then samples for the rest of the budget.

    The release differs; none of it is followed:

    - Mixed token embeddings go to the denoiser without passing the text encoder.
    - Words of several tokens are left out of negative slots and never replace positive ones.
    - Images reach CLIP with height and width swapped.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> from dpodiff.solvers.recipes import dpodiff_gpo
        >>> space = dpodiff.nplib_space("a red ball", NPLIB)
        >>> solver = dpodiff_gpo(space, steps=50)
        >>> len(solver.estimators), solver.estimators[0], solver.estimators[-1]
        (20, Shortcut(step=15, k=1), Shortcut(step=24, k=1))
    """
    return solvers.GPO(
        space,
        steps=steps,
        seed=seed,
        schedule=partial(solvers.shortcuts, iterations=20, first=0.3, last=0.48, repeat=2, k=1),
        temperature=1.0,
        first=1.0,
        low=0.0,
        high=3.0,
        lr=0.1,
        momentum=0.5,
        alpha=0.99,
        clip=0.025,
    )


def dpodiff_hpo(space: Space, *, steps: int, seed: int = 0) -> Solver:
    """The paper's HPO: `dpodiff_gpo`'s gradient phase, then `dpodiff_epo` from what it learned.

    The release differs:

    - It looks for its setting `explore` in the wrong place and so draws the first population
      uniformly: what GPO learned is thrown away. Here it is used, the most likely candidate first.
    - It ends after whole generations: asked for 32 evaluations after the gradient phase, it makes
      40. Here the budget holds.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> from dpodiff.solvers.recipes import dpodiff_hpo
        >>> space = dpodiff.nplib_space("a red ball", NPLIB)
        >>> solver = dpodiff_hpo(space, steps=50)
        >>> solver.population, len(solver.gpo.estimators)
        (20, 20)
    """
    return solvers.HPO(
        space,
        steps=steps,
        seed=seed,
        gpo=dpodiff_gpo,
        population=20,
        parents=10,
        mutations=10,
        rate=0.1,
        crossovers=10,
    )


def epo(
    space: Space, *, steps: int | None = None, seed: int = 0, first: FirstCandidates = ()
) -> Solver:
    """EPO for small budgets: eight candidates a generation instead of twenty.

    The paper's generation of 20 leaves a budget of 40 one step of evolution; this leaves it four.
    In the recorded comparison (chapter 10 of the book) it ends lower than the paper's.
    """
    return solvers.EPO(
        space, seed=seed, population=8, parents=4, mutations=4, crossovers=4, first=first
    )


def sparse_epo(
    space: Space, *, steps: int | None = None, seed: int = 0, first: FirstCandidates = ()
) -> Solver:
    """`epo` whose first population changes one or two slots of the user's prompt."""
    return solvers.EPO(
        space,
        seed=seed,
        population=8,
        parents=4,
        mutations=4,
        crossovers=4,
        changed=2,
        first=first,
    )


def forward(
    space: Space, *, steps: int | None = None, seed: int = 0, first: FirstCandidates = ()
) -> Solver:
    """Forward selection from twelve one-slot changes, for budgets from 20 on."""
    return solvers.ForwardSelection(space, seed=seed, singles=12, batch=4, ridge=1.0, first=first)


def raced_forward(
    space: Space, *, steps: int | None = None, seed: int = 0, first: FirstCandidates = ()
) -> Solver:
    """Forward selection whose changes race over the seeds: 32 on one, 16 on two, 8 on all.

    In a simulation (additive effects, most of them harmful, 28 evaluations on 4 seeds) it gains a
    third more than `forward`. With 2 seeds or fewer the last look is an evaluation already.
    """
    changes = solvers.ForwardSelection(space, seed=seed, singles=8, batch=4, ridge=1.0)
    rungs = [solvers.Rung(step=None, seeds=seeds, best_of=2) for seeds in (1, 2)]
    return solvers.Screening(changes, rungs, first=first)


def tpe(
    space: Space, *, steps: int | None = None, seed: int = 0, first: FirstCandidates = ()
) -> Solver:
    """Optuna's TPE with its defaults: ten candidates at random, then one at a time."""
    return solvers.TPE(space, seed=seed, startup=10, batch=1, first=first)


def hpo(space: Space, *, steps: int, seed: int = 0) -> Solver:
    """HPO whose evolution has the generations of `epo`, for what the gradients leave over.

    In the recorded comparison it ends lower than the paper's HPO, and no lower than `epo`.
    """
    return solvers.HPO(
        space, steps=steps, seed=seed, population=8, parents=4, mutations=4, crossovers=4
    )


def screened_epo(space: Space, *, steps: int, seed: int = 0) -> Solver:
    """`epo`, choosing the best of four by a look at one seed after three tenths of the steps.

    Kept for comparison: in the record of chapter 10 its looks gain nothing over `epo`.
    """
    return solvers.Screening(epo(space, steps=steps, seed=seed), [_look(steps)])


def screened_hpo(space: Space, *, steps: int, seed: int = 0) -> Solver:
    """`hpo`, screened like `screened_epo` once its gradient phase is over.

    In the same record it ends lower than the paper's HPO, and no lower than `hpo`.
    """
    return solvers.Screening(hpo(space, steps=steps, seed=seed), [_look(steps)])


def _look(steps: int) -> "solvers.Rung":
    """One seed: at this step a second one doubles the price and hardly betters the ranking."""
    return solvers.Rung(step=max(1, round(0.3 * steps)), seeds=1, best_of=4)


def random_search(space: Space, *, steps: int | None = None, seed: int = 0) -> Solver:
    """Random search."""
    return solvers.RandomSearch(space, seed=seed)


def llm(space: WrittenSpace, *, steps: int | None = None, seed: int = 0) -> Solver:
    """A language model that writes whole prompts, four to a question, on a space of such."""
    return solvers.LLMSearch(space, seed=seed, calls=20, batch=4, best=5, worst=3)


def pez(space: Space, *, steps: int, seed: int = 0) -> Solver:
    """PEZ on the schedule of the paper's shortcuts."""
    return solvers.PEZ(space, steps=steps, seed=seed)


RECIPES: dict[str, Recipe] = {
    "random": random_search,
    "epo": epo,
    "gpo": dpodiff_gpo,
    "hpo": hpo,
    "pez": pez,
    "sparse-epo": sparse_epo,
    "forward": forward,
    "raced-forward": raced_forward,
    "tpe": tpe,
    "llm": llm,
    "screened-epo": screened_epo,
    "screened-hpo": screened_hpo,
    "dpodiff-epo": dpodiff_epo,
    "dpodiff-gpo": dpodiff_gpo,
    "dpodiff-hpo": dpodiff_hpo,
}
# They need nothing of a model, not even its steps.
BLIND = frozenset({"random", "epo", "sparse-epo", "forward", "raced-forward", "tpe", "dpodiff-epo"})
