"""Search spaces from a prompt and a lexicon: DPO-Diff's synonym and antonym spaces.

The words of the prompt are read from left to right, the longest known phrase first, so "left of" is
one piece and not "left" and "of". Pieces are identified by their place in the prompt. The text
between them, such as punctuation and spacing, does not change. Tokens are not counted: a word may
have any number of them.
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

LONGEST_PHRASE = 8  # words; language models return long phrases
MOST_ALTERNATIVES = 5  # words per slot, as in DPO-Diff's synonym space


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
    """Return a space in which words of the prompt may become one of their first `most` synonyms.

    A replacement takes over a capital first letter, and "a" or "an" before it is adapted.

    Args:
        prompt: the user's prompt.
        lexicon: source of the alternatives.
        negative_prompt: the user's own negative prompt, which does not change.
        locked: words or phrases of the prompt that must not change.
        keywords: only these words or phrases of the prompt, with function words around them, get
            slots; for example those that `extract_keywords` finds. The default is all words.
        most: largest number of alternatives per slot; the default is 5, as in DPO-Diff.
        droppable: whether a slot may also drop its word, as DPO-Diff allows when a prompt is
            improved. An attack must keep the meaning, so leave it False there.

    Raises:
        ValueError: if a locked word or a key word is not in the prompt.

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
    """Return a space in which the negative prompt may name antonyms of the prompt's words.

    Each word of the prompt has one slot with its first `most` antonyms. An antonym that the prompt
    itself contains is left out: in "a boat and a car" the car is no choice.

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
    """Return the size of a space and a line per slot, "+" for positive and "-" for negative ones.

    Slots of the guidance and the window have the sign "=", and emphasis slots "*".

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
    """Return the words and phrases that are not in the prompt, ignoring case."""
    return [*filter(absent_from(prompt), words)]


def absent_from(prompt: str) -> Callable[[str], bool]:
    """Return a function that tells whether a word or phrase is not in the prompt."""
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
    """Yield the place and the alternatives of each piece that has any, longest phrases first."""
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
    """Return whether there is only spacing between the words."""
    return all(prompt[a.end() : b.start()].isspace() for a, b in itertools.pairwise(words))


def _wanted_and_closed(
    prompt: str, locked: Sequence[str], keywords: Sequence[str] | None
) -> tuple[set[int], set[int]]:
    """Return the indices of words of which a piece needs one, and of words it must not contain.

    In keyword mode function words are in neither set: "left" may include the "of" of "left of".
    """
    words = [normal(word) for word in WORD.findall(prompt)]
    closed = _positions(words, locked, "locked word", prompt)
    if keywords is None:
        return set(range(len(words))), closed
    wanted = _positions(words, keywords, "key word", prompt)
    others = {i for i, word in enumerate(words) if i not in wanted and word not in FUNCTION_WORDS}
    return wanted, closed | others


def _positions(words: list[str], phrases: Sequence[str], what: str, prompt: str) -> set[int]:
    """Return the indices of the prompt's words that belong to one of the phrases."""
    indices: set[int] = set()
    for text in phrases:
        phrase = [normal(word) for word in WORD.findall(text)]
        starts = [i for i in range(len(words)) if phrase and words[i : i + len(phrase)] == phrase]
        if not starts:
            raise ValueError(f"{what} {text!r} is not in the prompt {prompt!r}")
        indices.update(i + offset for i in starts for offset in range(len(phrase)))
    return indices


def different(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words without repetitions, in order and ignoring case."""
    first: dict[str, str] = {}
    for word in words:
        first.setdefault(word.casefold(), word)
    return tuple(first.values())
