"""Checks of arguments. Each raises a `ValueError` that names the argument and what it must be."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from reprlib import Repr
from typing import Any

MOST_SEED = 2**32 - 1  # what every generator of random numbers takes
MOST_IMAGES = 10_000  # seeds of one candidate
MOST = 100_000  # of anything that is held in memory
MOST_LETTERS = 10_000  # of a prompt; models take far fewer

_short = Repr()
_short.maxstring = _short.maxother = _short.maxlong = 100


def shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    return _short.repr(value)


def check_whole(name: str, value: Any, least: int | None = None, most: int | None = None) -> None:
    """Refuse what is no whole number, or one out of its range; True and 2.0 are none.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, not {shown(value)}")
    _check_range(name, value, least, most)


def check_finite(
    name: str,
    value: Any,
    least: float | None = None,
    most: float | None = None,
    *,
    above: float | None = None,
) -> None:
    """Refuse what is no finite real number, or one out of its range.

    Args:
        name: of the argument.
        value: of the argument.
        least: the lowest number allowed.
        most: the highest number allowed.
        above: a number that must be exceeded.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not _is_finite(value):
        raise ValueError(f"{name} must be a finite number, not {shown(value)}")
    if above is not None and value <= above:
        raise ValueError(f"{name} must be above {above}, not {shown(value)}")
    _check_range(name, value, least, most)


def check_seed(name: str, value: Any) -> None:
    """Refuse what is no seed of random numbers: a whole number from 0 to 2^32 - 1.

    Raises:
        ValueError: naming the argument.
    """
    check_whole(name, value, 0, MOST_SEED)


def check_positive(name: str, **values: Any) -> None:
    """Refuse settings that are not above 0; `clip` may be infinite, which is no clipping.

    Raises:
        ValueError: naming the first one.
    """
    for setting, value in values.items():
        if setting != "clip" or isinstance(value, bool) or value != math.inf:
            check_finite(f"{name}'s {setting}", value, above=0)


def check_share(name: str, value: Any) -> None:
    """Refuse what is no number from 0 to 1.

    Raises:
        ValueError: naming the argument.
    """
    check_finite(name, value, 0, 1)


def check_window(name: str, value: Any) -> None:
    """Refuse what is no window of a rollout: two shares of its steps, in order.

    Raises:
        ValueError: naming the argument.
    """
    meant = f"{name} must be a pair (start, end) of shares of the steps with 0 <= start <= end <= 1"
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{meant}, not {shown(value)}")
    for share in value:
        check_share(f"start and end of {name}", share)
    if value[0] > value[1]:
        raise ValueError(f"{meant}, not {shown(value)}")


def check_switch(name: str, value: Any) -> None:
    """Refuse what is neither True nor False.

    Raises:
        ValueError: naming the argument.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {shown(value)}")


def check_text(name: str, value: Any) -> None:
    """Refuse what is no string, or one that UTF-8 cannot write.

    Raises:
        ValueError: naming the argument.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {shown(value)}")
    if not is_writable(value):
        raise ValueError(
            f"{name} holds half of a character that takes two (a lone surrogate), "
            f"so it is no text: {shown(value)}"
        )


def check_prompt_text(name: str, value: Any) -> None:
    """Refuse what is no prompt: no text, one with a null character, or a far too long one.

    Raises:
        ValueError: naming the argument.
    """
    check_text(name, value)
    if "\0" in value:
        raise ValueError(f"{name} holds a null character: {shown(value)}")
    if len(value) > MOST_LETTERS:
        raise ValueError(
            f"{name} has {len(value)} characters; at most {MOST_LETTERS} are read: shorten it"
        )


def check_texts(name: str, value: Any) -> None:
    """Refuse what is no sequence of texts; one text alone is none.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{name} must be a list of strings, not {shown(value)}")
    for text in value:
        check_text(f"each of {name}", text)


def check_path(name: str, value: Any, *, optional: bool = True) -> None:
    """Refuse what is neither a path nor None; an empty path is none.

    Args:
        name: of the argument.
        value: of the argument.
        optional: whether it may be None.

    Raises:
        ValueError: naming the argument.
    """
    if optional and value is None:
        return
    meant = "a path or None" if optional else "a path"
    if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
        raise ValueError(f"{name} must be {meant}, not {shown(value)}")
    text = os.fspath(value)
    if not text or "\0" in text or not is_writable(text, surrogates=True):
        raise ValueError(f"{name} must be {meant}, which {shown(text)} cannot be")


def check_callable(name: str, value: Any, what: str, *, optional: bool = False) -> None:
    """Refuse what cannot be called; None may stand for an optional argument.

    Args:
        name: of the argument.
        value: of the argument.
        what: a callable is meant, for the message.
        optional: whether it may be None.

    Raises:
        ValueError: naming the argument.
    """
    if not callable(value) and not (optional and value is None):
        raise ValueError(f"{name} must be {what}, not {shown(value)}")


def check_kind(name: str, value: Any, kind: Any, what: str) -> None:
    """Refuse what is not of a kind.

    Args:
        name: of the argument.
        value: of the argument.
        kind: a class, or several.
        what: is meant, for the message.

    Raises:
        ValueError: naming the argument.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {what}, not {shown(value)}")


def check_each(name: str, values: Any, check: Callable[[str, Any], object]) -> list[Any]:
    """Refuse what is no list, array or other iterable, or holds what a check refuses.

    Args:
        name: of the argument.
        values: of the argument; an iterator is used up.
        check: of each value, called with a name and the value.

    Returns:
        the values.

    Raises:
        ValueError: naming the argument.
    """
    scalar = getattr(values, "ndim", 1) == 0  # a tensor or an array of one number
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable) or scalar:
        raise ValueError(f"{name} must be a list, not {shown(values)}")
    found = list(values)
    for value in found:
        check(f"each of {name}", value)
    return found


def is_writable(text: str, *, surrogates: bool = False) -> bool:
    """Whether UTF-8 can write a text.

    Args:
        text: to be written.
        surrogates: whether bytes that are no UTF-8 are allowed, as Python reads them in paths.
    """
    try:
        text.encode(errors="surrogateescape" if surrogates else "strict")
    except UnicodeEncodeError:
        return False
    return True


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floating point
        return False


def _check_range(name: str, value: Any, least: float | None, most: float | None) -> None:
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}, not {shown(value)}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}, not {shown(value)}")
