"""WordNet as a lexicon: synonyms and antonyms without a language model.

WordNet groups words into synsets, one a meaning, and links those. Synonyms are the other words of a
word's synsets. Antonyms are linked to single words; an adjective without one borrows that of the
adjective it is similar to (huge -> large -> small), and a noun without one gets its co-hyponyms,
other things of the same kind (boat -> ship, as both are vessels).

Nothing here parses the prompt. A word is taken in the part of speech that it is most used in, by
WordNet's own counts, so "flies" is a verb in "two flies on a cake" too; `pos` puts that right.
Meanings that make up less than 1 in 20 of its uses are left out. Plurals and verb forms are found
by their base form, and the answers are base forms.

WordNet 3.0 comes with the package, without its glosses: see `wordnet_extract`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpodiff.spaces.lexicons.base import normal
from dpodiff.spaces.lexicons.keywords import FUNCTION_WORDS

if TYPE_CHECKING:
    Lemma = Synset = Any  # nltk has no types, and what its code lets guess is wrong

POS = {"n": "noun", "v": "verb", "a": "adjective", "r": "adverb"}
RARE = 1 / 20  # of a word's uses; ball: no testicles


class WordNet:
    """Synonyms and antonyms of English words and phrases, from the WordNet database.

    Function words ("in", "it") have none; WordNet knows only their rare senses (indium).

    Args:
        pos: part of speech of words of the prompt, "n", "v", "a" or "r" (adverb), where the most
            used one is wrong; e.g. {"flies": "n"}.
        folder: of another WordNet database, e.g. Debian's /usr/share/wordnet or nltk's
            corpora/wordnet; if not given, the one that comes with the package. Each is read once.

    Raises:
        ValueError: a part of speech is none of these.
        FileNotFoundError: the folder lacks files of a database, saying which.

    Examples:
        >>> words = dpodiff.WordNet()
        >>> words.synonyms("plane"), words.antonyms("huge")
        (['airplane', 'aeroplane', 'sheet'], ['small', 'little'])
        >>> dpodiff.WordNet(pos={"flies": "n"}).antonyms("flies")[:3]
        ['mosquito', 'crane fly', 'fruit fly']
    """

    def __init__(
        self, pos: Mapping[str, str] | None = None, folder: str | Path | None = None
    ) -> None:
        self._pos = {normal(word): tag for word, tag in (pos or {}).items()}
        for word, tag in self._pos.items():
            if tag not in POS:
                raise ValueError(f"the part of speech of {word!r} must be in {POS}, not {tag!r}")
        # Here, as nltk takes seconds to import.
        from dpodiff.spaces.lexicons.wordnet_database import open_database

        self._wordnet = open_database(folder)

    def synonyms(self, word: str) -> list[str]:
        """Other words of its meanings: the most used meaning first, in it the most used word."""
        lemmas = [
            lemma
            for own in self._senses(word)
            for lemma in sorted(own.synset().lemmas(), key=lambda lemma: -lemma.count())
        ]
        return self._words(lemmas, word)

    def antonyms(self, word: str) -> list[str]:
        """Opposites of its meanings, the most used first; for a noun without, its co-hyponyms."""
        senses = self._senses(word)
        found = [opposite for own in senses for opposite in own.antonyms()]
        found += [opposite for own in senses for opposite in _of_others(own.synset())]
        if not found and senses and senses[0].synset().pos() == "n":
            found = next(filter(None, (_co_hyponyms(own.synset()) for own in senses)), [])
        return self._words(found, word)

    def _senses(self, word: str) -> list["Lemma"]:
        """The word in each of its meanings, the most used first; all of one part of speech."""
        word = normal(word)
        if word in FUNCTION_WORDS:
            return []
        tags = self._pos.get(word, "".join(POS))
        by_pos = [self._lemmas(word.replace(" ", "_"), tag) for tag in tags]
        senses = max(by_pos, key=lambda lemmas: (_uses(lemmas), bool(lemmas)))
        fewest = RARE * _uses(senses)
        return [lemma for lemma in senses if lemma.count() >= fewest]

    def _lemmas(self, name: str, tag: str) -> list["Lemma"]:
        forms = self._wordnet.forms(name, tag)
        synsets: list[Synset] = self._wordnet.synsets(name, tag)
        return [
            lemma
            for synset in synsets
            for lemma in synset.lemmas()
            if lemma.name().lower() in forms
        ]

    def _words(self, lemmas: Iterable["Lemma"], word: str) -> list[str]:
        """The words of lemmas, each once, without any form of the word they stand for."""
        name = normal(word).replace(" ", "_")
        forms = set().union(*(self._wordnet.forms(name, tag) for tag in POS))
        names: dict[str, str] = {}
        for lemma in lemmas:
            if lemma.name().lower() not in forms:
                names.setdefault(lemma.name().lower(), lemma.name().replace("_", " "))
        return list(names.values())


def _uses(lemmas: Iterable["Lemma"]) -> int:
    """How often they occur, in these meanings, in the texts that WordNet's makers tagged."""
    return sum(lemma.count() for lemma in lemmas)


def _of_others(synset: "Synset") -> list["Lemma"]:
    """Opposites of the other words of a meaning; of the adjective it is similar to, else."""
    found = [opposite for lemma in synset.lemmas() for opposite in lemma.antonyms()]
    if found or synset.pos() != "s":
        return found
    heads = [lemma for head in sorted(synset.similar_tos()) for lemma in head.lemmas()]
    return [opposite for lemma in heads for opposite in lemma.antonyms()]


def _co_hyponyms(synset: "Synset") -> list["Lemma"]:
    """The best word of each other thing of the same kind, the most used first, then by name."""
    kin = [other for kind in synset.hypernyms() for other in kind.hyponyms() if other != synset]
    best = [max(other.lemmas(), key=lambda lemma: lemma.count()) for other in kin]
    return sorted(best, key=lambda lemma: (-lemma.count(), lemma.name()))  # nltk's order is random
