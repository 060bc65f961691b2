"""Checks of arguments. Each raises a `ValueError` that names the argument and what it must be."""

import math
import os
from numbers import Integral, Real
from typing import Any


def check_whole(name: str, value: Any, least: int | None = None) -> None:
    """Refuse what is no whole number, or one below `least`; True and 2.0 are none.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")


def check_finite(name: str, value: Any) -> None:
    """Refuse what is no finite real number.

    Raises:
        ValueError: naming the argument.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, not {value!r}")


def check_text(name: str, value: Any) -> None:
    """Refuse what is no string.

    Raises:
        ValueError: naming the argument.
    """
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {value!r}")


def check_path(name: str, value: Any) -> None:
    """Refuse what is neither a path nor None.

    Raises:
        ValueError: naming the argument.
    """
    if value is not None and not isinstance(value, str | os.PathLike):
        raise ValueError(f"{name} must be a path or None, not {value!r}")


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
        raise ValueError(f"{name} must be {what}, not {value!r}")
