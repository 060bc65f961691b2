"""Recipes: solvers by name, with all settings.

A recipe makes a solver from a space, the steps of the model's rollout, and a seed:

    solver = RECIPES["dpodiff-hpo"](space, steps=model.steps, seed=0)

`dpodiff.improve(prompt, solver="dpodiff-hpo")` does the same. The recipes of evolution and forward
selection also take `first`, candidates to evaluate before all others.

The names "dpodiff-..." are those of the paper (Wang et al., 2024, arXiv 2407.01606); each recipe
lists the differences of the released code. The others are new here. Settings of the objective and
the model are the same for all solvers. In the paper they are: a budget of 40 evaluations on 3 or 4
seeds, 50 steps, guidance 7.5, spherical CLIP loss, and for attacks a similarity of at least 0.9 to
the user's prompt by sentence-T5-base.

Budgets are counted differently in the release. It charges 20 gradient steps for the steps they
reach (7.6 evaluations, "8") and nothing for their backward passes. Here a backward pass counts as
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
    """Return the paper's EPO: at 40 evaluations, a random population of 20 and one generation.

    The release differs from `EPO`, which follows the paper:

    - A mutated slot may get its old word again, and a mutation may change no slot.
    - Both parents of a crossover may be the same.
    - The search stops after 10 proposals per wanted child, most of which are known already.

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
    """Return the paper's GPO: 20 gradient steps, then samples for the rest of the budget.

    The release has these differences, which are not adopted:

    - Mixed token embeddings are passed to the denoiser without the text encoder.
    - Words of several tokens are omitted from negative slots and never replace positive ones.
    - Images are passed to CLIP with height and width swapped.

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
    """Return the paper's HPO: the gradient phase of `dpodiff_gpo`, then `dpodiff_epo`.

    The release differs:

    - It reads its setting `explore` from the wrong place, so the first population is uniform and
      ignores what GPO learned. Here it is used, the most likely candidate first.
    - It ends after whole generations: with 32 evaluations after the gradient phase it makes 40.
      Here the budget is kept.

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
    """Return EPO for small budgets: eight candidates per generation instead of twenty.

    With the paper's generation of 20, a budget of 40 allows one step of evolution; this recipe
    allows four. In the recorded comparison (chapter 10 of the book) it ends with a lower loss than
    the paper's.
    """
    return solvers.EPO(
        space, seed=seed, population=8, parents=4, mutations=4, crossovers=4, first=first
    )


def sparse_epo(
    space: Space, *, steps: int | None = None, seed: int = 0, first: FirstCandidates = ()
) -> Solver:
    """Return `epo` with a first population that changes one or two slots of the user's prompt."""
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
    """Return forward selection from twelve one-slot changes, for budgets from 20 on."""
    return solvers.ForwardSelection(space, seed=seed, singles=12, batch=4, ridge=1.0, first=first)


def raced_forward(
    space: Space, *, steps: int | None = None, seed: int = 0, first: FirstCandidates = ()
) -> Solver:
    """Return forward selection with a race over the seeds: 32 on one, 16 on two, 8 on all.

    In a simulation (additive effects, most of them harmful, 28 evaluations on 4 seeds) it gains a
    third more than `forward`. In the record of chapter 13 none of `epo`, `sparse_epo`, `forward`,
    `raced_forward` and `tpe` is shown to differ from another. With 2 seeds or fewer the last
    preview is a full evaluation.
    """
    changes = solvers.ForwardSelection(space, seed=seed, singles=8, batch=4, ridge=1.0)
    rungs = [solvers.Rung(step=None, seeds=seeds, best_of=2) for seeds in (1, 2)]
    return solvers.Screening(changes, rungs, first=first)


def tpe(
    space: Space, *, steps: int | None = None, seed: int = 0, first: FirstCandidates = ()
) -> Solver:
    """Return Optuna's TPE with its defaults: ten random candidates, then one at a time."""
    return solvers.TPE(space, seed=seed, startup=10, batch=1, first=first)


def hpo(space: Space, *, steps: int, seed: int = 0) -> Solver:
    """Return HPO with the generations of `epo` after its gradient phase.

    In the recorded comparison it ends with a lower loss than the paper's HPO, not lower than `epo`.
    """
    return solvers.HPO(
        space, steps=steps, seed=seed, population=8, parents=4, mutations=4, crossovers=4
    )


def screened_epo(space: Space, *, steps: int, seed: int = 0) -> Solver:
    """Return `epo` that previews four candidates for each one, on one seed after 30% of the steps.

    It is kept for comparison: in the record of chapter 10 its previews give no gain over `epo`.
    """
    return solvers.Screening(epo(space, steps=steps, seed=seed), [_look(steps)])


def screened_hpo(space: Space, *, steps: int, seed: int = 0) -> Solver:
    """Return `hpo`, screened like `screened_epo` after its gradient phase.

    In the same record it ends with a lower loss than the paper's HPO, not lower than `hpo`.
    """
    return solvers.Screening(hpo(space, steps=steps, seed=seed), [_look(steps)])


def _look(steps: int) -> "solvers.Rung":
    """Return a rung with one seed; a second one doubles the price with hardly a better ranking."""
    return solvers.Rung(step=max(1, round(0.3 * steps)), seeds=1, best_of=4)


def random_search(space: Space, *, steps: int | None = None, seed: int = 0) -> Solver:
    """Return random search."""
    return solvers.RandomSearch(space, seed=seed)


def listed(
    space: Space, *, steps: int | None = None, seed: int = 0, first: FirstCandidates = ()
) -> Solver:
    """Return no search: only the candidates of `first` are evaluated."""
    return solvers.Listed(space, seed=seed, first=first)


def llm(space: WrittenSpace, *, steps: int | None = None, seed: int = 0) -> Solver:
    """Return a language model that writes four whole prompts per question."""
    return solvers.LLMSearch(space, seed=seed, calls=20, batch=4, best=5, worst=3)


def pez(space: Space, *, steps: int, seed: int = 0) -> Solver:
    """Return PEZ with the paper's schedule of shortcuts."""
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
    "listed": listed,
    "llm": llm,
    "screened-epo": screened_epo,
    "screened-hpo": screened_hpo,
    "dpodiff-epo": dpodiff_epo,
    "dpodiff-gpo": dpodiff_gpo,
    "dpodiff-hpo": dpodiff_hpo,
}
# Solvers that need nothing of a model, not even its number of steps.
BLIND = frozenset(
    {"random", "epo", "sparse-epo", "forward", "raced-forward", "tpe", "listed", "dpodiff-epo"}
)
