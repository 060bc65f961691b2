"""The search space: a prompt with slots, and candidates as tuples of indices.

All discrete methods of the book search such a space. A slot of the positive prompt offers other
wordings of one of its pieces (DPO-Diff's synonym space). A slot of the negative prompt offers words
to avoid (its antonym space and its negative prompt library). Other slots add modifiers to the
positive prompt, or choose the weights of its words, the guidance, and the steps in which the
negative prompt acts. A candidate has one choice per slot, and index 0 leaves the slot unchanged.
Solvers use indices only; `Space.decode` returns the texts.
"""

import html
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np

from dpodiff.checks import (
    check_each,
    check_kind,
    check_share,
    check_text,
    check_texts,
    check_whole,
    shown,
)
from dpodiff.spaces.decoding import (
    changes,
    check_overlaps,
    negative_text,
    placed,
    positive_text,
)
from dpodiff.spaces.prompts import Prompts, prompts_of
from dpodiff.spaces.slots import WINDOW_SIDES, Slot, field, slot_from_json

Candidate = tuple[int, ...]

JSON_VERSION = 1


@dataclass(frozen=True)
class Space:
    """The product of the slots of one prompt; iteration yields all candidates.

    Args:
        prompt: the user's prompt.
        slots: slots in the order of a candidate's indices.
        negative_prompt: the user's own negative prompt, which negative slots extend.
        articles: whether "a" or "an" directly before a changed piece is adapted to it: "a red
            ball", "an orange ball".

    Raises:
        ValueError: if the text of a positive or an emphasis slot is not in the prompt, or two slots
            of one side overlap; if an emphasis slot extends beyond a positive one; if there are two
            slots for the guidance or for one end of the window; or if the window may end before it
            starts.

    Examples:
        >>> synonyms = dpodiff.Slot("ball", ("ball", "sphere"))
        >>> library = dpodiff.Slot("", ("", "blurry", "ugly"), "negative")
        >>> space = dpodiff.Space("a red ball", (synonyms, library), negative_prompt="dark")
        >>> space.size, space.identity
        (6, (0, 0))
        >>> space.decode((1, 2))
        Prompts(positive='a red sphere', negative='dark, ugly')
    """

    prompt: str
    slots: tuple[Slot, ...] = ()
    negative_prompt: str = ""
    articles: bool = False

    def __post_init__(self) -> None:
        check_text("the prompt of a space", self.prompt)
        check_text("the negative prompt of a space", self.negative_prompt)
        check_each("the slots of a space", self.slots, _check_slot)
        object.__setattr__(self, "slots", tuple(placed(self.prompt, self.slots)))
        check_overlaps(self.prompt, self.slots)
        for side in ("guidance", *WINDOW_SIDES):
            if sum(slot.side == side for slot in self.slots) > 1:
                raise ValueError(f"a space has at most one {side} slot")
        starts, ends = (
            [float(x) for slot in self.slots if slot.side == side for x in slot.choices[1:]]
            for side in WINDOW_SIDES
        )
        if starts and ends and max(starts) >= min(ends):
            raise ValueError(
                f"the window may start at {max(starts):g} and end at {min(ends):g}: "
                "each start must be below each end"
            )

    def __add__(self, other: "Space") -> "Space":
        """Return the space with the slots of both; articles are adapted if they are in one of them.

        Raises:
            ValueError: if the prompts or the negative prompts differ.
        """
        for name in ("prompt", "negative_prompt"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise ValueError(f"spaces add only on one {name}, not {ours!r} and {theirs!r}")
        articles = self.articles or other.articles
        return replace(self, slots=self.slots + other.slots, articles=articles)

    def __iter__(self) -> Iterator[Candidate]:
        return itertools.product(*map(range, self._sizes.tolist()))

    def _repr_html_(self) -> str:
        """Return a table of the slots, with escaped texts."""
        import pandas as pd

        rows = [(slot.side, slot.text, " | ".join(map(str, slot.choices))) for slot in self.slots]
        table = pd.DataFrame(rows, columns=["side", "text", "choices"]).to_html(index=False)
        return f"<p>{html.escape(self.prompt)}: {self.size} candidates</p>{table}"

    @cached_property
    def size(self) -> int:
        """The number of candidates."""
        return math.prod(self._sizes.tolist())  # eq. (spaces-size)

    @property
    def identity(self) -> Candidate:
        """The candidate that leaves the user's prompts unchanged."""
        return (0,) * len(self.slots)

    def decode(self, candidate: Candidate) -> Prompts:
        """Return the prompts of a candidate; `GuidedPrompts` with a guidance or a window.

        Without a negative prompt a window has no effect and is left out.

        Raises:
            ValueError: if the candidate does not have one valid index per slot.
        """
        self.check(candidate)
        positive = positive_text(self.prompt, self.slots, candidate, articles=self.articles)
        negative = negative_text(self.negative_prompt, self.slots, candidate)
        guidance, start, end = (
            next(map(float, changes(self.slots, candidate, side)), None)
            for side in ("guidance", *WINDOW_SIDES)
        )
        has_window = bool(negative) and (start is not None or end is not None)
        window = (start or 0.0, end or 1.0) if has_window else None
        return prompts_of(positive, negative, guidance, window)

    def choose(self, words: Sequence[str]) -> Candidate:
        """Return the candidate with these choices, each in the first free slot that offers it.

        Args:
            words: choices of different slots, compared without case.

        Raises:
            ValueError: if no free slot offers a word; the message names it.

        Examples:
            >>> space = dpodiff.nplib_space("a red ball", ["blurry", "dark", "ugly"], slots=2)
            >>> space.choose(["ugly", "blurry"])
            (1, 1)
        """
        check_texts("words", words)
        candidate = [0] * len(self.slots)
        for word in words:
            places = (
                (place, slot.choices.index(choice))
                for place, slot in enumerate(self.slots)
                for choice in slot.choices[1:]
                if candidate[place] == 0 and choice.casefold() == word.casefold()
            )
            place, index = next(places, (-1, 0))
            if place < 0:
                raise ValueError(
                    f"{word!r} is not a choice of a free slot of {self.prompt!r}: one per slot"
                )
            candidate[place] = index
        return tuple(candidate)

    def sample(self, rng: np.random.Generator) -> Candidate:
        """Return a candidate drawn uniformly from the whole space.

        Raises:
            ValueError: if `rng` is not a numpy generator.
        """
        _check_rng(rng)
        return tuple(rng.integers(self._sizes).tolist())

    def sample_near(self, rng: np.random.Generator, most: int = 3) -> Candidate:
        """Return a candidate that changes 1 to `most` slots of the user's prompts.

        The number of slots, the slots, and their choices are drawn uniformly. The identity is
        returned only if no slot has a second choice.

        Raises:
            ValueError: if `rng` is not a numpy generator, or `most` is below 1.
        """
        _check_rng(rng)
        check_whole("most", most, 1)
        free = np.flatnonzero(self._sizes > 1)
        candidate = np.zeros(len(self.slots), dtype=int)
        if len(free):
            count = rng.integers(1, min(most, len(free)) + 1)
            changed = rng.choice(free, size=count, replace=False)
            candidate[changed] = rng.integers(1, self._sizes[changed])
        return tuple(candidate.tolist())

    def mutate(
        self, candidate: Candidate, rng: np.random.Generator, rate: float = 0.1
    ) -> Candidate:
        """Change each slot with probability `rate`, and at least one slot.

        The candidate is returned unchanged only if no slot has a second choice.

        Raises:
            ValueError: if the candidate does not fit the space, `rng` is not a numpy generator, or
                the rate is not a share.
        """
        self.check(candidate)
        _check_rng(rng)
        check_share("rate", rate)
        free = self._sizes > 1
        if not free.any():
            return candidate
        # On average eq. (spaces-mutation) slots change.
        change = free & (rng.random(len(free)) < rate)
        if not change.any():
            change[rng.choice(np.flatnonzero(free))] = True
        step = rng.integers(1, np.maximum(self._sizes, 2))  # 1 .. size - 1, so the choice changes
        return tuple(((candidate + change * step) % self._sizes).tolist())

    def crossover(self, a: Candidate, b: Candidate, rng: np.random.Generator) -> Candidate:
        """Return a child with each slot from one of its two parents, with equal probability.

        Raises:
            ValueError: if a parent does not fit the space, or `rng` is not a numpy generator.
        """
        self.check(a)
        self.check(b)
        _check_rng(rng)
        return tuple(np.where(rng.random(len(a)) < 0.5, a, b).astype(int).tolist())

    def to_json(self) -> dict[str, Any]:
        """Return the space as data for JSON, which `from_json` reads."""
        return {
            "version": JSON_VERSION,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "slots": [asdict(slot) | {"choices": list(slot.choices)} for slot in self.slots],
            **({"articles": True} if self.articles else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Space":
        """Return the space from the data of `to_json`.

        Raises:
            ValueError: if a field is missing or wrong; the message names it, and its slot if any.
        """
        if (version := field(data, "version", int, "space")) != JSON_VERSION:
            raise ValueError(f"space: version {version} is not known, only {JSON_VERSION} is")
        return cls(
            prompt=field(data, "prompt", str, "space"),
            negative_prompt=field(data, "negative_prompt", str, "space"),
            slots=tuple(
                slot_from_json(slot, f"slots[{index}]")
                for index, slot in enumerate(field(data, "slots", list, "space"))
            ),
            articles="articles" in data and field(data, "articles", bool, "space"),
        )

    def check(self, candidate: Candidate) -> None:
        """Check that a candidate belongs to this space.

        Raises:
            ValueError: if it does not have one valid index per slot.
        """
        if isinstance(candidate, str | bytes) or not isinstance(candidate, Sequence):
            raise ValueError(f"a candidate is a tuple of indices, not {shown(candidate)}")
        if len(candidate) != len(self.slots):
            raise ValueError(f"candidate {shown(candidate)} must have {len(self.slots)} indices")
        for index, slot in zip(candidate, self.slots, strict=True):
            if isinstance(index, bool) or not isinstance(index, Integral):
                raise ValueError(
                    f"candidate {shown(candidate)}: {shown(index)} is not a whole number"
                )
            if not 0 <= index < len(slot.choices):
                raise ValueError(f"candidate {shown(candidate)}: no choice {index} in the {slot}")

    @cached_property
    def _sizes(self) -> np.ndarray:  # (slots,)
        return np.array([len(slot.choices) for slot in self.slots], dtype=int)


def _check_slot(name: str, slot: Any) -> None:
    check_kind(name, slot, Slot, "a Slot")


def _check_rng(rng: Any) -> None:
    check_kind("rng", rng, np.random.Generator, "a numpy.random.Generator")
