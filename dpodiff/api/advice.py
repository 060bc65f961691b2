"""Error messages for unknown names: the nearest known name, or the function that accepts it."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

from dpodiff.solvers.recipes import RECIPES

P = ParamSpec("P")
R = TypeVar("R")

# The solvers of `RECIPES` search the words, these methods the noise.
METHODS = ("dno", "reno", "zero-order", "joint", "best-of-n")

_WORDS = "the words are searched by dpodiff.improve and dpodiff.attack"
_NOISE = "the noise is searched by dpodiff.align"
_OWN_SEEDS = "noise belongs to its own seeds, so fresh ones cannot verify it"
_SOLVER = "words are searched by a solver, such as 'epo', the noise by dpodiff.align(method=...)"
_MEANING = "dpodiff.attack(similarity=..., encoder=...) keeps to the meaning"
# Function -> arguments of another function -> advice.
ELSEWHERE = {
    "improve": {
        "method": _SOLVER,
        "estimator": _NOISE,
        "eta": _NOISE,
        "viewer": _NOISE,
        "similarity": _MEANING,
        "encoder": _MEANING,
    },
    "attack": {
        "task": "its task is always 'attack'; dpodiff.improve(task=...) takes either",
        "constraint": "its constraint is `similarity`; dpodiff.improve(task='attack', "
        "constraint=...) takes any other",
        "method": _SOLVER,
        "estimator": _NOISE,
        "eta": _NOISE,
        "viewer": _NOISE,
    },
    "align": {
        "verify": _OWN_SEEDS,
        "second_loss": _OWN_SEEDS,
        "solver": "the noise is searched with method='dno' and its like, words by "
        "dpodiff.improve(solver=...)",
        "first": _WORDS,
        "locked": _WORDS,
        "keywords": _WORDS,
        "nplib": _WORDS,
        "modifiers": _WORDS,
        "constraint": _WORDS,
        "similarity": _WORDS,
        "encoder": _WORDS,
    },
}


def check_solver(solver: "str | Callable[..., Any]", task: str) -> None:
    """Refuse an unknown solver of words.

    Raises:
        ValueError: if it is a method of noise, naming `align`; if it is unknown, naming the nearest
            solver.
    """
    if isinstance(solver, str) and solver in METHODS:
        attack = ", task='attack'" if task == "attack" else ""
        raise ValueError(
            f"{solver!r} searches the noise, not the words: "
            f"dpodiff.align(prompt, method={solver!r}{attack})"
        )
    if not callable(solver):
        check_known("solver", solver, RECIPES)


def check_method(method: "str | Callable[..., Any]", task: str) -> None:
    """Refuse an unknown method of noise.

    Raises:
        ValueError: if it is a solver of words, naming `improve` or `attack`; if it is unknown,
            naming the nearest method.
    """
    if isinstance(method, str) and method in RECIPES:
        function = "attack" if task == "attack" else "improve"
        raise ValueError(
            f"{method!r} searches the words, not the noise: "
            f"dpodiff.{function}(prompt, solver={method!r})"
        )
    if not callable(method):
        check_known("method", method, METHODS)


def check_known(what: str, name: Any, known: Iterable[str]) -> None:
    """Refuse an unknown name.

    Raises:
        ValueError: if it is unknown, naming the known ones and the nearest.
    """
    known = list(known)
    if not isinstance(name, str) or name not in known:
        message = f"unknown {what} {name!r}; choose from {', '.join(known)}"
        near = nearest(name, known)
        raise ValueError(f"{message}; {near}" if near else message)


def keyword_advice(function: str, name: str, known: Iterable[str]) -> str:
    """Return advice on a keyword argument that a function does not have; empty if there is none.

    Args:
        function: "improve", "attack" or "align".
        name: name of the argument.
        known: arguments of the function.

    Returns:
        where the argument belongs, or the nearest one that the function has.
    """
    return ELSEWHERE[function].get(name) or nearest(name, known)


def known_keywords_only(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function so that the `TypeError` for an unknown keyword argument gives advice."""
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                advice = keyword_advice(function.__name__, name, known)
                has = f"it has {', '.join(known)}"
                raise TypeError(f"{function.__name__} takes no {name!r}; {advice or has}")
        return function(*args, **kwargs)

    return checked


def nearest(name: Any, known: Iterable[str]) -> str:
    """Return a question with the nearest known name; empty if none is near."""
    near = difflib.get_close_matches(str(name).lower(), known, n=1)
    return f"did you mean {near[0]!r}?" if near else ""
