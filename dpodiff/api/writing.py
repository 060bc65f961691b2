"""The argument solver="llm": a language model writes whole prompts."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from dpodiff.api.defaults import DEFAULT_SPACE
from dpodiff.api.parts import AnyLexicon
from dpodiff.solvers import LLMSearch, Solver
from dpodiff.spaces.lexicons import LLM
from dpodiff.spaces.space import Space
from dpodiff.spaces.written import WrittenSpace

if TYPE_CHECKING:
    from dpodiff.models.base import TextToImage
    from dpodiff.objective import Objective

WRITES = "llm"
DEFAULTS = (DEFAULT_SPACE, "synonym")  # default spaces of `improve` and `attack`


def writes_prompts(solver: str | Callable[..., Solver], space: str | Space, **choices: Any) -> bool:
    """Return whether a solver, given by name, writes whole prompts.

    Args:
        solver: as in `improve`.
        space: the requested space.
        choices: arguments that choose words of a space, by name.

    Raises:
        ValueError: if it does, and a space or its words are given.
    """
    if solver != WRITES:
        return False
    given = [name for name, value in choices.items() if value]
    if not isinstance(space, WrittenSpace) and space not in DEFAULTS:
        given.insert(0, "space")
    if given:
        raise ValueError(
            f"solver={WRITES!r} writes whole prompts, so it takes no {', '.join(given)}; any other "
            "solver searches a space"
        )
    return True


def written_space(
    space: str | Space, prompt: str, negative_prompt: str, model: "TextToImage"
) -> WrittenSpace:
    """Return the given space, or an empty one."""
    if isinstance(space, WrittenSpace):
        return space
    return WrittenSpace(prompt, (), negative_prompt, takes_negative=model.takes_negative)


def language_search(objective: "Objective", lexicon: AnyLexicon, seed: int) -> LLMSearch:
    """Return the solver with the language model given as `lexicon`, or with the default one.

    If the loss supports it, the language model is told what the images of the prompt miss.

    Raises:
        ImportError, ServerError: if the package or the key for the language model is missing.
    """
    from dpodiff.losses import Contrastive, Decomposed
    from dpodiff.objective import Missed

    loss = objective.loss
    can_tell = isinstance(loss, Contrastive | Decomposed)
    solver = LLMSearch(
        cast(WrittenSpace, objective.space),
        seed=seed,
        llm=lexicon if isinstance(lexicon, LLM) else None,
        task=objective.task,
        missed=Missed(objective, loss) if can_tell else None,
    )
    solver.check()
    return solver
