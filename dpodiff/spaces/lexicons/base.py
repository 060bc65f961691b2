"""The interface of lexicons, and the simplest lexicon: plain dictionaries.

DPO-Diff asks a language model for synonyms and antonyms; a thesaurus answers the same two
questions. A word may be a phrase of several words ("left of"), in lower case with single spaces.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from dpodiff.checks import check_kind, check_text, check_texts, shown

Kind = Literal["synonym", "antonym"]
KINDS: tuple[Kind, ...] = ("synonym", "antonym")


class Lexicon(Protocol):
    """A source of alternatives to words. An unknown word has none.

    Examples:
        >>> class Bright:
        ...     def synonyms(self, word):
        ...         return ["bright red"] if word == "red" else []
        ...     def antonyms(self, word):
        ...         return []
        >>> space = dpodiff.synonym_space("a red ball", Bright())
        >>> space.decode((1,)).positive
        'a bright red ball'
    """

    def synonyms(self, word: str) -> list[str]:
        """Return words of the same meaning, the best first."""
        ...

    def antonyms(self, word: str) -> list[str]:
        """Return words of opposite or contrasting meaning, the best first."""
        ...


class PromptLexicon(ABC):
    """A lexicon whose answers depend on the prompt; builders call `in_prompt`."""

    @abstractmethod
    def in_prompt(self, prompt: str) -> Lexicon:
        """Return the lexicon for the words of this prompt."""


class Dictionary:
    """A lexicon of two dictionaries from words or phrases to alternatives.

    Keys are compared without case and spacing.

    Args:
        synonyms: word or phrase -> words of the same meaning, the best first.
        antonyms: word or phrase -> words of opposite meaning, the best first.
        articles: whether "a" and "an" follow the word after them; see `Space`.

    Raises:
        ValueError: if an argument is not a mapping from words to lists of words.

    Examples:
        >>> words = dpodiff.Dictionary({"left of": ["beside"]}, {"red": ["green"]})
        >>> words.synonyms("Left  of"), words.antonyms("red"), words.antonyms("blue")
        (['beside'], ['green'], [])
    """

    def __init__(
        self,
        synonyms: Mapping[str, Sequence[str]] | None = None,
        antonyms: Mapping[str, Sequence[str]] | None = None,
        *,
        articles: bool = True,
    ) -> None:
        self.articles = articles
        self._synonyms = _checked("synonyms", synonyms)
        self._antonyms = _checked("antonyms", antonyms)

    def synonyms(self, word: str) -> list[str]:
        """Return words of the same meaning, in the given order."""
        return list(self._synonyms.get(normal(word), ()))

    def antonyms(self, word: str) -> list[str]:
        """Return words of opposite meaning, in the given order."""
        return list(self._antonyms.get(normal(word), ()))


def for_prompt(lexicon: Lexicon, prompt: str) -> Lexicon:
    """Return the lexicon for a prompt, which is often the lexicon itself."""
    return lexicon.in_prompt(prompt) if isinstance(lexicon, PromptLexicon) else lexicon


def _checked(name: str, words: Mapping[str, Sequence[str]] | None) -> dict[str, list[str]]:
    if words is None:
        return {}
    check_kind(name, words, Mapping, "a mapping from words to lists of words, or None")
    for word, others in words.items():
        check_text(f"each word of {name}", word)
        check_texts(f"{name}[{shown(word)}]", others)
    return {normal(word): list(others) for word, others in words.items()}


def check_kinds(kinds: Any) -> None:
    """Check a list of kinds of words.

    Raises:
        ValueError: if it is invalid; the message names the known kinds.
    """
    check_texts("kinds", kinds)
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"unknown kind {kind!r} of words; choose from {', '.join(KINDS)}")
    if not kinds:
        raise ValueError(f"kinds is empty; choose from {', '.join(KINDS)}")


def check_words(name: str, lexicon: Any) -> None:
    """Check that a value is a lexicon.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    methods = (getattr(lexicon, method, None) for method in ("synonyms", "antonyms"))
    if isinstance(lexicon, type) or not all(map(callable, methods)):
        raise ValueError(
            f"{name} must be a Lexicon, which has synonyms(word) and antonyms(word), "
            f"not {shown(lexicon)}"
        )


def normal(text: str) -> str:
    """Return a word or phrase in the form of lexicons: lower case, single spaces."""
    return " ".join(text.lower().split())
