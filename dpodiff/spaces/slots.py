"""Slots: positions of a prompt with their alternatives."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dpodiff.checks import check_each, check_text, check_whole, shown
from dpodiff.weighted_text import MOST

Side = Literal[
    "positive", "modifier", "negative", "guidance", "emphasis", "window_start", "window_end"
]
WINDOW_SIDES: tuple[Side, Side] = ("window_start", "window_end")
# Signs before the name of a slot in tables and plots.
SIGNS = {"negative": "-", "guidance": "=", "window_start": "=", "window_end": "=", "emphasis": "*"}


@dataclass(frozen=True)
class Slot:
    """One position of a prompt with its alternatives.

    Args:
        text: the piece of the prompt that the slot may change. In a negative slot, the word that
            the choices oppose, or `""` if there is none. On other sides only a name.
        choices: the alternatives, all different. The first one changes nothing: it is `text` in a
            positive slot, and `""` in others. A later `""` in a positive slot drops the piece.
        side: "positive", a piece of the prompt; "modifier", a word after the prompt; "negative", a
            word of the negative prompt; "guidance", the weight of classifier-free guidance, with
            numbers above 1 as text; "emphasis", the weight of a piece of the prompt, with numbers
            above 0 and at most 2 as text; "window_start" and "window_end", the shares of the steps
            between which the negative prompt acts, with numbers above 0 and below 1 as text.
        start: index of the first character of `text` in the prompt, for positive and emphasis slots
            only. By default a space finds it, as whole words from left to right.

    Raises:
        ValueError: if a rule is violated; the message names the slot.

    Examples:
        >>> slot = dpodiff.Slot("red", ("red", "crimson", ""))
        >>> space = dpodiff.Space("a red ball", (slot,))
        >>> [space.decode(candidate).positive for candidate in space]
        ['a red ball', 'a crimson ball', 'a ball']
    """

    text: str
    choices: tuple[str, ...]
    side: Side = "positive"
    start: int | None = None

    def __post_init__(self) -> None:
        check_text("the text of a slot", self.text)
        check_each("the choices of a slot", self.choices, check_text)
        if self.start is not None:
            check_whole("the start of a slot", self.start, 0)
        object.__setattr__(self, "choices", tuple(self.choices))
        if self.side not in get_args(Side):
            raise ValueError(f"{self}: side must be one of {', '.join(get_args(Side))}")
        if self.in_prompt and not self.text:
            raise ValueError(
                f"{self}: a {self.side} slot needs the piece of the prompt it stands for"
            )
        if not self.in_prompt and self.start is not None:
            raise ValueError(f"{self}: a {self.side} slot has no place in the prompt, so no start")
        first = self.text if self.side == "positive" else ""
        if self.choices[:1] != (first,):
            raise ValueError(f"{self}: the first choice must be {first!r}, which changes nothing")
        if len(set(self.choices)) < len(self.choices):
            raise ValueError(f"{self}: the choices must all be different")
        if self.side == "guidance" and not all(map(_is_guidance, self.choices[1:])):
            raise ValueError(f"{self}: the choices must be numbers above 1, such as '7.5'")
        if self.side == "emphasis" and not all(map(_is_weight, self.choices[1:])):
            raise ValueError(f"{self}: the choices must be above 0 and at most 2, such as '1.2'")
        if self.side in WINDOW_SIDES and not all(map(_is_share, self.choices[1:])):
            raise ValueError(f"{self}: the choices must be above 0 and below 1, such as '0.5'")

    def __str__(self) -> str:
        return f"{self.side} slot {self.text!r} with choices {list(self.choices)}"

    @property
    def in_prompt(self) -> bool:
        """Whether it belongs to a piece of the prompt at some place."""
        return self.side in ("positive", "emphasis")

    @property
    def span(self) -> tuple[int, int]:
        """Start and end of `text` in the prompt.

        Raises:
            ValueError: if it has no place in the prompt: it is of another side, or in no space yet.
        """
        if self.start is None:
            raise ValueError(f"{self} has no place in a prompt")
        return self.start, self.start + len(self.text)


def _is_guidance(choice: str) -> bool:
    return 1 < _number(choice) < math.inf


def _is_weight(choice: str) -> bool:
    return 0 < _number(choice) <= MOST


def _is_share(choice: str) -> bool:
    return 0 < _number(choice) < 1


def _number(choice: str) -> float:
    try:
        return float(choice)
    except ValueError:
        return math.nan  # in no range


def slot_from_json(data: Any, where: str) -> Slot:
    """Return the slot from the data of a space's `to_json`.

    Raises:
        ValueError: if a field is missing or wrong; the message names it with `where`.
    """
    choices = field(data, "choices", list, where)
    if not all(isinstance(choice, str) for choice in choices):
        raise ValueError(f"{where}.choices must hold strings only, not {shown(choices)}")
    try:
        return Slot(
            text=field(data, "text", str, where),
            choices=tuple(choices),
            side=field(data, "side", str, where),
            start=field(data, "start", int | None, where),
        )
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def field(data: Any, name: str, kind: Any, where: str) -> Any:
    """Return a field of a JSON object.

    Raises:
        ValueError: if it is missing or of another type; the message names the place.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"{where} must be an object with named fields, not {shown(data)}")
    if name not in data:
        raise ValueError(f"{where} lacks the field {name!r}")
    if not isinstance(data[name], kind) or (isinstance(data[name], bool) and kind is not bool):
        kind_name = getattr(kind, "__name__", str(kind))
        raise ValueError(f"{where}.{name} must be {kind_name}, not {shown(data[name])}")
    return data[name]
