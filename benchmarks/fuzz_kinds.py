"""Values of parameters for the fuzz: valid and arbitrary ones."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st

ODD = (
    None,
    *(math.nan, math.inf, -math.inf, 10**30, -(10**30), 1e300, 0.5, -0.5, 1j),
    *(np.float64("nan"), np.zeros(3), np.array(["a"]), torch.zeros(2), torch.tensor(math.nan)),
    *("", " ", "\0", "\ud800", "a\nb", "<script>", "$x$", "x" * 10_001, b"bytes"),
    *(
        [],
        (),
        {},
        set(),
        [None],
        [[1], [1, 2]],
        {"a": 1},
        {1: "a"},
        ("a", 3),
        [math.nan],
        ["\ud800"],
    ),
    *(object(), int, len, Path("nowhere"), range(3), slice(1)),
)
# Any value; its kind decides whether it is valid.
ANY = st.one_of(
    st.sampled_from(ODD),
    st.booleans(),
    st.integers(-3, 12),
    st.floats(width=32),
    st.text(max_size=8),
    st.lists(st.one_of(st.integers(-2, 3), st.text(max_size=3)), max_size=3),
)


@dataclass(frozen=True, repr=False)
class Kind:
    """The values of a parameter.

    Attributes:
        good: valid values.
        is_good: function that returns whether a value is valid.
        others: values that are mostly invalid.
    """

    good: st.SearchStrategy
    is_good: Callable[[Any], bool]
    others: st.SearchStrategy = ANY


def of(*values: Any, is_good: Callable[[Any], bool] | None = None) -> Kind:
    """Return a kind of these values, and of values for which `is_good` holds."""

    def same(value: Any) -> bool:
        return any(
            value is one or (type(value) is type(one) and _equal(value, one)) for one in values
        )

    return Kind(st.sampled_from(values), same if is_good is None else is_good)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except (RuntimeError, ValueError):  # from arrays
        return False


def optional(kind: Kind) -> Kind:
    return Kind(
        st.none() | kind.good, lambda value: value is None or kind.is_good(value), kind.others
    )


def whole(least: int = 0, most: int | None = None, upto: int = 4) -> Kind:
    def is_good(value: Any) -> bool:
        whole = isinstance(value, Integral) and not isinstance(value, bool)
        return whole and least <= value <= (math.inf if most is None else most)

    return Kind(st.integers(least, max(least, upto)), is_good)


def number(*good: float, least: float = -math.inf, above: float = -math.inf, most=math.inf) -> Kind:
    """Return the kind of finite numbers in a range."""

    def is_good(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, Real) or abs(value) > 1e308:
            return False
        return math.isfinite(value) and least <= value <= most and value > above

    return of(*good, is_good=is_good)


def is_text(value: Any) -> bool:
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def text(*good: str, empty: bool = True) -> Kind:
    return of(*good, is_good=lambda value: is_text(value) and (empty or bool(value.strip())))


def prompt(*good: str, empty: bool = False) -> Kind:
    """Return the kind of texts of limited length without a null character."""

    def is_good(value: Any) -> bool:
        short = is_text(value) and "\0" not in value and len(value) <= 10_000
        return short and (empty or bool(value.strip()))

    return of(*good, is_good=is_good)


def texts(*good: Sequence[str], is_good: Callable[[Sequence[str]], bool] = lambda _: True) -> Kind:
    """Return the kind of sequences of texts."""

    def are_texts(value: Any) -> bool:
        listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return listed and all(map(is_text, value)) and is_good(value)

    return of(*good, is_good=are_texts)


def each(kind: Kind, *good: Any, empty: bool = True) -> Kind:
    """Return the kind of iterables with valid members."""

    def is_good(value: Any) -> bool:
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            return False
        if getattr(value, "shape", None) == ():
            return False
        return (empty or len(list(value)) > 0) and all(map(kind.is_good, value))

    return of(*good, is_good=is_good)


def switch() -> Kind:
    return Kind(st.booleans(), lambda value: isinstance(value, bool))


def function(*good: Callable) -> Kind:
    """Return the kind of callables that work; others would raise their own errors."""
    return Kind(st.sampled_from(good), callable, ANY.filter(lambda value: not callable(value)))


def kind_of(cls: Any, *good: Any) -> Kind:
    return of(*good, is_good=lambda value: isinstance(value, cls))


def path(*good: Any) -> Kind:
    """Return the kind of paths: these exist; others are refused as missing, which is clear."""

    def is_good(value: Any) -> bool:
        return isinstance(value, str | os.PathLike) and value != "" and "\0" not in str(value)

    return of(*good, is_good=is_good)


def without_texts(kind: Kind) -> Kind:
    """Return the kind without unusual texts, for names that may be looked up on a hub."""
    return Kind(
        kind.good, kind.is_good, kind.others.filter(lambda value: not isinstance(value, str))
    )


def anything(strategy: st.SearchStrategy) -> Kind:
    """Return a kind whose values may all be accepted or refused, such as the content of a file."""
    return Kind(strategy, lambda _: True, strategy)
