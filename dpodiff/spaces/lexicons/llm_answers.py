"""Parsing of a language model's answer: words with their alternatives, cleaned.

An answer is JSON with a schema, or lines "A -> B, C". Its content is untrusted, so it is read in
linear time, and only short words and phrases are kept.
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from dpodiff.checks import is_writable

ARROW = re.compile(r"->|→")
BULLET = re.compile(r"[-*•]\s+|\d+[.)]\s*")  # 1. A -> B, C
QUOTES = " \t\"'`*“”‘’."
NOTHING = ("", "none", "n/a")  # texts for no alternative
MARKUP = frozenset("<>{}[]|\\,;")  # not in words; a comma separates the words of a negative prompt
MOST_LETTERS = 60  # characters of a word or phrase
MOST_OTHERS = 20  # alternatives of a word
MOST_WORDS = 500  # words of a prompt

Words = dict[str, list[str]]


class Answer(NamedTuple):
    """The words of an answer, and the rejected texts."""

    words: Words
    left_out: list[str]


def read_answer(text: str, clean: Callable[[str], str] = str) -> Answer | None:
    """Return the words of an answer, which may have prose around them; None if it is invalid.

    Args:
        text: text of the answer.
        clean: function that is applied to each word first.
    """
    items = _from_json(text)
    if items is None:
        items = _from_lines(text)
    return None if items is None else _cleaned(items, clean)


def checked_words(value: Any) -> Words | None:
    """Return the words from a file, cleaned; None if the content is invalid."""
    if not isinstance(value, dict):
        return None
    good = all(isinstance(others, list) and _are_texts(others) for others in value.values())
    return _cleaned(value.items(), str).words if good else None


def _from_json(text: str) -> list[tuple[str, list[str]]] | None:
    """Return the words of a JSON answer with the schema; None if it is invalid."""
    try:
        items = json.loads(text[text.index("{") : text.rindex("}") + 1])["substitutes"]
        words = [(item["word"], item["others"]) for item in items]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    good = all(isinstance(others, list) and _are_texts([word, *others]) for word, others in words)
    return words if good else None


def _from_lines(text: str) -> list[tuple[str, list[str]]] | None:
    """Return the words of the lines "A -> B, C"; None if there are no such lines."""
    found = []
    for line in text.splitlines():
        word, *others = ARROW.split(line.strip(), maxsplit=1)
        if word.strip() and others and others[0].strip():
            found.append((BULLET.sub("", word, count=1), others[0].split(",")))
    return found or None


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _cleaned(items: Iterable[tuple[str, list[str]]], clean: Callable[[str], str]) -> Answer:
    """Return the items without quotes, line breaks, markup, and words without alternatives."""
    words: Words = {}
    left_out: list[str] = []

    def bare(text: str) -> str:
        return " ".join(clean(text).split()).strip(QUOTES)

    for word, others in items:
        word, others = bare(word), [bare(other) for other in others]
        others = [other for other in others if other.lower() not in NOTHING]
        if not (word and others):
            continue
        good = [other for other in others if _is_word(other)][:MOST_OTHERS]
        left_out += [other for other in others if other not in good]
        if not _is_word(word) or (word not in words and len(words) == MOST_WORDS):
            left_out.append(word)
        elif good:
            words[word] = good
    return Answer(words, left_out)


def _is_word(text: str) -> bool:
    short = len(text) <= MOST_LETTERS and text.isprintable() and is_writable(text)
    return short and MARKUP.isdisjoint(text)
