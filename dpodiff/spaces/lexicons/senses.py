"""Words of WordNet with the same meaning as a word, and with another one.

WordNet groups words into synsets, one per meaning, and counts how often each word was tagged with
each meaning. A word is a good replacement for another if both are mostly used in the same meaning:
"automobile" for "car", but not "machine", which usually means something else. Words with many
meanings, such as "hold" and "run", have no replacements, since the meaning is ambiguous.
"""

import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from dpodiff.spaces.lexicons.familiar import is_familiar, rank

if TYPE_CHECKING:
    Lemma = Synset = Any  # nltk has no types, and inferred ones are wrong
    Reader = Any

PLAIN = re.compile(r"[a-z]+(?:_[a-z]+)*")  # no names, no Latin, no numbers, no "saw-like"
SURE = 1 / 2  # share of a word's uses that makes a meaning clear without context
LIKELY = 1 / 4  # share of a word's uses that makes a visible thing its likely meaning
FEW = 8  # largest number of kinds below a kind that is narrow
SIBLINGS = 80  # largest number of kinds below a kind whose members are contrasts
NEAR = 3  # number of words that are only close
LENIENT = 2  # uses as another part of speech that are ignored
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
        self._counts: dict[str, int] = {}  # by the key of a lemma; nltk compares lemmas by name

    def forms(self, name: str, tag: str) -> set[str]:
        """Return the word and its likeliest base form."""
        return self._wordnet.forms(name, tag)

    def base(self, name: str, tag: str) -> str:
        """Return the base form of a word as this part of speech."""
        return next((form for form in self.forms(name, tag) if form != name), name)

    def sense(self, name: str, tag: str) -> "Lemma | None":
        """Return the likely meaning of a word in a prompt; None if it is ambiguous."""
        lemmas, total = self.lemmas(name, tag), self.uses(name, tag)
        if total <= 0:
            return lemmas[0] if len(lemmas) == 1 or (lemmas and tag == "n") else None
        things = [lemma for lemma in lemmas if lemma.synset().lexname() in CONCRETE]
        if tag == "n" and things and self.count(things[0]) >= LIKELY * total:
            return things[0]
        return lemmas[0] if self.count(lemmas[0]) >= SURE * total else None

    def synonyms(self, name: str, tag: str) -> list["Lemma"]:
        """Return other words of its meaning, the most common first, or else words close to it."""
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
        """Return opposites of its meaning, or else other things of its kind, most common first."""
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
        """Return words that are familiar and clear in their meaning, the most common first."""
        return self._ranked(other for other in lemmas if self._is_understood(other))

    def _ranked(self, lemmas: Iterable["Lemma"]) -> list["Lemma"]:
        return sorted(lemmas, key=lambda lemma: (-self.count(lemma), rank(lemma.name())))

    def count(self, lemma: "Lemma") -> int:
        """Return how often a word was tagged with this meaning; read once from a file."""
        key = lemma.key()
        if key not in self._counts:
            self._counts[key] = lemma.count()
        return self._counts[key]

    def _lemmas(self, name: str, tag: str) -> tuple["Lemma", ...]:
        """Return the word in each of its meanings as this part of speech, in WordNet's order."""
        forms = self.forms(name, tag)
        return tuple(
            lemma
            for synset in self._wordnet.synsets(name, tag)
            for lemma in synset.lemmas()
            if lemma.name().lower() in forms
        )

    def _uses(self, name: str, tag: str) -> int:
        """Return how often it was tagged as this part of speech; -1 if it is none."""
        lemmas = self.lemmas(name, tag)
        return sum(self.count(lemma) for lemma in lemmas) if lemmas else -1

    def _is_understood(self, lemma: "Lemma") -> bool:
        """Return whether a word is familiar, and mostly used in this meaning."""
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
        """Return the color that a word names in its first meaning as an adjective or noun."""
        return next((c.synset() for c in self.lemmas(name, "n")[:2] if _is_color(c.synset())), None)

    def _others_of_its_kind(self, synset: "Synset") -> list["Lemma"]:
        """Return other things of the same kind, the most common first."""
        kinds = synset.hypernyms() if synset.lexname() in CONTRASTED else []
        narrow = [kind for kind in kinds if len(kind.hyponyms()) <= SIBLINGS]
        others = self.common(o for kind in narrow for o in self._members(kind, synset))
        return [other for other in others if self.count(other) > 0] or others

    def _members(self, kind: "Synset", synset: "Synset") -> list["Lemma"]:
        """Return the best word of each other thing of a kind, sorted: nltk's order is random."""
        others = [other for other in kind.hyponyms() if other != synset]
        alike = [other for other in others if other.lexname() == synset.lexname()]
        best = [max(other.lemmas(), key=self.count) for other in alike]
        return sorted(best, key=lambda lemma: lemma.name())


def _is_plain(lemma: "Lemma") -> bool:
    name = lemma.name()
    return name not in OFFENSIVE and bool(PLAIN.fullmatch(name)) and is_familiar(name)


def _near(synset: "Synset") -> list["Lemma"]:
    """Return words close to a meaning: similar adjectives, or members of a noun's narrow kind."""
    if synset.pos() == "a":
        return [lemma for other in sorted(synset.similar_tos()) for lemma in other.lemmas()]
    if synset.pos() != "n" or synset.lexname() not in CONCRETE - {"noun.substance"}:
        return []
    narrow = [kind for kind in synset.hypernyms() if len(kind.hyponyms()) <= FEW]
    return [lemma for kind in narrow for lemma in kind.lemmas()]


def _is_color(synset: "Synset") -> bool:
    return any(kind.lemmas()[0].name() in COLORS for kind in synset.hypernyms())


def _of_others(synset: "Synset") -> list["Lemma"]:
    """Return opposites of the meaning's other words, or else of the adjective it is similar to."""
    found = [opposite for lemma in synset.lemmas() for opposite in lemma.antonyms()]
    if found or synset.pos() != "s":
        return found
    heads = [lemma for head in sorted(synset.similar_tos()) for lemma in head.lemmas()]
    return [opposite for lemma in heads for opposite in lemma.antonyms()]
