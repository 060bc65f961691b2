"""From a prompt and a lexicon to a search space: DPO-Diff's synonym, antonym and NPLib spaces.

The words of the prompt are read from left to right, the longest known phrase first, so "left of" is
one piece and not "left" and "of". Pieces are kept by their place in the prompt: whatever stands
between them, punctuation and spacing, is never touched.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from dpodiff.lexicons.base import Lexicon, normal
from dpodiff.space import Slot, Space

WORD = re.compile(r"\w+(?:['’-]\w+)*")  # don't, t-shirt: one word each
LONGEST_PHRASE = 4  # words; "to the left of"
MOST_ALTERNATIVES = 5  # words a slot, as in DPO-Diff's synonym space


def synonym_space(
    prompt: str, lexicon: Lexicon, *, negative_prompt: str = "", locked: Sequence[str] = ()
) -> Space:
    """Each word of the prompt that has synonyms may become one of the first five.

    A replacement takes over a capital first letter.

    Args:
        prompt: the user's prompt.
        lexicon: where the alternatives come from.
        negative_prompt: the user's own negative prompt; it stays as it is.
        locked: words or phrases of the prompt to be left alone.

    Raises:
        ValueError: if a locked word does not stand in the prompt.
    """
    slots = []
    for match, synonyms in _known_pieces(prompt, lexicon.synonyms, locked):
        text = prompt[match]
        if text[0].isupper():
            synonyms = [word[:1].upper() + word[1:] for word in synonyms]
        choices = _different([text, *synonyms])[: MOST_ALTERNATIVES + 1]
        if len(choices) > 1:
            slots.append(Slot(text, choices, "positive", start=match.start))
    return Space(prompt, tuple(slots), negative_prompt)


def antonym_space(
    prompt: str, lexicon: Lexicon, *, negative_prompt: str = "", locked: Sequence[str] = ()
) -> Space:
    """The negative prompt may name one of the first five antonyms of each word of the prompt.

    A word that the prompt repeats gets one slot. An antonym that the prompt itself asks for is no
    choice: in "a boat and a car", nothing pushes away from the car.

    Args, Raises: as in `synonym_space`.
    """
    slots: dict[str, Slot] = {}
    for match, antonyms in _known_pieces(prompt, lexicon.antonyms, locked):
        text = normal(prompt[match])
        choices = _different(["", *_not_asked_for(prompt, antonyms)])[: MOST_ALTERNATIVES + 1]
        if len(choices) > 1:
            slots.setdefault(text, Slot(text, choices, "negative"))
    return Space(prompt, tuple(slots.values()), negative_prompt)


def nplib_space(
    prompt: str, words: Sequence[str], slots: int = 4, *, negative_prompt: str = ""
) -> Space:
    """The negative prompt may name words of a library, at most one from each of `slots` parts.

    The library is cut in order into parts of nearly equal length, as in the released DPO-Diff. A
    word that the prompt itself asks for is no choice.

    Raises:
        ValueError: if there are no slots, or fewer words than slots.
    """
    library = _different(_not_asked_for(prompt, words))
    if not 1 <= slots <= len(library):
        raise ValueError(f"{len(library)} words fill 1 to {len(library)} slots, not {slots}")
    parts = np.array_split(np.array(library, dtype=object), slots)
    parts = tuple(Slot("", ("", *part), "negative") for part in parts)
    return Space(prompt, parts, negative_prompt)


def _known_pieces(
    prompt: str, alternatives: Callable[[str], list[str]], locked: Sequence[str]
) -> Iterator[tuple[slice, list[str]]]:
    """Yield the place and the alternatives of each piece that has some, longest phrases first."""
    words = list(WORD.finditer(prompt))
    closed = _locked_indices(prompt, locked)
    first = 0
    while first < len(words):
        for last in range(min(first + LONGEST_PHRASE, len(words)) - 1, first - 1, -1):
            place = slice(words[first].start(), words[last].end())
            locks = not closed.isdisjoint(range(first, last + 1))
            if locks or not _is_phrase(words[first : last + 1], prompt):
                continue
            if others := alternatives(normal(prompt[place])):
                yield place, others
                first = last
                break
        first += 1


def _is_phrase(words: Sequence[re.Match], prompt: str) -> bool:
    """Whether nothing but spacing stands between the words."""
    return all(prompt[a.end() : b.start()].isspace() for a, b in itertools.pairwise(words))


def _locked_indices(prompt: str, locked: Sequence[str]) -> set[int]:
    """Which words of the prompt, by position, are locked."""
    words = [normal(word) for word in WORD.findall(prompt)]
    indices: set[int] = set()
    for text in locked:
        phrase = [normal(word) for word in WORD.findall(text)]
        starts = [i for i in range(len(words)) if phrase and words[i : i + len(phrase)] == phrase]
        if not starts:
            raise ValueError(f"locked word {text!r} does not stand in the prompt {prompt!r}")
        indices.update(i + offset for i in starts for offset in range(len(phrase)))
    return indices


def _not_asked_for(prompt: str, words: Sequence[str]) -> list[str]:
    """The words that do not stand in the prompt."""
    asked = f" {' '.join(normal(word) for word in WORD.findall(prompt))} "
    return [word for word in words if f" {normal(word)} " not in asked]


def _different(words: Sequence[str]) -> tuple[str, ...]:
    """The words without repetition, in order; upper and lower case are one word."""
    first: dict[str, str] = {}
    for word in words:
        first.setdefault(word.casefold(), word)
    return tuple(first.values())
