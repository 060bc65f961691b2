"""Emphasis: words of the prompt with higher or lower weights."""

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
    r"""Return a space in which visible words of the prompt may have other weights, as in compel.

    A candidate with weights decodes to a `WeightedText` in compel's notation. If the word also has
    another slot, the weight applies to its replacement.

    Args:
        prompt: the user's prompt.
        weights: weights of a word, above 0 and at most 2. The weight 1 of the prompt itself is
            always a choice.
        negative_prompt: the user's own negative prompt; its words have no weights.
        locked: words or phrases of the prompt that must not change.

    Raises:
        ValueError: if a weight is out of its range, or a locked word is not in the prompt.

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
