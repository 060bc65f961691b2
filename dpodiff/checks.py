"""Checks of arguments. A failed check raises a `ValueError` that names the argument."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from reprlib import Repr
from typing import Any

MOST_SEED = 2**32 - 1  # the largest seed that every random generator accepts
MOST_IMAGES = 10_000  # seeds of one candidate
MOST = 100_000  # largest number of items held in memory
MOST_LETTERS = 10_000  # characters of a prompt; models read far fewer

_short = Repr()
_short.maxstring = _short.maxother = _short.maxlong = 100


def shown(value: Any) -> str:
    """Return the text of a value for a message, shortened if it is long."""
    return _short.repr(value)


def check_whole(name: str, value: Any, least: int | None = None, most: int | None = None) -> None:
    """Check that a value is a whole number in a range; True and 2.0 are refused.

    Raises:
        ValueError: if it is not; the message names the argument.
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
    """Check that a value is a finite real number in a range.

    Args:
        name: name of the argument, for the message.
        value: value of the argument.
        least: the smallest number allowed.
        most: the largest number allowed.
        above: a number that the value must exceed.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not _is_finite(value):
        raise ValueError(f"{name} must be a finite number, not {shown(value)}")
    if above is not None and value <= above:
        raise ValueError(f"{name} must be above {above}, not {shown(value)}")
    _check_range(name, value, least, most)


def check_seed(name: str, value: Any) -> None:
    """Check that a value is a seed: a whole number from 0 to 2^32 - 1.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    check_whole(name, value, 0, MOST_SEED)


def check_positive(name: str, **values: Any) -> None:
    """Check that settings are above 0. `clip` may be infinite, which means no clipping.

    Raises:
        ValueError: if one is not; the message names the first one.
    """
    for setting, value in values.items():
        if setting != "clip" or isinstance(value, bool) or value != math.inf:
            check_finite(f"{name}'s {setting}", value, above=0)


def check_share(name: str, value: Any) -> None:
    """Check that a value is a number from 0 to 1.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    check_finite(name, value, 0, 1)


def check_window(name: str, value: Any) -> None:
    """Check that a value is a window of a rollout: two shares of its steps, in order.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    meant = f"{name} must be a pair (start, end) of shares of the steps with 0 <= start <= end <= 1"
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{meant}, not {shown(value)}")
    for share in value:
        check_share(f"start and end of {name}", share)
    if value[0] > value[1]:
        raise ValueError(f"{meant}, not {shown(value)}")


def check_switch(name: str, value: Any) -> None:
    """Check that a value is True or False.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, not {shown(value)}")


def check_text(name: str, value: Any) -> None:
    """Check that a value is a string that can be encoded as UTF-8.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {shown(value)}")
    if not is_writable(value):
        raise ValueError(
            f"{name} holds half of a character that takes two (a lone surrogate), "
            f"so it is not valid text: {shown(value)}"
        )


def check_prompt_text(name: str, value: Any) -> None:
    """Check that a value is a prompt: a string of limited length without null characters.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    check_text(name, value)
    if "\0" in value:
        raise ValueError(f"{name} holds a null character: {shown(value)}")
    if len(value) > MOST_LETTERS:
        raise ValueError(
            f"{name} has {len(value)} characters; at most {MOST_LETTERS} are read: shorten it"
        )


def check_texts(name: str, value: Any) -> None:
    """Check that a value is a sequence of strings; a single string is refused.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{name} must be a list of strings, not {shown(value)}")
    for text in value:
        check_text(f"each of {name}", text)


def check_path(name: str, value: Any, *, optional: bool = True) -> None:
    """Check that a value is a path or None; an empty path is refused.

    Args:
        name: name of the argument, for the message.
        value: value of the argument.
        optional: whether None is allowed.

    Raises:
        ValueError: if it is not; the message names the argument.
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
    """Check that a value can be called; an optional argument may be None.

    Args:
        name: name of the argument, for the message.
        value: value of the argument.
        what: description of the callable, for the message.
        optional: whether None is allowed.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    if not callable(value) and not (optional and value is None):
        raise ValueError(f"{name} must be {what}, not {shown(value)}")


def check_kind(name: str, value: Any, kind: Any, what: str) -> None:
    """Check that a value is an instance of a class.

    Args:
        name: name of the argument, for the message.
        value: value of the argument.
        kind: a class, or a union of classes.
        what: description of the class, for the message.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {what}, not {shown(value)}")


def check_each(name: str, values: Any, check: Callable[[str, Any], object]) -> list[Any]:
    """Check that a value is a list, an array or another iterable, and check each of its items.

    Args:
        name: name of the argument, for the message.
        values: value of the argument. An iterator is consumed.
        check: check of an item, called with a name and the item.

    Returns:
        the items.

    Raises:
        ValueError: if it is not, or if the check of an item fails.
    """
    scalar = getattr(values, "ndim", 1) == 0  # a tensor or an array of one number
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable) or scalar:
        raise ValueError(f"{name} must be a list, not {shown(values)}")
    found = list(values)
    for value in found:
        check(f"each of {name}", value)
    return found


def is_writable(text: str, *, surrogates: bool = False) -> bool:
    """Return whether a text can be encoded as UTF-8.

    Args:
        text: the text.
        surrogates: whether bytes that are not UTF-8 are allowed, as Python decodes them in paths.
    """
    try:
        text.encode(errors="surrogateescape" if surrogates else "strict")
    except UnicodeEncodeError:
        return False
    return True


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the range of floats
        return False


def _check_range(name: str, value: Any, least: float | None, most: float | None) -> None:
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}, not {shown(value)}")
    if most is not None and value > most:
        raise ValueError(f"{name} must be at most {most}, not {shown(value)}")
