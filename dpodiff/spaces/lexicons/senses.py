"""Which words of WordNet stand for the same as a word, and which for something else.

WordNet groups words into synsets, one a meaning, and counts how often each word was tagged with
each meaning. A word replaces another well where both are used in that meaning for the most part:
"automobile" for "car", but not "machine", which is another thing as a rule.
"""

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Lemma = Synset = Any  # nltk has no types, and what its code lets guess is wrong
    Reader = Any

PLAIN = re.compile(r"[a-z]+(?:[-'_][a-z]+)*")  # no names, no Latin, no numbers
OFTEN = 1 / 4  # of the uses of the most used meaning: another meaning that counts
MAINLY = 1 / 3  # of a word's uses: a meaning that is understood without more words
CONCRETE = frozenset(
    f"noun.{kind}"
    for kind in "animal artifact body food location object person phenomenon plant substance".split()
)
COLORS = ("chromatic_color", "achromatic_color")


class Meanings:
    """The meanings of words in a database.

    Args:
        wordnet: the database.
    """

    def __init__(self, wordnet: "Reader") -> None:
        self._wordnet = wordnet
        self.lemmas = functools.cache(self._lemmas)
        self.uses = functools.cache(self._uses)

    def forms(self, name: str, tag: str) -> set[str]:
        """The word and its likeliest base form."""
        return self._wordnet.forms(name, tag)

    def _lemmas(self, name: str, tag: str) -> tuple["Lemma", ...]:
        """The word in each of its meanings as this part of speech, as WordNet orders them."""
        forms = self._wordnet.forms(name, tag)
        return tuple(
            lemma
            for synset in self._wordnet.synsets(name, tag)
            for lemma in synset.lemmas()
            if lemma.name().lower() in forms
        )

    def _uses(self, name: str, tag: str) -> int:
        """How often it was tagged as this part of speech; -1 if it is none."""
        lemmas = self.lemmas(name, tag)
        return sum(lemma.count() for lemma in lemmas) if lemmas else -1

    def senses(self, name: str, tag: str) -> list["Lemma"]:
        """The meanings that a prompt may mean, the likeliest first."""
        lemmas = self.lemmas(name, tag)
        if not lemmas:
            return []
        most = max(lemma.count() for lemma in lemmas)
        found = [lemma for lemma in lemmas if lemma.count() >= OFTEN * max(most, 1)]
        found = found or [lemmas[0]]
        if tag == "n":  # an image shows things
            found.sort(key=lambda lemma: lemma.synset().lexname() not in CONCRETE)
        return found

    def is_understood(self, lemma: "Lemma") -> bool:
        """Whether a word is used in this meaning for the most part."""
        name, synset = lemma.name().lower(), lemma.synset()
        tag = "a" if synset.pos() == "s" else synset.pos()
        own = self.lemmas(name, tag)
        count, total = lemma.count(), self.uses(name, tag)
        if total <= 0:
            return bool(own) and own[0].synset() == synset
        return count >= MAINLY * total

    def familiarity(self, lemma: "Lemma") -> tuple[int, int]:
        """How common a word is: its tagged uses, and its meanings, of which common words have more."""
        name = lemma.name().lower()
        counts = [max(self.uses(name, tag), 0) for tag in "nvar"]
        return sum(counts), sum(len(self.lemmas(name, tag)) for tag in "nvar")

    def sorted(self, lemmas: Iterable["Lemma"]) -> list["Lemma"]:
        """Words that can stand in a prompt, the most common first."""
        plain = [lemma for lemma in lemmas if PLAIN.fullmatch(lemma.name())]
        return sorted(plain, key=lambda lemma: (*(-n for n in self.familiarity(lemma)), lemma.name()))

    def synonyms(self, name: str, tag: str) -> list["Lemma"]:
        """Words of its meanings that are understood so, the likeliest meaning first."""
        return [
            lemma
            for own in self.senses(name, tag)
            for lemma in self.sorted(own.synset().lemmas())
            if self.is_understood(lemma)
        ]

    def base(self, name: str, tag: str) -> str:
        """The base form of a word as this part of speech."""
        return next((form for form in self.forms(name, tag) if form != name), name)

    def antonyms(self, name: str, tag: str) -> list["Lemma"]:
        """Opposites of its meanings, the likeliest meaning first."""
        senses = self.senses(name, tag)
        return [opposite for own in senses for opposite in own.antonyms()]
