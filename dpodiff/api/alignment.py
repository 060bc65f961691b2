"""The front door of noise optimization: one prompt, and pictures that please a loss.

    result = dpodiff.align("a red ball on the sea", budget=100, gamma=0.1)
    dpodiff.plots.strip(result)

Where `improve` looks for words that help on any noise, `align` keeps the words and changes the
noise of a few seeds; its method "joint" changes both in turns. It only checks its input and puts
the parts together, all of them before any picture is made.
"""

from collections.abc import Callable
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch

from dpodiff.api.parts import check_space, chosen_loss, chosen_space
from dpodiff.gradients import Checkpointed, Estimator, Full, Hybrid
from dpodiff.losses.base import Loss
from dpodiff.models import Model, load
from dpodiff.models.black_box import BlackBox
from dpodiff.models.noise import check_eta
from dpodiff.objective import Objective, Task
from dpodiff.objective.cost import Budget
from dpodiff.objective.noise import check_gradient
from dpodiff.results.result import Result
from dpodiff.results.trace import Trace
from dpodiff.solvers.base import Solver
from dpodiff.solvers.best_of_n import search_noise
from dpodiff.solvers.dno import DNO, ReNO
from dpodiff.solvers.joint import epo_and_dno
from dpodiff.solvers.loop import search
from dpodiff.solvers.zero_order import ZeroOrder
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    from dpodiff.solvers.loop import Callback, Viewer
    from dpodiff.spaces.lexicons import Lexicon

# Name -> solver, called with space, noise, seed= and the settings that are its own.
METHODS: dict[str, Callable[..., Solver]] = {
    "dno": DNO,
    "reno": ReNO,
    "zero-order": ZeroOrder,
    "joint": epo_and_dno,
}
ESTIMATORS = {"checkpointed": Checkpointed(), "full": Full(), "hybrid": Hybrid()}


def align(
    prompt: str,
    *,
    negative_prompt: str = "",
    model: "str | Model" = "toy",
    loss: "str | Loss | None" = None,
    method: str | Callable[..., Solver] = "dno",
    estimator: "str | Estimator | Hybrid | None" = None,
    eta: float = 0.0,
    space: "str | Space | None" = None,
    lexicon: "str | Lexicon | None" = None,
    budget: int = 100,
    seeds: int = 4,
    seed: int = 0,
    task: "Task" = "improve",
    batch_size: int | None = None,
    trace: str | PathLike | None = None,
    progress: bool = True,
    callback: "Callback | None" = None,
    viewer: "Viewer | None" = None,
    **settings: Any,
) -> Result:
    """Search the noise of each seed for the picture of the prompt that the loss likes best.

    Args:
        prompt: what the images should show.
        negative_prompt: what they should not show.
        model: a name for `dpodiff.load`, or a loaded model.
        loss: as in `improve`.
        method: "dno", "reno", "zero-order", "best-of-n", or "joint" for words and noise in turns;
            or a callable that makes a solver, such as `functools.partial(DNO, ...)`, called with
            space, noise and `seed=`.
        estimator: of the gradient of "dno", "reno" and "joint": "checkpointed", "full", "hybrid"
            for losses without a gradient, or any of `dpodiff.gradients`. If not given, the method's
            own.
        eta: 0 changes the noise that the pictures start from; up to 1, that of every step too.
        space: of the words, if they may change too, as in `improve`; for "joint" it is
            "antonym+nplib" if not given.
        lexicon: as in `improve`.
        budget: evaluations; one is a picture of each seed. A gradient with checkpoints is four.
        seeds: pictures, from the seeds 0, 1, ...; each is a problem of its own.
        seed: of the method's random numbers.
        task: "attack" makes the loss grow instead.
        batch_size: as in `improve`.
        trace, progress, callback: as in `improve`.
        viewer: called with each record and its images, for a film of the search.
        settings: of the method, such as `gamma` and `lr` of "dno"; see its class.

    Raises:
        ValueError: if an argument is not among these, or has a range it lies outside of, saying
            what would be right; before any image is made.

    Examples:
        >>> result = dpodiff.align("a red ball on the sea", budget=6, seeds=1, progress=False)
        >>> result.losses < result.baseline_losses
        True
        >>> tuple(result.noise.shape)  # of one seed, one vector
        (1, 1, 4, 16, 16)
    """
    limit = Budget(budget)
    check_eta(eta)
    space = _words_asked_for(space, method)
    words = Space(prompt, (), negative_prompt)
    if space is not None:
        words = chosen_space(space, prompt, negative_prompt, model, lexicon=lexicon, task=task)
    model = load(model) if isinstance(model, str) else model
    if method != "best-of-n":
        _check_open(model)
    model.check(prompt, negative_prompt)
    if space is not None:
        check_space(words, prompt, negative_prompt, model)
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, not {seeds}")
    loss = chosen_loss(loss, model)
    kept = {"task": task, "batch_size": batch_size, "eta": eta}
    objective = Objective(model, loss, words, range(seeds), **kept)
    watch = {"trace": Trace(trace), "progress": progress, "callback": callback}
    if method == "best-of-n":
        _check_no_settings(method, settings | ({} if estimator is None else {"estimator": 0}))
        return search_noise(objective, limit, **watch)
    solver = _solver(method, objective, _estimator(estimator), seed, settings)
    if solver.follows_gradients:
        probe_gradient(loss, prompt, model)
    return search(solver, objective, limit, **watch, viewer=viewer)


def probe_gradient(loss: "Loss", prompt: str, model: "Model") -> None:
    """Refuse a loss that has no gradient, by asking it about one gray image.

    Raises:
        ValueError: naming what needs none.
    """
    shape = (1, 3, model.image_size, model.image_size)
    gray = torch.full(shape, 0.5, device=model.device, requires_grad=True)
    try:
        losses = loss(gray, [prompt])
    except RuntimeError as error:  # torch's word for numpy() of a tensor with a graph
        if "requires grad" not in str(error):
            raise
        losses = torch.zeros(1)
    check_gradient(losses, loss)


def _words_asked_for(
    space: "str | Space | None", method: str | Callable[..., Solver]
) -> "str | Space | None":
    """Which words may change; None if only the noise may."""
    if method == "joint":
        return "antonym+nplib" if space is None else space
    if isinstance(method, str) and space is not None:
        raise ValueError(f"{method!r} leaves the words alone; a space is for method='joint'")
    return space


def _solver(
    method: str | Callable[..., Solver],
    objective: Objective,
    estimator: "Estimator | Hybrid | None",
    seed: int,
    settings: dict[str, Any],
) -> Solver:
    if isinstance(method, str) and method not in METHODS:
        known = ", ".join([*METHODS, "best-of-n"])
        raise ValueError(f"unknown method {method!r}; choose from {known}")
    make = METHODS[method] if isinstance(method, str) else method
    if estimator is not None:
        settings = settings | {"estimator": estimator}
    try:
        return make(objective.space, objective.noise(), seed=seed, **settings)
    except TypeError as error:
        raise ValueError(f"{method}: {error}") from None


def _estimator(estimator: "str | Estimator | Hybrid | None") -> "Estimator | Hybrid | None":
    if not isinstance(estimator, str):
        return estimator
    if estimator not in ESTIMATORS:
        raise ValueError(f"unknown estimator {estimator!r}; choose from {', '.join(ESTIMATORS)}")
    return ESTIMATORS[estimator]


def _check_open(model: "Model | BlackBox") -> None:
    if isinstance(model, BlackBox):
        raise ValueError(
            f"{model.name} shows no noise to search; method='best-of-n' draws new seeds instead"
        )


def _check_no_settings(method: str, settings: dict[str, Any]) -> None:
    if settings:
        raise ValueError(f"{method!r} has no setting {', '.join(settings)}")
