"""The one loop that runs every solver.

It alone owns the budget, the incumbent, the reasons to stop, failures, the trace and the progress
bar; solvers only propose. It begins with the user's own prompt, which is the baseline, costs one
evaluation like any other candidate, and is told to the solver.
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

# Gradients and previews cost fractions, so the counts of the bar are not whole.
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
    """Run a solver on an objective until the budget is used up, and return the best it evaluated.

    The budget is never exceeded by evaluations and previews. A gradient is begun as long as an
    evaluation can be paid for, so one that costs more than that may end a search beyond its budget,
    by less than its own price. If the last gradient of the noise cost more than is left, the noise
    is only looked at where it stands, and the search ends. Seeds are problems of their own to a
    search of noise: each keeps its best.

    Candidates that the constraint rejects are recorded and free, and so are those that the
    objective knows already: compare solvers on a fresh objective each.

    What was found is never lost. Once the baseline is evaluated, an exception ends the search as
    Ctrl-C does, with the result so far: a model, a loss or a callback that raises, memory that runs
    out with a single image, a full disk under the trace. Its `status` is "failed" and its `error`
    the exception, which the trace names too. Before that, any exception passes through, and a
    trace file that was there is left as it is.

    A trace whose file holds an interrupted search of the same settings goes on with it: solver and
    objective must be new, and are brought to where they were by the recorded answers of the model.

    Args:
        solver: proposes candidates of the objective's space.
        objective: evaluates them.
        budget: when to end.
        trace: keeps the records, and the answers of the model; one in memory if not given.
        progress: whether to show a bar with the best loss on stderr.
        callback: called with each record, read back or not; the search stops once it returns True.
        viewer: called with the record and the images of each new step of a search of noise.

    Returns:
        The result, with status "budget", "seconds", "exhausted" (no new candidate left), "stopped"
        (by the callback, or by an interrupt after the baseline) or "failed" (by an error after the
        baseline).

    Raises:
        ValueError: if an argument is of a wrong kind, solver and objective have different spaces,
            the solver follows gradients and the loss has none, the trace was used before, or its
            file holds a search of other settings, naming them.
        OSError: if the trace cannot be written, or another search is writing it.
        Exception: whatever the evaluation of the baseline raises.

    Warns:
        UserWarning: if losses were not finite, once; they count as infinitely bad. If the search
            failed, with the error.

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
