"""WordNet as a lexicon: synonyms and antonyms without a language model.

WordNet groups words into synsets, one a meaning, and links those. Synonyms are the other words of a
word's likeliest meanings, as far as they are understood in that meaning themselves. Antonyms are
linked to single words; an adjective without one borrows that of the adjective it is similar to
(huge -> large -> small), a color gets other colors, and a noun without one gets other things of the
same kind (boat -> ship, as both are vessels).

In a prompt, `tagging` says which part of speech a word has: "flies" is a noun in "two flies on a
cake". Elsewhere it is the one that it is most used in; `pos` puts right what is wrong. Words come
in the form of the word that they replace (`inflection`), the most common first. Names, Latin names,
and phrases of more words than the one they replace are left out.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpodiff.spaces.lexicons.base import Lexicon, PromptLexicon, normal
from dpodiff.spaces.lexicons.familiar import is_familiar
from dpodiff.spaces.lexicons.inflection import inflected
from dpodiff.spaces.lexicons.keywords import FUNCTION_WORDS, WORD
from dpodiff.spaces.lexicons.tagging import PLACES, is_number, tags

if TYPE_CHECKING:
    Lemma = Any  # nltk has no types, and what its code lets guess is wrong

POS = {"n": "noun", "v": "verb", "a": "adjective", "r": "adverb"}


class WordNet(PromptLexicon):
    """Synonyms and antonyms of English words and phrases, from the WordNet database.

    Function words ("in", "it") and numbers have none.

    Args:
        pos: part of speech of words of the prompt, "n", "v", "a" or "r" (adverb), where the one
            found is wrong; e.g. {"flies": "n"}.
        folder: of another WordNet database, e.g. Debian's /usr/share/wordnet or nltk's
            corpora/wordnet; if not given, the one that comes with the package. Each is read once.

    Raises:
        ValueError: a part of speech is none of these.
        FileNotFoundError: the folder lacks files of a database, saying which.

    Examples:
        >>> words = dpodiff.WordNet()
        >>> words.synonyms("planes"), words.antonyms("huge")
        (['airplanes'], ['small', 'little'])
        >>> words.in_prompt("two flies on a cake").antonyms("flies")
        ['mosquitoes']
    """

    def __init__(
        self, pos: Mapping[str, str] | None = None, folder: str | Path | None = None
    ) -> None:
        self._pos = {normal(word): tag for word, tag in (pos or {}).items()}
        for word, tag in self._pos.items():
            if tag not in POS:
                raise ValueError(f"the part of speech of {word!r} must be in {POS}, not {tag!r}")
        # Here, as nltk takes seconds to import.
        from dpodiff.spaces.lexicons.senses import Meanings
        from dpodiff.spaces.lexicons.wordnet_database import open_database

        self._meanings = Meanings(open_database(folder))

    def in_prompt(self, prompt: str) -> Lexicon:
        """The lexicon that takes each word in the part of speech that it has in this prompt.

        A word that stands there twice has the part of speech of its first place.
        """
        matches = list(WORD.finditer(prompt))
        words = [normal(match.group()) for match in matches]
        starts = [*(match.start() for match in matches), len(prompt) + 1]
        ends = [
            stop > len(prompt) or not prompt[match.end() : stop].isspace()
            for match, stop in zip(matches, starts[1:], strict=True)  # the next word's start
        ]
        found: dict[str, str] = {}
        for word, tag in zip(words, tags(words, ends, self._meanings.uses), strict=True):
            found.setdefault(word, tag)
        return _InPrompt(self, found)

    def synonyms(self, word: str) -> list[str]:
        """Other words of its meanings: the likeliest meaning first, in it the most common word."""
        return self.synonyms_as(word, self.tag(word))

    def antonyms(self, word: str) -> list[str]:
        """Opposites of its meanings, the likeliest first; without, other things of its kind."""
        return self.antonyms_as(word, self.tag(word))

    def tag(self, word: str) -> str:
        """The part of speech that a word is most used in; "" for a function word or a number."""
        word = normal(word)
        if word in self._pos:
            return self._pos[word]
        if word in FUNCTION_WORDS or is_number(word):
            return ""
        uses = {tag: self._meanings.uses(word.replace(" ", "_"), tag) for tag in POS}
        tag = max(uses, key=lambda tag: uses[tag])
        return tag if uses[tag] >= 0 else ""

    def synonyms_as(self, word: str, tag: str) -> list[str]:
        """The synonyms of a word in this part of speech; none for ""."""
        word = normal(word)
        if not tag or word in PLACES:
            return []
        return self._words(self._meanings.synonyms(word.replace(" ", "_"), tag), word, tag)

    def antonyms_as(self, word: str, tag: str) -> list[str]:
        """The antonyms of a word in this part of speech; none for ""."""
        word = normal(word)
        if word in PLACES:
            tag = "r"
        if not tag:
            return []
        return self._words(self._meanings.antonyms(word.replace(" ", "_"), tag), word, tag)

    def given(self, word: str) -> str | None:
        """The part of speech that the caller gave for a word."""
        return self._pos.get(normal(word))

    def _words(self, lemmas: Iterable["Lemma"], word: str, tag: str) -> list[str]:
        """The words of lemmas in the form of the word that they stand for, each once."""
        name = word.replace(" ", "_")
        forms = set().union(*(self._meanings.forms(name, tag) for tag in POS))
        base = self._meanings.base(name, tag)
        found: dict[str, None] = {}
        for lemma in lemmas:
            other = lemma.name().replace("_", " ")
            if lemma.name() in forms or other.count(" ") > word.count(" "):
                continue
            text = inflected(other, like=word, base=base.replace("_", " "), tag=tag)
            if text is not None and is_familiar(text):
                found.setdefault(text)
        return list(found)


class _InPrompt:
    """WordNet's words for one prompt: word -> its part of speech there."""

    def __init__(self, wordnet: WordNet, tags: Mapping[str, str]) -> None:
        self._wordnet = wordnet
        self._tags = tags

    def synonyms(self, word: str) -> list[str]:
        return self._wordnet.synonyms_as(word, self._tag(word))

    def antonyms(self, word: str) -> list[str]:
        return self._wordnet.antonyms_as(word, self._tag(word))

    def _tag(self, word: str) -> str:
        given = self._wordnet.given(word)
        if given is not None:
            return given
        word = normal(word)
        if " " not in word:
            return self._tags.get(word, "")
        parts = [self._tags.get(part, "") for part in word.split()]
        return "n" if set(parts) == {"n"} else ""  # "sports car"; a "black cat" is a marten there
