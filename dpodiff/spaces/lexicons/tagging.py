"""Parts of speech of the words of a prompt, from WordNet and neighboring words.

Each word has the parts of speech that WordNet knows, weighted by how often they were tagged. The
words before and after it change the weights: an article is followed by a noun or an adjective, an
adjective by a noun, and a word in -ing after a noun is a verb. The weights are set by hand. Nothing
is downloaded.
"""

from collections.abc import Callable, Sequence

from dpodiff.spaces.lexicons.keywords import FUNCTION_WORDS

Counts = Callable[[str, str], float]  # uses of a word as a part of speech; negative: none
TAGS = "nvar"

DETERMINERS = frozenset(
    """
    a an the this that these those my your his her its our their some any each every both no all
    many several few another other such
    """.split()
)
PRONOUNS = frozenset("i you he she it we they who which that".split())
MODALS = frozenset("can could may might must shall should will would do does did to please".split())
FORMS_OF_BE = frozenset("am is are was were be been being looks seems".split())
PLACES = frozenset(
    """
    above below under underneath beneath over behind beside besides between among amid near against
    across around inside outside before after within beyond next past opposite like unlike atop
    """.split()
)
NUMBERS = frozenset(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety
    hundred thousand million billion dozen dozens hundreds thousands half
    first second third fourth fifth sixth seventh eighth ninth tenth last
    """.split()
)
REQUESTS = frozenset(
    """
    please draw make show give create imagine want need generate design paint love get see have
    looking like
    """.split()
)
CLOSED = FUNCTION_WORDS | DETERMINERS | PLACES | NUMBERS


def is_number(word: str) -> bool:
    """Return whether a word in lower case is a number, in letters or in digits."""
    return word in NUMBERS or word[:1].isdigit()


def tags(words: Sequence[str], ends: Sequence[bool], counts: Counts) -> list[str]:
    """Return the parts of speech: "n", "v", "a", "r" (adverb), or "" for a function word.

    Args:
        words: words of a prompt, in lower case.
        ends: for each word, whether punctuation or the end of the prompt follows.
        counts: function that returns how often WordNet tagged a word as a part of speech; -1 if
            never.

    Examples:
        >>> from dpodiff.spaces.lexicons.tagging import tags
        >>> counts = lambda word, tag: {"flies": {"n": 3, "v": 40}}.get(word, {}).get(tag, -1)
        >>> tags(["two", "flies"], [False, True], counts)
        ['', 'n']
    """
    found: list[str] = []
    for place, word in enumerate(words):
        requested = not any(found) and word in REQUESTS  # "draw a dog": not visible
        if word in CLOSED or is_number(word) or requested:
            found.append("")
            continue
        known = {tag: counts(word, tag) for tag in TAGS}
        weights = {tag: uses + 1 for tag, uses in known.items() if uses >= 0}
        if not weights:
            found.append("")
            continue
        starts = place == 0 or ends[place - 1]
        before = "" if starts else words[place - 1]
        after = "" if ends[place] else words[place + 1]
        described = not starts and found[-1] in ("a", "n") and before not in CLOSED
        context = _Context(
            word=word,
            before=before,
            before_tag=found[-1] if described else "",
            nominal=_is_nominal(after, counts),
            stands_alone=not after or after in CLOSED,
            after=after,
        )
        found.append(max(weights, key=lambda tag: weights[tag] * context.weight(tag)))
    return found


def _is_nominal(word: str, counts: Counts) -> bool:
    """Return whether a word can be a noun or an adjective."""
    if not word or word in CLOSED:
        return False
    return max(counts(word, "n"), counts(word, "a")) >= max(0, counts(word, "v") / 4)


class _Context:
    """The words around a word."""

    def __init__(
        self,
        word: str,
        before: str,
        before_tag: str,
        nominal: bool,
        stands_alone: bool,
        after: str,
    ) -> None:
        self.word = word
        self.before = before
        self.before_tag = before_tag
        self.nominal = nominal
        self.stands_alone = stands_alone
        self.after = after

    def weight(self, tag: str) -> float:
        """Return the factor for a part of speech."""
        return {"n": self._noun, "v": self._verb, "a": self._adjective, "r": self._adverb}[tag]()

    @property
    def _participle(self) -> bool:
        return self.word.endswith(("ing", "ed"))

    @property
    def _in_noun_phrase(self) -> bool:
        counted = self.before in DETERMINERS or is_number(self.before)
        return counted or self.before_tag == "a"

    def _noun(self) -> float:
        weight = 4.0  # most words of a prompt are nouns
        if self._in_noun_phrase:
            weight *= 5
        if self.before in FUNCTION_WORDS | PLACES and self.before not in MODALS | FORMS_OF_BE:
            weight *= 2
        if self.before in PRONOUNS - DETERMINERS or self.before in MODALS:
            weight *= 0.1
        if self.before in FORMS_OF_BE:
            weight *= 0.3
        if self._participle and self.after in DETERMINERS:
            weight *= 0.05
        return weight * (0.5 if self.nominal else 2)

    def _verb(self) -> float:
        weight = 0.5
        if self._participle:
            weight *= 10
            if self.nominal and self.after not in DETERMINERS and self._in_noun_phrase:
                weight *= 0.1
            elif self._in_noun_phrase:
                weight *= 0.02
        elif self._in_noun_phrase:
            weight *= 0.01
        if self.before_tag == "n" or self.before in PRONOUNS | MODALS:
            weight *= 4
        if self.before in {"to", *PRONOUNS} and self.after in DETERMINERS:
            weight *= 4
        if self.after in DETERMINERS:
            weight *= 5
        if not self.before and not self._participle:
            weight *= 0.2
        return weight

    def _adjective(self) -> float:
        weight = 1.0
        if self.nominal:
            weight *= 4 if self.before_tag == "n" else 12
        elif self.before in FORMS_OF_BE or self.before in {"very", "so", "too"}:
            weight *= 10
        elif self.before_tag == "n" and not self.stands_alone:
            weight *= 0.5
        elif self._in_noun_phrase:
            weight *= 0.2
        return weight

    def _adverb(self) -> float:
        if self.word.endswith("ly"):
            return 20.0
        return 0.2 if self.nominal or self._in_noun_phrase else 1.0
