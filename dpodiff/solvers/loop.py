"""The loop that runs every solver.

It manages the budget, the incumbent, the reasons to stop, failures, the trace and the progress bar.
Solvers only propose. It begins with the user's own prompt, which is the baseline. The baseline
costs one evaluation like any other candidate, and the solver gets its value.
"""

import sys
from typing import TYPE_CHECKING

from tqdm import tqdm

from dpodiff.checks import check_callable
from dpodiff.results.result import Result
from dpodiff.results.trace import Trace
from dpodiff.solvers.base import Solver
from dpodiff.solvers.run import Callback, Run, Viewer

if TYPE_CHECKING:
    from dpodiff.objective import Objective
    from dpodiff.objective.cost import Budget

# Gradients and previews cost fractions, so the counts of the progress bar are not whole.
BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


def search(
    solver: Solver,
    objective: "Objective",
    budget: "Budget",
    *,
    trace: Trace | None = None,
    progress: bool = True,
    callback: Callback | None = None,
    viewer: Viewer | None = None,
) -> Result:
    """Run a solver on an objective until the budget is used up, and return the best candidate.

    Evaluations and previews never exceed the budget. A gradient is started if an evaluation could
    still be paid for. If it costs more, it may exceed the budget by less than its own price. If the
    last gradient of the noise costs more than is left, the current noise is evaluated instead, and
    the search ends. A search of noise treats each seed separately and keeps its best noise.

    Candidates that the constraint rejects are recorded at no cost, and so are candidates that the
    objective knows already. To compare solvers, use a new objective for each.

    Results are not lost. After the baseline an exception ends the search as Ctrl-C does, with the
    result so far: a model, a loss or a callback that raises, a single image that does not fit into
    memory, a full disk. The `status` is then "failed" and `error` is the exception, which is also
    in the trace. An exception before that is raised, and an existing trace file stays unchanged.

    If the file of the trace holds an interrupted search with the same settings, the search
    continues. The solver and the objective must be new; their state is restored from the recorded
    answers.

    Args:
        solver: solver that proposes candidates of the objective's space.
        objective: objective that evaluates them.
        budget: limits of the search.
        trace: trace for the records and the answers of the model; the default is in memory.
        progress: whether to show a progress bar with the best loss on stderr.
        callback: called with each new or recorded record; the search stops if it returns True.
        viewer: called with the record and the images of each new step of a search of noise.

    Returns:
        The result, with the status "budget", "seconds", "exhausted" (no new candidate is left),
        "stopped" (by the callback, or by an interrupt after the baseline) or "failed" (by an error
        after the baseline).

    Raises:
        ValueError: if an argument is invalid, the solver and the objective have different spaces,
            the solver needs gradients and the loss has none, the trace was used before, or its file
            holds a search with other settings. The message names them.
        OSError: if the trace cannot be written, or another search is writing it.
        Exception: any exception during the evaluation of the baseline.

    Warns:
        UserWarning: once if losses were not finite, since they count as infinite; and if the search
            failed, with its error.

    Examples:
        >>> gray = dpodiff.BlackBox(lambda *job: np.full((8, 8, 3), 0.5))
        >>> space = dpodiff.nplib_space("a white wall", ["dark", "ugly"], slots=1)
        >>> objective = dpodiff.Objective(gray, dpodiff.losses.white, space, seeds=[0, 1])
        >>> solver, budget = dpodiff.EPO(space), dpodiff.Budget(10)
        >>> result = dpodiff.search(solver, objective, budget, progress=False)
        >>> result.status, result.cost.evaluations
        ('exhausted', 3)
    """
    _check_arguments(budget, trace, callback, viewer)
    if solver.space != objective.space:
        raise ValueError("solver and objective must have the same space")
    if solver.follows_gradients:
        from dpodiff.losses import check_differentiable

        check_differentiable(objective.loss)
    trace = Trace() if trace is None else trace
    with trace.locked(), objective.answers_in(trace):
        run = Run(solver, objective, budget, trace, callback, viewer)
        if trace.reading and progress:
            tqdm.write(trace.progress, file=sys.stderr)
        with tqdm(
            total=budget.evaluations, desc=solver.name, disable=not progress, bar_format=BAR
        ) as run.bar:
            status = run.until_over()
        return run.finish(status)


def _check_arguments(
    budget: "Budget", trace: Trace | None, callback: Callback | None, viewer: Viewer | None
) -> None:
    from dpodiff.objective.cost import Budget

    if not isinstance(budget, Budget):
        raise ValueError(f"budget must be a dpodiff.Budget, not {budget!r}")
    if trace is not None and not isinstance(trace, Trace):
        raise ValueError(f"trace must be a dpodiff.Trace or None, not {trace!r}")
    check_callable("callback", callback, "a callable from a record, or None", optional=True)
    check_callable("viewer", viewer, "a callable from a record and images, or None", optional=True)
