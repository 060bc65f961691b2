"""Texts with weighted words, in the notation of compel.

A weighted text is written as compel writes it, `a (red)1.2 ball`, so that it works wherever compel
is used (github.com/damian0815/compel). Only the type carries weights: a plain string with
parentheses has none. Parentheses of the words themselves are escaped in this notation, as compel
requires.
"""

from collections.abc import Sequence
from typing import Any

MOST = 2.0  # compel's limit


class WeightedText(str):
    r"""A text in pieces with weights. It never equals a plain string, which is encoded differently.

    Args:
        pieces: pieces of the text in their order, each with its weight, above 0 and at most 2. A
            weight of 1 changes nothing. Pieces begin and end between words.

    Raises:
        ValueError: if a weight is outside this range.

    Examples:
        >>> from dpodiff.weighted_text import WeightedText
        >>> text = WeightedText([("a ", 1.0), ("red", 1.2), (" ball (toy)", 1.0)])
        >>> print(text)
        a (red)1.2 ball \(toy\)
        >>> text.plain
        'a red ball (toy)'
    """

    pieces: tuple[tuple[str, float], ...]

    def __new__(cls, pieces: Sequence[tuple[str, float]]) -> "WeightedText":
        """Build the string in the notation of compel."""
        for text, weight in pieces:
            if not 0 < weight <= MOST:
                raise ValueError(f"the weight of {text!r} must be above 0 and at most 2: {weight}")
        made = super().__new__(cls, "".join(_written(*piece) for piece in pieces))
        made.pieces = tuple((text, float(weight)) for text, weight in pieces)
        return made

    @property
    def plain(self) -> str:
        """The text without its weights."""
        return "".join(text for text, _ in self.pieces)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WeightedText) and self.pieces == other.pieces

    def __ne__(self, other: object) -> bool:  # str has its own
        return not self == other

    def __hash__(self) -> int:
        return hash(self.pieces)

    def __getnewargs__(self) -> Any:  # for copy and pickle
        return (self.pieces,)


def weighted(pieces: Sequence[tuple[str, float]]) -> str:
    """Return the text of weighted pieces; it is plain if all weights are 1."""
    said = [(text, weight) for text, weight in pieces if text]
    if all(weight == 1 for _, weight in said):
        return "".join(text for text, _ in said)
    return WeightedText(said)


def plain(text: str) -> str:
    """Return a text without its weights, if it has any."""
    return text.plain if isinstance(text, WeightedText) else text


def _written(text: str, weight: float) -> str:
    escaped = text.replace("(", r"\(").replace(")", r"\)")
    return escaped if weight == 1 else f"({escaped}){weight:g}"


def refuse_weights(name: str, *texts: str) -> None:
    """Refuse weighted texts for a model that does not support them.

    Raises:
        ValueError: if a text has weights.
    """
    for text in texts:
        if isinstance(text, WeightedText):
            raise ValueError(
                f"{name} takes no weights of words, as in {str(text)!r}: leave 'emphasis' out of "
                "the space; Stable Diffusion 1 and 2 and the toy models take them"
            )
