"""WordNet as a lexicon: synonyms and antonyms without a language model.

WordNet groups words into synsets, one per meaning, and links them. Synonyms are the other words of
a word's likeliest meanings that are clear in that meaning themselves. Antonyms are linked to single
words. An adjective without one has that of the adjective it is similar to (huge -> large -> small),
a color has other colors, and a noun without one has other things of the same kind (boat -> ship, as
both are vessels).

In a prompt, `tagging` finds the part of speech of a word: "flies" is a noun in "two flies on a
cake". Without a prompt it is the most frequent one; `pos` corrects errors. Words have the form of
the word that they replace (`inflection`), the most common first. Names, Latin names, and phrases
with more words than the replaced one are left out.
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
    Lemma = Any  # nltk has no types, and inferred ones are wrong

POS = {"n": "noun", "v": "verb", "a": "adjective", "r": "adverb"}


class WordNet(PromptLexicon):
    """Synonyms and antonyms of English words and phrases, from the WordNet database.

    Function words ("in", "it") and numbers have none.

    Args:
        pos: corrections of parts of speech, "n", "v", "a" or "r" (adverb), by word; for example
            {"flies": "n"}.
        folder: folder of another WordNet database, such as Debian's /usr/share/wordnet or nltk's
            corpora/wordnet; the default is that of the package. Each is read once.

    Raises:
        ValueError: if a part of speech is none of these.
        FileNotFoundError: if files of the database are missing; the message names them.

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
        # Imported here, since nltk takes seconds to import.
        from dpodiff.spaces.lexicons.senses import Meanings
        from dpodiff.spaces.lexicons.wordnet_database import open_database

        self._meanings = Meanings(open_database(folder))

    def in_prompt(self, prompt: str) -> Lexicon:
        """Return the lexicon that uses each word's part of speech in this prompt.

        A repeated word has the part of speech of its first place.
        """
        matches = list(WORD.finditer(prompt))
        words = [normal(match.group()) for match in matches]
        starts = [*(match.start() for match in matches), len(prompt) + 1]
        ends = [
            stop > len(prompt) or not prompt[match.end() : stop].isspace()
            for match, stop in zip(matches, starts[1:], strict=True)  # the start of the next word
        ]
        found: dict[str, str] = {}
        for word, tag in zip(words, tags(words, ends, self._meanings.uses), strict=True):
            found.setdefault(word, tag)
        return _InPrompt(self, found)

    def synonyms(self, word: str) -> list[str]:
        """Return other words of its meanings, the likeliest meaning and most common word first."""
        return self.synonyms_as(word, self.tag(word))

    def antonyms(self, word: str) -> list[str]:
        """Return opposites of its meanings, or else other things of its kind, likeliest first."""
        return self.antonyms_as(word, self.tag(word))

    def tag(self, word: str) -> str:
        """Return a word's most frequent part of speech; "" for a function word or a number."""
        word = normal(word)
        if word in self._pos:
            return self._pos[word]
        if word in FUNCTION_WORDS or is_number(word):
            return ""
        uses = {tag: self._meanings.uses(word.replace(" ", "_"), tag) for tag in POS}
        tag = max(uses, key=lambda tag: uses[tag])
        return tag if uses[tag] >= 0 else ""

    def synonyms_as(self, word: str, tag: str) -> list[str]:
        """Return the synonyms of a word in this part of speech; none for ""."""
        word = normal(word)
        if not tag or word in PLACES:
            return []
        return self._words(self._meanings.synonyms(word.replace(" ", "_"), tag), word, tag)

    def antonyms_as(self, word: str, tag: str) -> list[str]:
        """Return the antonyms of a word in this part of speech; none for ""."""
        word = normal(word)
        if word in PLACES:
            tag = "r"
        if not tag:
            return []
        return self._words(self._meanings.antonyms(word.replace(" ", "_"), tag), word, tag)

    def given(self, word: str) -> str | None:
        """Return the part of speech that the caller gave for a word."""
        return self._pos.get(normal(word))

    def _words(self, lemmas: Iterable["Lemma"], word: str, tag: str) -> list[str]:
        """Return the words of lemmas in the form of the replaced word, each once."""
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
    """WordNet for one prompt, with the part of speech of each word."""

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
        return "n" if set(parts) == {"n"} else ""  # "sports car"; WordNet's "black cat" is a marten
