"""Contrast prompts: the user's prompt with one word replaced, or two words exchanged.

A CLIP loss compares an image with its prompt only. An image that fits "a blue fish" fits "a purple
fish" nearly as well, so the loss hardly depends on the wrong color. A more sensitive test is
whether the image fits the prompt better than each prompt that differs in one word (TextNorm, Kim et
al., 2024, arXiv 2404.01863). These words are the opposites of the antonym space.
"""

import itertools
import re
from typing import NamedTuple

from dpodiff.checks import check_prompt_text, check_whole
from dpodiff.spaces.articles import with_article
from dpodiff.spaces.lexicons import Lexicon
from dpodiff.spaces.lexicons.base import check_words, for_prompt, normal
from dpodiff.spaces.lexicons.builders import absent_from, known_pieces
from dpodiff.spaces.lexicons.keywords import WORD

MOST_OPPOSITES = 5  # opposites per word
LIST = re.compile(r",\s*and\b|,|;|\band\b", re.IGNORECASE)  # between the members of a list


class Contrast(NamedTuple):
    """A contrast prompt, which differs from the user's prompt in one statement.

    Attributes:
        prompt: the changed prompt.
        old: the changed words of the user's prompt.
        new: the words that replace them.

    Examples:
        >>> lexicon = dpodiff.Dictionary(antonyms={"red": ["green"]})
        >>> dpodiff.contrast_prompts("a red cup", lexicon)
        [Contrast(prompt='a green cup', old='red', new='green')]
    """

    prompt: str
    old: str
    new: str


def contrast_prompts(
    prompt: str, lexicon: Lexicon, *, most: int = MOST_OPPOSITES
) -> list[Contrast]:
    """Return contrast prompts: with opposites of the prompt's words, and with words exchanged.

    Two words are exchanged if they are of one kind: one is an opposite of the other, or they share
    an opposite. So "a red ball on a blue box" has the contrasts "a green ball on a blue box" and "a
    blue ball on a red box". There is no exchange within a list: "a blue cup and a red cup" means
    the same as "a red cup and a blue cup".

    Args:
        prompt: the user's prompt.
        lexicon: lexicon of opposites.
        most: largest number of opposites per word.

    Returns:
        the contrasts in the order of the changed words; empty if the lexicon has no opposites.

    Raises:
        ValueError: if an argument is invalid, or the prompt is too long.

    Examples:
        >>> antonyms = {"red": ["green"], "blue": ["green", "pink"]}
        >>> lexicon = dpodiff.Dictionary(antonyms=antonyms)
        >>> for contrast in dpodiff.contrast_prompts("a red cup, a blue cup", lexicon):
        ...     print(contrast.prompt)
        a green cup, a blue cup
        a red cup, a green cup
        a red cup, a pink cup
    """
    check_prompt_text("prompt", prompt)
    check_words("lexicon", lexicon)
    check_whole("most", most, 0)
    pieces = list(known_pieces(prompt, for_prompt(lexicon, prompt).antonyms))
    absent = absent_from(prompt)
    found = [
        Contrast(_replaced(prompt, [(place, opposite)]), prompt[place], opposite)
        for place, opposites in pieces
        for opposite in [*filter(absent, opposites)][:most]
    ]
    for (first, of_first), (second, of_second) in itertools.combinations(pieces, 2):
        one, other = prompt[first], prompt[second]
        if normal(one) == normal(other) or not _same_kind(one, of_first, other, of_second):
            continue
        if not _only_reorders(prompt, first, second):
            swapped = _replaced(prompt, [(first, other), (second, one)])
            found.append(Contrast(swapped, f"{one}, {other}", f"{other}, {one}"))
    return found


def _same_kind(one: str, of_one: list[str], other: str, of_other: list[str]) -> bool:
    first, second = set(map(normal, of_one)), set(map(normal, of_other))
    return normal(one) in second or normal(other) in first or not first.isdisjoint(second)


def _only_reorders(prompt: str, first: slice, second: slice) -> bool:
    """Return whether two pieces are in corresponding places of neighbors in a list."""
    parts = LIST.split(prompt[first.stop : second.start])
    if len(parts) != 2:
        return False
    before = LIST.split(prompt[: first.start])[-1]
    after, tail = WORD.findall(prompt[second.stop :]), WORD.findall(parts[0])
    return _same_words(before, parts[1]) and after[: len(tail)] == tail


def _same_words(one: str, other: str) -> bool:
    words = [
        ["a" if word == "an" else word for word in WORD.findall(t.lower())] for t in (one, other)
    ]
    return words[0] == words[1]


def _replaced(prompt: str, changes: list[tuple[slice, str]]) -> str:
    """Return the prompt with other texts at some places, from left to right."""
    for place, text in reversed(changes):
        prompt = with_article(prompt[: place.start], text) + text + prompt[place.stop :]
    return prompt
