"""Emphasis: words of the prompt that weigh more or less than the others."""

from collections.abc import Sequence
from functools import partial

from dpodiff.checks import check_each, check_finite, check_text, check_texts
from dpodiff.spaces.lexicons.builders import known_pieces
from dpodiff.spaces.lexicons.keywords import FUNCTION_WORDS
from dpodiff.spaces.space import Slot, Space
from dpodiff.weighted_text import MOST

WEIGHTS = (0.8, 1.0, 1.2)


def emphasis_space(
    prompt: str,
    weights: Sequence[float] = WEIGHTS,
    *,
    negative_prompt: str = "",
    locked: Sequence[str] = (),
) -> Space:
    r"""Each word of the prompt that an image can show may weigh more or less, as with compel.

    A candidate that weighs words decodes to a `WeightedText`, which reads as compel writes it. With
    another slot for the word, the weight is that of what the word becomes.

    Args:
        prompt: the user's prompt.
        weights: of a word, above 0 and at most 2; 1 is how the prompt is, and no choice beside it.
        negative_prompt: the user's own negative prompt; its words have no weights.
        locked: words or phrases of the prompt to be left alone.

    Raises:
        ValueError: if a weight is out of its range, or a locked word does not stand in the prompt.

    Examples:
        >>> space = dpodiff.emphasis_space("a red ball (toy)", locked=["toy"])
        >>> print(dpodiff.describe(space))
        'a red ball (toy)': 2 slots, 3 x 3 = 9 candidates
          * red: 0.8 | 1.2
          * ball: 0.8 | 1.2
        >>> print(space.decode((2, 1)).positive)
        a (red)1.2 (ball)0.8 \(toy\)
    """
    check_text("prompt", prompt)
    weights = check_each("weights", weights, partial(check_finite, above=0, most=MOST))
    check_text("negative_prompt", negative_prompt)
    check_texts("locked", locked)
    choices = tuple(f"{weight:g}" for weight in weights if weight != 1)

    def alternatives(piece: str) -> list[str]:
        return [] if " " in piece or piece in FUNCTION_WORDS else list(choices)

    slots = tuple(
        Slot(prompt[place], ("", *others), "emphasis", start=place.start)
        for place, others in known_pieces(prompt, alternatives, locked)
    )
    return Space(prompt, slots, negative_prompt)
