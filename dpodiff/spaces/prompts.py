"""What a candidate stands for: two texts, and where it chooses one, the guidance."""

from typing import Any, NamedTuple


class Prompts(NamedTuple):
    """What a candidate reads: the text pulled towards and the text pushed away from.

    The first is a `WeightedText` where the candidate weighs words; see `emphasis_space`.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly"], slots=1)
        >>> prompts = space.decode((1,))
        >>> prompts.positive, prompts.negative
        ('a red ball', 'blurry')
        >>> prompts.guidance is None  # the model's own
        True
    """

    positive: str
    negative: str

    @property
    def guidance(self) -> float | None:
        """The weight of classifier-free guidance; None is the model's own."""
        return None


class GuidedPrompts(Prompts):
    """Prompts with a guidance of their own; a pair of texts as `Prompts` are.

    Two of them are equal if texts and guidance are, and none is equal to `Prompts`, since other
    images are made of it.

    Examples:
        >>> space = dpodiff.guidance_space("a red ball", [2, 7.5])
        >>> [space.decode(candidate).guidance for candidate in space]
        [None, 2.0, 7.5]
        >>> positive, negative = space.decode((1,))
        >>> positive, negative
        ('a red ball', '')
    """

    _guidance: float

    def __new__(cls, positive: str, negative: str, guidance: float) -> "GuidedPrompts":
        """The texts are the two items of the tuple; the guidance stands beside them."""
        made = super().__new__(cls, positive, negative)
        made._guidance = guidance
        return made

    @property
    def guidance(self) -> float:
        """The weight of classifier-free guidance."""
        return self._guidance

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GuidedPrompts) and self._all == other._all

    def __ne__(self, other: object) -> bool:  # a tuple has its own
        return not self == other

    def __hash__(self) -> int:
        return hash(self._all)

    def __repr__(self) -> str:
        return "GuidedPrompts(positive={!r}, negative={!r}, guidance={!r})".format(*self._all)

    def __getnewargs__(self) -> Any:  # to be copied and pickled
        return self._all

    @property
    def _all(self) -> tuple[str, str, float]:
        return self.positive, self.negative, self.guidance
