"""The statements of a prompt: things, their attributes, relations, and the place.

Each word or phrase with an opposite in the lexicon is one statement, and two words that can be
exchanged are another. The kind and the text of a statement are derived from its position between
function words, without a parser. So a kind may be wrong, but no score depends on it.
"""

from typing import NamedTuple

from dpodiff.checks import check_prompt_text
from dpodiff.spaces.contrasts import MOST_OPPOSITES, Contrast, contrast_prompts
from dpodiff.spaces.lexicons import Lexicon
from dpodiff.spaces.lexicons.base import check_words, for_prompt, normal
from dpodiff.spaces.lexicons.builders import known_pieces
from dpodiff.spaces.lexicons.keywords import FUNCTION_WORDS, WORD

ARTICLES = frozenset("a an the this that these those its his her their".split())
PLACES = frozenset("in on at".split())  # words before a place
# Words in -ing that name things; other such words before a function word link two things.
THINGS = frozenset(
    "building ceiling clothing drawing evening king morning painting ring spring string thing "
    "wedding wing".split()
)


class Statement(NamedTuple):
    """One statement of a prompt.

    Attributes:
        text: text of the statement, such as "red ball".
        kind: "object", "attribute", "relation", "place", or "order" of two words.
        contrasts: contrast prompts that differ in this statement only.

    Examples:
        >>> lexicon = dpodiff.Dictionary(antonyms={"red": ["green"]})
        >>> (statement,) = dpodiff.statements("a red cup", lexicon)
        >>> statement.text, statement.kind, statement.contrasts[0].prompt
        ('red cup', 'attribute', 'a green cup')
    """

    text: str
    kind: str
    contrasts: tuple[Contrast, ...]


def statements(prompt: str, lexicon: Lexicon, *, most: int = MOST_OPPOSITES) -> list[Statement]:
    """Return the statements of a prompt in order.

    Args:
        prompt: the user's prompt.
        lexicon: lexicon of opposites.
        most: largest number of contrasts per word.

    Returns:
        the statements; empty if the lexicon has no opposites.

    Raises:
        ValueError: if an argument is invalid, or the prompt is too long.

    Examples:
        >>> from dpodiff.toy.words import toy_lexicon
        >>> prompt = "a red ball left of a blue box on the sea"
        >>> for statement in dpodiff.statements(prompt, toy_lexicon()):
        ...     print(f"{statement.kind}: {statement.text}")
        attribute: red ball
        object: ball
        relation: ball left of a blue box
        attribute: blue box
        object: box
        place: on the sea
        order: red, blue in this order
        order: ball, box in this order
    """
    check_prompt_text("prompt", prompt)
    check_words("lexicon", lexicon)
    pieces = [place for place, _ in known_pieces(prompt, for_prompt(lexicon, prompt).antonyms)]
    described = _Reader(prompt, pieces)
    groups: dict[str, list[Contrast]] = {}
    for contrast in contrast_prompts(prompt, lexicon, most=most):
        groups.setdefault(contrast.old, []).append(contrast)
    return [Statement(*described(old), tuple(contrasts)) for old, contrasts in groups.items()]


def contrasts_of(
    prompt: str, lexicon: Lexicon, *, most: int = MOST_OPPOSITES
) -> dict[str, list[str]]:
    """Return the statements of a prompt, each with the texts of its contrast prompts.

    `losses.Decomposed` and `losses.load` use this function. Arguments are those of `statements`.

    Examples:
        >>> lexicon = dpodiff.Dictionary(antonyms={"red": ["green"], "cup": ["box"]})
        >>> dpodiff.contrasts_of("a red cup", lexicon)
        {'red cup': ['a green cup'], 'cup': ['a red box']}
    """
    found: dict[str, list[str]] = {}
    for statement in statements(prompt, lexicon, most=most):
        texts = found.setdefault(statement.text, [])
        texts.extend(contrast.prompt for contrast in statement.contrasts)
    return {text: list(dict.fromkeys(prompts)) for text, prompts in found.items()}


class _Reader:
    """Finds the text and the kind of the statement of each piece of a prompt."""

    def __init__(self, prompt: str, pieces: list[slice]) -> None:
        self._prompt = prompt
        self._words = list(WORD.finditer(prompt))
        self._lower = [normal(word.group()) for word in self._words]
        self._pieces: dict[str, range] = {}  # indices of the words of each piece's first place
        self._relations: set[int] = set()  # indices of words
        for piece in pieces:
            numbers = self._numbers(piece)
            self._pieces.setdefault(prompt[piece], numbers)
            if self._is_relation(numbers):
                self._relations.update(numbers)

    def __call__(self, old: str) -> tuple[str, str]:
        """Return the text and the kind of the words that a contrast changes."""
        if old not in self._pieces:
            return f"{old} in this order", "order"
        piece = self._pieces[old]
        if piece[0] in self._relations:
            return self._between(piece), "relation"
        head = self._last_of_run(piece[-1])
        if head != piece[-1]:
            return f"{old} {self._words[head].group()}", "attribute"
        before = self._before_phrase(piece[0])
        if before is not None and self._lower[before] in PLACES:
            return self._text(before, piece[-1]), "place"
        return old, "object"

    def _numbers(self, piece: slice) -> range:
        inside = [
            i for i, word in enumerate(self._words) if piece.start <= word.start() < piece.stop
        ]
        return range(inside[0], inside[-1] + 1)

    def _is_relation(self, piece: range) -> bool:
        """Return whether a piece links two phrases, by its function words or the word after it."""
        if any(self._lower[i] in FUNCTION_WORDS for i in piece):
            return True
        last = piece[-1]
        if last + 1 == len(self._words) or not self._touch(last):
            return False
        word, after = self._lower[last], self._lower[last + 1]
        is_verb = word.endswith("ing") and word not in THINGS
        return after in ARTICLES or (is_verb and after in FUNCTION_WORDS)

    def _in_phrase(self, number: int) -> bool:
        return self._lower[number] not in FUNCTION_WORDS and number not in self._relations

    def _touch(self, first: int) -> bool:
        """Return whether there is only spacing between a word and the next."""
        words = self._words
        return self._prompt[words[first].end() : words[first + 1].start()].isspace()

    def _last_of_run(self, number: int) -> int:
        """Return the last word of the phrase of a word, which is the thing itself."""
        while number + 1 < len(self._words) and self._in_phrase(number + 1) and self._touch(number):
            number += 1
        return number

    def _before_phrase(self, number: int) -> int | None:
        """Return the word before a phrase and its articles."""
        while number > 0 and self._in_phrase(number - 1) and self._touch(number - 1):
            number -= 1
        while number > 0 and self._lower[number - 1] in ARTICLES:
            number -= 1
        return number - 1 if number > 0 else None

    def _between(self, piece: range) -> str:
        """Return a relation with the things on both sides."""
        first, last = piece[0], piece[-1]
        if first > 0 and self._touch(first - 1) and self._in_phrase(first - 1):
            first -= 1
        after = last + 1
        while after < len(self._words) and self._lower[after] in FUNCTION_WORDS:
            after += 1
        if after < len(self._words) and self._in_phrase(after):
            last = self._last_of_run(after)
        return self._text(first, last)

    def _text(self, first: int, last: int) -> str:
        return self._prompt[self._words[first].start() : self._words[last].end()]
