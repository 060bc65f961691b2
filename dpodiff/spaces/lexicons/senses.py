"""Which words of WordNet stand for the same as a word, and which for something else.

WordNet groups words into synsets, one a meaning, and counts how often each word was tagged with
each meaning. A word replaces another well where both are used in that meaning for the most part:
"automobile" for "car", but not "machine", which is another thing as a rule. Words of many meanings,
such as "hold" and "run", get none, as nothing here can tell which one is meant.
"""

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dpodiff.spaces.lexicons.familiar import is_familiar, rank

if TYPE_CHECKING:
    Lemma = Synset = Any  # nltk has no types, and what its code lets guess is wrong
    Reader = Any

PLAIN = re.compile(r"[a-z]+(?:_[a-z]+)*")  # no names, no Latin, no numbers, no "saw-like"
SURE = 1 / 2  # of a word's uses: a meaning that is understood without more words
LIKELY = 1 / 4  # of a word's uses: a thing, which an image shows, before an abstract meaning
FEW = 8  # kinds under a kind that is narrow enough to name its members by
SIBLINGS = 80  # kinds under a kind whose members can stand against each other
NEAR = 3  # words that are only close
LENIENT = 2  # uses as another part of speech that count for nothing
CONCRETE = frozenset(
    f"noun.{kind}" for kind in "animal artifact body food object phenomenon plant substance".split()
)
CONTRASTED = frozenset(
    f"noun.{kind}" for kind in "animal artifact food object person phenomenon plant time".split()
)
OFFENSIVE = frozenset("midget queer gay anus fetus nude cripple savage negro colored".split())
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
        self._counts: dict[str, int] = {}  # by the key of a lemma; nltk's lemmas are equal by name

    def forms(self, name: str, tag: str) -> set[str]:
        """The word and its likeliest base form."""
        return self._wordnet.forms(name, tag)

    def base(self, name: str, tag: str) -> str:
        """The base form of a word as this part of speech."""
        return next((form for form in self.forms(name, tag) if form != name), name)

    def sense(self, name: str, tag: str) -> "Lemma | None":
        """The meaning that a prompt means in all likelihood; None where that is open."""
        lemmas, total = self.lemmas(name, tag), self.uses(name, tag)
        if total <= 0:
            return lemmas[0] if len(lemmas) == 1 or (lemmas and tag == "n") else None
        things = [lemma for lemma in lemmas if lemma.synset().lexname() in CONCRETE]
        if tag == "n" and things and self.count(things[0]) >= LIKELY * total:
            return things[0]
        return lemmas[0] if self.count(lemmas[0]) >= SURE * total else None

    def synonyms(self, name: str, tag: str) -> list["Lemma"]:
        """Other words of its meaning, the most common first; without, words close to it."""
        own = self.sense(name, tag)
        if own is None:
            return []
        synset, forms = own.synset(), self.forms(name, tag)
        same = [lemma for lemma in synset.lemmas() if lemma.name() not in forms]
        found = self.common(same)
        if found or "_" in name:
            return found
        return self.common(_near(synset))[:NEAR]

    def antonyms(self, name: str, tag: str) -> list["Lemma"]:
        """Opposites of its meaning, the most common first; without, other things of its kind."""
        if tag == "a" and (color := self._color(name)):
            direct = [other for own in self.lemmas(name, tag)[:1] for other in own.antonyms()]
            others = [other for kind in color.hypernyms() for other in self._members(kind, color)]
            return direct + self._ranked(other for other in others if _is_plain(other))
        lemmas = self.lemmas(name, tag)
        direct = [other for own in lemmas[:2] for other in own.antonyms() if _is_plain(other)]
        if direct or not lemmas:
            return direct
        own = self.sense(name, tag)
        if own is None:
            return []
        return self.common(_of_others(own.synset())) or self._others_of_its_kind(own.synset())

    def common(self, lemmas: Iterable["Lemma"]) -> list["Lemma"]:
        """Words that are familiar and understood in their meaning, the most common first."""
        return self._ranked(other for other in lemmas if self._is_understood(other))

    def _ranked(self, lemmas: Iterable["Lemma"]) -> list["Lemma"]:
        return sorted(lemmas, key=lambda lemma: (-self.count(lemma), rank(lemma.name())))

    def count(self, lemma: "Lemma") -> int:
        """How often a word was tagged in this meaning; read from a file, once."""
        key = lemma.key()
        if key not in self._counts:
            self._counts[key] = lemma.count()
        return self._counts[key]

    def _lemmas(self, name: str, tag: str) -> tuple["Lemma", ...]:
        """The word in each of its meanings as this part of speech, as WordNet orders them."""
        forms = self.forms(name, tag)
        return tuple(
            lemma
            for synset in self._wordnet.synsets(name, tag)
            for lemma in synset.lemmas()
            if lemma.name().lower() in forms
        )

    def _uses(self, name: str, tag: str) -> int:
        """How often it was tagged as this part of speech; -1 if it is none."""
        lemmas = self.lemmas(name, tag)
        return sum(self.count(lemma) for lemma in lemmas) if lemmas else -1

    def _is_understood(self, lemma: "Lemma") -> bool:
        """Whether a word is familiar, and used in this meaning for the most part."""
        if not _is_plain(lemma):
            return False
        name, synset = lemma.name(), lemma.synset()
        uses = {tag: self.uses(name, tag) for tag in "nvar"}
        tag = "a" if synset.pos() == "s" else synset.pos()
        if uses[tag] == 0:
            own = self.lemmas(name, tag)[0].synset() == synset
        else:
            own = self.count(lemma) >= SURE * uses[tag]
        return own and uses[tag] + LENIENT >= SURE * max(uses.values())

    def _color(self, name: str) -> "Synset | None":
        """The color that a word names in its first meaning as an adjective or noun."""
        return next((c.synset() for c in self.lemmas(name, "n")[:2] if _is_color(c.synset())), None)

    def _others_of_its_kind(self, synset: "Synset") -> list["Lemma"]:
        """Other things of the same kind, the most common first."""
        kinds = synset.hypernyms() if synset.lexname() in CONTRASTED else []
        narrow = [kind for kind in kinds if len(kind.hyponyms()) <= SIBLINGS]
        others = self.common(o for kind in narrow for o in self._members(kind, synset))
        return [other for other in others if self.count(other) > 0] or others

    def _members(self, kind: "Synset", synset: "Synset") -> list["Lemma"]:
        """The best word of each thing of a kind but one, by name, as nltk's order is random."""
        others = [other for other in kind.hyponyms() if other != synset]
        alike = [other for other in others if other.lexname() == synset.lexname()]
        best = [max(other.lemmas(), key=self.count) for other in alike]
        return sorted(best, key=lambda lemma: lemma.name())


def _is_plain(lemma: "Lemma") -> bool:
    name = lemma.name()
    return name not in OFFENSIVE and bool(PLAIN.fullmatch(name)) and is_familiar(name)


def _near(synset: "Synset") -> list["Lemma"]:
    """Words close to a meaning: of similar adjectives, or of the narrow kind that a noun is of."""
    if synset.pos() == "a":
        return [lemma for other in sorted(synset.similar_tos()) for lemma in other.lemmas()]
    if synset.pos() != "n" or synset.lexname() not in CONCRETE - {"noun.substance"}:
        return []
    narrow = [kind for kind in synset.hypernyms() if len(kind.hyponyms()) <= FEW]
    return [lemma for kind in narrow for lemma in kind.lemmas()]


def _is_color(synset: "Synset") -> bool:
    return any(kind.lemmas()[0].name() in COLORS for kind in synset.hypernyms())


def _of_others(synset: "Synset") -> list["Lemma"]:
    """Opposites of the other words of a meaning; of the adjective it is similar to, else."""
    found = [opposite for lemma in synset.lemmas() for opposite in lemma.antonyms()]
    if found or synset.pos() != "s":
        return found
    heads = [lemma for head in sorted(synset.similar_tos()) for lemma in head.lemmas()]
    return [opposite for lemma in heads for opposite in lemma.antonyms()]
