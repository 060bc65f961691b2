"""Solvers by name, and the constraint that keeps the meaning of a prompt."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from dpodiff.api.defaults import is_toy
from dpodiff.api.parts import has_gradient
from dpodiff.checks import check_kind
from dpodiff.names import name_of
from dpodiff.solvers import Solver
from dpodiff.solvers.base import FirstCandidates
from dpodiff.solvers.recipes import BLIND, RECIPES
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.models.base import TextToImage
    from dpodiff.spaces.constraints import Constraint, Encoder


def similar_to(
    prompt: str,
    model: "TextToImage",
    encoder: "str | Encoder | None",
    similarity: float,
) -> "Constraint":
    """Return the constraint that keeps a candidate's positive prompt close to a prompt."""
    from dpodiff.spaces.constraints import SENTENCE_T5, Similarity, load_encoder

    if encoder is None:
        encoder = "toy" if is_toy(model) else SENTENCE_T5
    encoder = load_encoder(encoder) if isinstance(encoder, str) else encoder
    return Similarity(prompt, encoder, similarity)


def chosen_solver(
    solver: str | Callable[..., Solver],
    space: Space,
    model: "TextToImage",
    seed: int,
    first: FirstCandidates = (),
) -> Solver:
    """Return a solver given by a name or a callable. Not every solver takes first candidates.

    Raises:
        ValueError: if a callable does not make a solver.
    """
    make = solver if callable(solver) else RECIPES[solver]
    if first:
        make = partial(make, first=first)
    if callable(solver):
        name = name_of(solver)
        try:
            made = make(space, seed=seed)
        except TypeError as error:
            raise ValueError(f"the solver {name}, called with space and seed: {error}") from error
        check_kind(f"what the solver {name} makes", made, Solver, "a Solver")
        return made
    # A black box raises an error that says that it has no steps.
    steps = None if solver in BLIND else model.steps
    return make(space, steps=steps, seed=seed)


def check_gradient(solver: Solver, loss: "Loss", prompt: str, model: "TextToImage") -> None:
    """Refuse a loss without a gradient, or a black box, for a solver that needs gradients."""
    from dpodiff.losses import check_differentiable
    from dpodiff.models.base import require_model

    if not solver.follows_gradients:
        return
    own = require_model(model, "gradients")
    check_differentiable(loss)
    if not has_gradient(loss, prompt, own):
        raise ValueError(
            f"the loss {name_of(loss)} has no gradient in the images; "
            "the solvers 'epo' and 'random' need none"
        )
