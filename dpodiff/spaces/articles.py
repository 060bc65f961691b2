"""The article before a changed word: "a red ball" and "an orange ball"."""

import re
from collections.abc import Sequence

ARTICLE = re.compile(r"\b(?P<a>a)n?(?P<space>\s*)$", re.IGNORECASE)  # right before a word
# Words whose sound differs from their first letter: "a unicorn", "an hour".
CONSONANT = re.compile(
    r"(uni(?!n|m)|use|usu|util|ute|uku|uran|eu|ewe|one\b|once|ubiq)", re.IGNORECASE
)
SILENT_H = re.compile(r"(hour|honest|honor|honour|heir)", re.IGNORECASE)

Piece = tuple[str, float]  # a text and its weight


def with_article(start: str, text: str) -> str:
    """Return the start of a prompt, with its last "a" or "an" in the form for the next text.

    Examples:
        >>> from dpodiff.spaces.articles import with_article
        >>> with_article("a photo of a ", "orange"), with_article("An ", "unicorn")
        ('a photo of an ', 'A ')
    """
    article = ARTICLE.search(start)
    if article is None:
        return start
    n = "n" if _starts_with_vowel(text.lstrip()) else ""
    return f"{start[: article.start()]}{article['a']}{n}{article['space']}"


def repaired(pieces: Sequence[Piece], changed: Sequence[int]) -> list[Piece]:
    """Return the pieces of a prompt with the right article before each changed piece.

    Args:
        pieces: texts in order, each with its weight.
        changed: indices of the pieces whose text changed, no two of them adjacent.
    """
    found = list(pieces)
    for number in changed:
        start, weight = found[number - 1]
        rest = "".join(text for text, _ in pieces[number:])
        if rest.strip():
            found[number - 1] = (with_article(start, rest), weight)
    return found


def _starts_with_vowel(text: str) -> bool:
    if CONSONANT.match(text):
        return False
    return text[:1].lower() in {*"aeiou"} or SILENT_H.match(text) is not None
