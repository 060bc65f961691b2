"""The prompts of a candidate: two texts, and possibly a guidance and a window."""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dpodiff.models.window import Window


class Prompts(NamedTuple):
    """The positive and the negative prompt of a candidate.

    The first is a `WeightedText` if the candidate has weights; see `emphasis_space`.

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
        """The weight of classifier-free guidance; None is the model's default."""
        return None

    @property
    def window(self) -> "Window | None":
        """The shares of the steps between which the negative prompt acts; None is all steps."""
        return None


class GuidedPrompts(Prompts):
    """Prompts with their own guidance or window; a pair of texts like `Prompts`.

    Two of them are equal if texts, guidance and window are equal. They never equal `Prompts`, since
    their images differ.

    Examples:
        >>> space = dpodiff.guidance_space("a red ball", [2, 7.5])
        >>> [space.decode(candidate).guidance for candidate in space]
        [None, 2.0, 7.5]
        >>> positive, negative = space.decode((1,))
        >>> positive, negative
        ('a red ball', '')
        >>> dpodiff.GuidedPrompts("a red ball", "blurry", window=(0.2, 0.6)).window
        (0.2, 0.6)
    """

    _guidance: float | None
    _window: "Window | None"

    def __new__(
        cls,
        positive: str,
        negative: str,
        guidance: float | None = None,
        window: "Window | None" = None,
    ) -> "GuidedPrompts":
        """Make the pair of texts and store guidance and window beside it."""
        made = super().__new__(cls, positive, negative)
        made._guidance, made._window = guidance, window
        return made

    @property
    def guidance(self) -> float | None:
        """The weight of classifier-free guidance; None is the model's default."""
        return self._guidance

    @property
    def window(self) -> "Window | None":
        """The shares of the steps between which the negative prompt acts; None is all steps."""
        return self._window

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GuidedPrompts) and self._all == other._all

    def __ne__(self, other: object) -> bool:  # a tuple has its own
        return not self == other

    def __hash__(self) -> int:
        return hash(self._all)

    def __repr__(self) -> str:
        texts = f"positive={self.positive!r}, negative={self.negative!r}"
        return f"GuidedPrompts({texts}, guidance={self.guidance!r}, window={self.window!r})"

    def __getnewargs__(self) -> Any:  # for copy and pickle
        return self._all

    @property
    def _all(self) -> "tuple[str, str, float | None, Window | None]":
        return self.positive, self.negative, self.guidance, self.window


def prompts_of(
    positive: str, negative: str, guidance: float | None, window: "Window | None"
) -> Prompts:
    """Return the prompts with these settings; plain `Prompts` if both are None."""
    if guidance is None and window is None:
        return Prompts(positive, negative)
    return GuidedPrompts(positive, negative, guidance, window)


def settings_lines(prompts: Prompts) -> list[tuple[str, str]]:
    """Return the guidance and window of prompts, if they have any, as names and texts.

    Examples:
        >>> from dpodiff.spaces.prompts import settings_lines
        >>> settings_lines(dpodiff.GuidedPrompts("a red ball", "blurry", 7.5, (0.17, 0.5)))
        [('guidance', '7.5'), ('window', '0.17 to 0.5 of the steps')]
        >>> settings_lines(dpodiff.Prompts("a red ball", "blurry"))
        []
    """
    lines = []
    if prompts.guidance is not None:
        lines.append(("guidance", f"{prompts.guidance:g}"))
    if prompts.window is not None:
        lines.append(("window", "{:g} to {:g} of the steps".format(*prompts.window)))
    return lines
