"""From the choices of a candidate to its texts, and the places of slots in the prompt."""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from dpodiff.spaces.articles import repaired
from dpodiff.spaces.slots import Side, Slot
from dpodiff.weighted_text import weighted

Span = tuple[int, int]  # of characters of the prompt
Piece = tuple[str, float]  # a text and its weight


def placed(prompt: str, slots: Sequence[Slot]) -> Iterator[Slot]:
    """Yield the slots; those in the prompt get their place, which is checked or found.

    Raises:
        ValueError: if the text of a slot is not in the prompt, or not at its place.
    """
    ends = {"positive": 0, "emphasis": 0}
    for slot in slots:
        if not slot.in_prompt:
            yield slot
            continue
        start = slot.start
        if start is None:
            whole = re.compile(rf"(?<!\w){re.escape(slot.text)}(?!\w)")
            match = whole.search(prompt, ends[slot.side])
            start = match.start() if match else -1
        if start < 0 or not prompt.startswith(slot.text, start):
            raise ValueError(f"{slot}: its text is not in the prompt {prompt!r}, or elsewhere")
        ends[slot.side] = start + len(slot.text)
        yield replace(slot, start=start)


def check_overlaps(prompt: str, slots: Sequence[Slot]) -> None:
    """Check that slots of one side do not overlap, and emphasis slots are not cut by positive ones.

    Raises:
        ValueError: if two slots do; the message names both.
    """
    pairs = [
        pair
        for side in ("positive", "emphasis")
        for pair in itertools.pairwise(slot for slot, _ in _in_text(slots, side))
        if _overlap(*pair)
    ]
    words, pieces = (
        [slot for slot, _ in _in_text(slots, side)] for side in ("emphasis", "positive")
    )
    pairs += [
        (word, piece)
        for word, piece in itertools.product(words, pieces)
        if _overlap(word, piece) and not _within(word.span, piece.span)
    ]
    if pairs:
        left, right = pairs[0]
        raise ValueError(f"{left} and {right} overlap in the prompt {prompt!r}")


def changes(slots: Sequence[Slot], candidate: Sequence[int], side: Side) -> list[str]:
    """Return the choices of the slots of a side that change something."""
    pairs = zip(slots, candidate, strict=True)
    return [slot.choices[index] for slot, index in pairs if slot.side == side and index]


def positive_text(
    prompt: str, slots: Sequence[Slot], candidate: Sequence[int], *, articles: bool
) -> str:
    """Return the prompt with the chosen texts and modifiers, weighted if a slot chooses a weight.

    Args:
        prompt: the user's prompt.
        slots: slots with their places.
        candidate: one choice per slot.
        articles: whether "a" or "an" directly before a changed piece is adapted to it.
    """
    texts = {
        slot.span: slot.choices[candidate[index]] for slot, index in _in_text(slots, "positive")
    }
    weights = _weights(slots, candidate, texts)
    texts = {span: prompt[slice(*span)] for span in weights} | texts
    pieces: list[Piece] = [("", 1.0)]
    changed, end = [], 0
    for span, text in sorted(texts.items()):
        before = prompt[end : span[0]]
        if not text:  # a dropped piece also drops the space before it, or after it
            before = before.removesuffix(" ")
        pieces += [(before, 1.0), (text, weights.get(span, 1.0))]
        if text != prompt[slice(*span)]:
            changed.append(len(pieces) - 1)
        end = span[1]
    pieces.append((prompt[end:], 1.0))
    if articles:
        pieces = repaired(pieces, changed)
    said = [piece for piece in pieces if piece[0]]
    if said and not prompt.startswith(" "):
        said[0] = (said[0][0].removeprefix(" "), said[0][1])
    modifiers = _different(changes(slots, candidate, "modifier"))
    return weighted([*said, *((f", {word}", 1.0) for word in modifiers)])


def negative_text(negative_prompt: str, slots: Sequence[Slot], candidate: Sequence[int]) -> str:
    """Return the user's negative prompt with the chosen words that it does not contain."""
    words = _different(changes(slots, candidate, "negative"), negative_prompt.split(","))
    if not words:
        return negative_prompt
    if negative_prompt.strip():
        words.insert(0, negative_prompt)
    return ", ".join(words)


def _weights(
    slots: Sequence[Slot], candidate: Sequence[int], texts: Iterable[Span]
) -> dict[Span, float]:
    """Return the chosen weights; a word within a positive slot gives it to the whole slot."""
    weights: dict[Span, float] = {}
    for word, index in _in_text(slots, "emphasis"):
        if candidate[index]:
            whole = next((span for span in texts if _within(word.span, span)), word.span)
            weights.setdefault(whole, float(word.choices[candidate[index]]))
    return weights


def _in_text(slots: Sequence[Slot], side: Side) -> list[tuple[Slot, int]]:
    """Return the slots of a side with their indices, from left to right in the prompt."""
    places = [(slot, index) for index, slot in enumerate(slots) if slot.side == side]
    return sorted(places, key=lambda place: place[0].span)


def _different(words: Sequence[str], said: Iterable[str] = ()) -> list[str]:
    """Return the words without repetitions and those that were said, compared without case."""
    seen = {word.strip().casefold() for word in said}
    found = []
    for word in words:
        if word.casefold() not in seen:
            seen.add(word.casefold())
            found.append(word)
    return found


def _overlap(one: Slot, other: Slot) -> bool:
    return one.span[0] < other.span[1] and other.span[0] < one.span[1]


def _within(one: Span, other: Span) -> bool:
    return other[0] <= one[0] and one[1] <= other[1]
