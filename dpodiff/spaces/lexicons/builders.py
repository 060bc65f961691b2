"""From a prompt and a lexicon to a search space: DPO-Diff's synonym and antonym spaces.

The words of the prompt are read from left to right, the longest known phrase first, so "left of" is
one piece and not "left" and "of". Pieces are kept by their place in the prompt: whatever stands
between them, punctuation and spacing, is never touched. Nothing here counts tokens: a word may have
any number of them.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from dpodiff.checks import (
    check_kind,
    check_switch,
    check_text,
    check_texts,
    check_whole,
)
from dpodiff.spaces.lexicons.base import Dictionary, Lexicon, check_words, for_prompt, normal
from dpodiff.spaces.lexicons.keywords import FUNCTION_WORDS, WORD
from dpodiff.spaces.slots import SIGNS
from dpodiff.spaces.space import Slot, Space

LONGEST_PHRASE = 8  # words; language models name long ones
MOST_ALTERNATIVES = 5  # words a slot, as in DPO-Diff's synonym space


def synonym_space(
    prompt: str,
    lexicon: Lexicon,
    *,
    negative_prompt: str = "",
    locked: Sequence[str] = (),
    keywords: Sequence[str] | None = None,
    most: int = MOST_ALTERNATIVES,
    droppable: bool = False,
) -> Space:
    """Each word of the prompt that has synonyms may become one of the first `most`.

    A replacement takes over a capital first letter, and an "a" or "an" before it follows it.

    Args:
        prompt: the user's prompt.
        lexicon: where the alternatives come from.
        negative_prompt: the user's own negative prompt; it stays as it is.
        locked: words or phrases of the prompt to be left alone.
        keywords: keyword mode: only these words or phrases of the prompt, with function words about
            them, get slots; e.g. what `extract_keywords` finds. If not given, all words may.
        most: alternatives a slot; if not given 5, as in DPO-Diff.
        droppable: whether a slot may also drop its word, as DPO-Diff allows to improve a prompt. An
            attack has to keep the meaning, so there it stays False.

    Raises:
        ValueError: if a locked word or a key word does not stand in the prompt.

    Examples:
        >>> words = dpodiff.Dictionary({"red": ["crimson", "ruby"], "ball": ["sphere"]})
        >>> space = dpodiff.synonym_space("a red ball", words, droppable=True)
        >>> print(dpodiff.describe(space))
        'a red ball': 2 slots, 4 x 3 = 12 candidates
          + red: crimson | ruby | (dropped)
          + ball: sphere | (dropped)
    """
    check_switch("droppable", droppable)
    _check_lexicon_space(prompt, lexicon, negative_prompt, locked, keywords, most)
    slots = []
    known = for_prompt(lexicon, prompt).synonyms
    for match, synonyms in known_pieces(prompt, known, locked, keywords):
        text = prompt[match]
        if text[0].isupper():
            synonyms = [word[:1].upper() + word[1:] for word in synonyms]
        choices = different([text, *synonyms])[: most + 1]
        if len(choices) > 1:
            if droppable:
                choices = different([*choices, ""])
            slots.append(Slot(text, choices, "positive", start=match.start))
    articles = lexicon.articles if isinstance(lexicon, Dictionary) else True
    return Space(prompt, tuple(slots), negative_prompt, articles and bool(slots))


def antonym_space(
    prompt: str,
    lexicon: Lexicon,
    *,
    negative_prompt: str = "",
    locked: Sequence[str] = (),
    keywords: Sequence[str] | None = None,
    most: int = MOST_ALTERNATIVES,
) -> Space:
    """The negative prompt may name one of the first `most` antonyms of each word of the prompt.

    A word that the prompt repeats gets one slot. An antonym that the prompt itself asks for is no
    choice: in "a boat and a car", nothing pushes away from the car.

    Arguments and errors are those of `synonym_space`.

    Examples:
        >>> words = dpodiff.Dictionary(antonyms={"red": ["green"], "ball": ["box", "star"]})
        >>> space = dpodiff.antonym_space("a red ball", words)
        >>> print(dpodiff.describe(space))
        'a red ball': 2 slots, 2 x 3 = 6 candidates
          - red: green
          - ball: box | star
        >>> space.decode((1, 2)).negative
        'green, star'
    """
    _check_lexicon_space(prompt, lexicon, negative_prompt, locked, keywords, most)
    absent = absent_from(prompt)
    slots: dict[str, Slot] = {}
    known = for_prompt(lexicon, prompt).antonyms
    for match, antonyms in known_pieces(prompt, known, locked, keywords):
        text = normal(prompt[match])
        choices = different(["", *filter(absent, antonyms)])[: most + 1]
        if len(choices) > 1:
            slots.setdefault(text, Slot(text, choices, "negative"))
    return Space(prompt, tuple(slots.values()), negative_prompt)


def describe(space: Space) -> str:
    """A space in words: its size, then a line a slot, "+" in the positive and "-" in the negative.

    Slots of the guidance and of the window have the sign "=", and an emphasis slot "*".

    Examples:
        >>> words = dpodiff.Dictionary({"plane": ["aircraft", "jet"]}, {"red": ["green"]})
        >>> space = dpodiff.synonym_space("a red plane", words)
        >>> space += dpodiff.antonym_space("a red plane", words)
        >>> print(dpodiff.describe(space))
        'a red plane': 2 slots, 3 x 2 = 6 candidates
          + plane: aircraft | jet
          - red: green
    """
    check_kind("space", space, Space, "a Space")
    sizes = [len(slot.choices) for slot in space.slots]
    size = f"{space.size:,}" if space.size < 1e9 else f"about 10^{math.log10(space.size):.0f}"
    product = f"{' x '.join(map(str, sizes))} = " if len(sizes) > 1 else ""
    lines = [f"{space.prompt!r}: {len(sizes)} slots, {product}{size} candidates"]
    for slot in space.slots:
        choices = " | ".join(choice or "(dropped)" for choice in slot.choices[1:])
        sign = SIGNS.get(slot.side, "+")
        lines.append(f"  {sign} {slot.text or '(library)'}: {choices}")
    return "\n".join(lines)


def not_in_prompt(prompt: str, words: Iterable[str]) -> list[str]:
    """The words and phrases that do not stand in the prompt; upper and lower case are one word."""
    return [*filter(absent_from(prompt), words)]


def absent_from(prompt: str) -> Callable[[str], bool]:
    """Whether a word or phrase does not stand in the prompt, as `not_in_prompt` finds it."""
    prompt_words = f" {' '.join(normal(word) for word in WORD.findall(prompt))} "
    return lambda word: f" {normal(word)} " not in prompt_words


def _check_lexicon_space(
    prompt: str,
    lexicon: Lexicon,
    negative_prompt: str,
    locked: Sequence[str],
    keywords: Sequence[str] | None,
    most: int,
) -> None:
    check_text("prompt", prompt)
    check_words("lexicon", lexicon)
    check_text("negative_prompt", negative_prompt)
    check_texts("locked", locked)
    if keywords is not None:
        check_texts("keywords", keywords)
    check_whole("most", most, 0)


def known_pieces(
    prompt: str,
    alternatives: Callable[[str], list[str]],
    locked: Sequence[str] = (),
    keywords: Sequence[str] | None = None,
) -> Iterator[tuple[slice, list[str]]]:
    """Yield the place and the alternatives of each piece that has some, longest phrases first."""
    words = list(WORD.finditer(prompt))
    wanted, closed = _wanted_and_closed(prompt, locked, keywords)
    first = 0
    while first < len(words):
        for last in range(min(first + LONGEST_PHRASE, len(words)) - 1, first - 1, -1):
            place, piece = slice(words[first].start(), words[last].end()), range(first, last + 1)
            if wanted.isdisjoint(piece) or not closed.isdisjoint(piece):
                continue
            if not _is_phrase(words[first : last + 1], prompt):
                continue
            if others := alternatives(normal(prompt[place])):
                yield place, others
                first = last
                break
        first += 1


def _is_phrase(words: Sequence[re.Match], prompt: str) -> bool:
    """Whether nothing but spacing stands between the words."""
    return all(prompt[a.end() : b.start()].isspace() for a, b in itertools.pairwise(words))


def _wanted_and_closed(
    prompt: str, locked: Sequence[str], keywords: Sequence[str] | None
) -> tuple[set[int], set[int]]:
    """Which words, by position, a piece must hold one of, and which it must not hold.

    In keyword mode function words are neither: "left" takes along the "of" of "left of".
    """
    words = [normal(word) for word in WORD.findall(prompt)]
    closed = _positions(words, locked, "locked word", prompt)
    if keywords is None:
        return set(range(len(words))), closed
    wanted = _positions(words, keywords, "key word", prompt)
    others = {i for i, word in enumerate(words) if i not in wanted and word not in FUNCTION_WORDS}
    return wanted, closed | others


def _positions(words: list[str], phrases: Sequence[str], what: str, prompt: str) -> set[int]:
    """Which words of the prompt, by position, belong to one of the phrases."""
    indices: set[int] = set()
    for text in phrases:
        phrase = [normal(word) for word in WORD.findall(text)]
        starts = [i for i in range(len(words)) if phrase and words[i : i + len(phrase)] == phrase]
        if not starts:
            raise ValueError(f"{what} {text!r} does not stand in the prompt {prompt!r}")
        indices.update(i + offset for i in starts for offset in range(len(phrase)))
    return indices


def different(words: Sequence[str]) -> tuple[str, ...]:
    """The words without repetition, in order; upper and lower case are one word."""
    first: dict[str, str] = {}
    for word in words:
        first.setdefault(word.casefold(), word)
    return tuple(first.values())
