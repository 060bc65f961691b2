"""The argument `first`: candidates that are evaluated before all others."""

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dpodiff import names
from dpodiff.api.defaults import default_clip, is_toy
from dpodiff.api.parts import AnyLexicon, chosen_lexicon
from dpodiff.names import name_of
from dpodiff.solvers import Solver
from dpodiff.solvers.base import FirstCandidates
from dpodiff.solvers.recipes import RECIPES
from dpodiff.spaces.contrasts import Contrast, contrast_prompts
from dpodiff.spaces.lexicons.builders import not_in_prompt

if TYPE_CHECKING:
    from dpodiff.losses.contrastive import Contrastive
    from dpodiff.models.base import TextToImage
    from dpodiff.objective.diagnosis import Diagnosis
    from dpodiff.objective.objective import Objective

DIAGNOSIS = "diagnosis"
# Negative prompts, or lists of words of a space, or the name of a method that finds them.
FirstWords = str | Sequence[str | Sequence[str]]


def check_first(first: FirstWords | None, solver: str | Callable[..., Solver]) -> None:
    """Refuse values that are not lists of words, and solvers without first candidates.

    Raises:
        ValueError: if so, before a model is loaded; the message says what would be right.
    """
    if first is None:
        return
    if first != DIAGNOSIS and (isinstance(first, str) or not _all(_is_words, first)):
        raise ValueError(
            f"first must be a list of negative prompts or of word lists, or {DIAGNOSIS!r}, "
            f"not {first!r}"
        )
    if first and not _takes_first(solver):
        name = repr(solver) if isinstance(solver, str) else name_of(solver)
        known = ", ".join(name for name, recipe in RECIPES.items() if _takes_first(recipe))
        raise ValueError(f"the solver {name} takes no first candidates; those that do: {known}")


def default_first(
    model: "TextToImage", prompt: str, solver: str | Callable[..., Solver]
) -> list[list[str]]:
    """Return the default first words: those that improve most prompts of a toy model.

    They are empty for any other model, and for a solver that takes no first candidates.
    """
    if not is_toy(model) or not _takes_first(solver):
        return []
    return [not_in_prompt(prompt, words) for words in names.toy("first words")]


def chosen_first(first: FirstWords, objective: "Objective", lexicon: AnyLexicon) -> FirstCandidates:
    """Return the first candidates for lists of words or for "diagnosis".

    Raises:
        ValueError: if the space does not offer a word, naming it; or if a diagnosis is requested
            and the prompt has no contrast prompt.
        LoadError: if the CLIP of a diagnosis cannot be loaded.
    """
    if first == DIAGNOSIS:
        return _diagnosis(objective, lexicon)
    lists, space = [_words(one) for one in first], objective.space
    offered = {choice.casefold() for slot in space.slots for choice in slot.choices[1:]}
    words = dict.fromkeys(word for words in lists for word in words)
    if unknown := [word for word in words if word.casefold() not in offered]:
        raise ValueError(
            f"first has words that the space of {space.prompt!r} does not offer: "
            f"{', '.join(map(repr, unknown))}; dpodiff.describe(space) lists those it does"
        )
    return [space.choose(words) for words in lists]


def _is_words(one: Any) -> bool:
    return isinstance(one, str) or _all(lambda word: isinstance(word, str), one)


def _all(right: Callable[[Any], bool], given: Any) -> bool:
    return isinstance(given, Sequence) and all(map(right, given))


def _words(one: str | Sequence[str]) -> Sequence[str]:
    """Return the words of one candidate: a list, or the parts of a negative prompt."""
    if not isinstance(one, str):
        return one
    return [word.strip() for word in one.split(",") if word.strip()]


def _takes_first(solver: str | Callable[..., Any]) -> bool:
    """Return whether a solver takes candidates as `first`; GPO's `first` is a number."""
    make = RECIPES[solver] if isinstance(solver, str) else solver
    found = inspect.signature(make).parameters.get("first")
    return found is not None and found.default == ()


def _diagnosis(objective: "Objective", lexicon: AnyLexicon) -> "Diagnosis":
    from dpodiff.objective.diagnosis import Diagnosis

    words = chosen_lexicon(objective.model, lexicon, objective.space.prompt, "antonym")

    def contrasts(prompt: str) -> list[Contrast]:
        return contrast_prompts(prompt, words)

    loss = _contrastive(objective, contrasts)
    loss.check(objective.space.prompt)
    return Diagnosis(objective, loss, contrasts)


def _contrastive(
    objective: "Objective", contrasts: Callable[[str], Sequence[Contrast]]
) -> "Contrastive":
    """Return the searched loss if it is contrastive; else one with its CLIP or the default CLIP."""
    from dpodiff.losses import Contrastive, SphericalCLIP

    loss = objective.loss
    if isinstance(loss, Contrastive):
        return loss
    clip = loss if isinstance(loss, SphericalCLIP) else default_clip(objective.model)
    return Contrastive(clip, lambda prompt: [contrast.prompt for contrast in contrasts(prompt)])
