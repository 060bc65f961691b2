"""Spaces of the sampler's settings: the guidance, and the window of the negative prompt."""

from collections.abc import Sequence
from functools import partial

from dpodiff.checks import check_each, check_finite, check_share, check_text
from dpodiff.spaces.slots import WINDOW_SIDES
from dpodiff.spaces.space import Slot, Space

GUIDANCES = (2.0, 3.0, 5.0, 7.5)
# Shares of the steps. The best window of Ban et al. (2024) is 5 to 15 of 30 steps.
STARTS, ENDS = (0.17, 0.33), (0.5, 0.67, 0.83)


def guidance_space(
    prompt: str,
    scales: Sequence[float] = GUIDANCES,
    *,
    own: float | None = None,
    negative_prompt: str = "",
) -> Space:
    """Return a space in which the guidance may have other scales than the model's default.

    Args:
        prompt: the user's prompt.
        scales: weights of classifier-free guidance, above 1.
        own: the model's default, which is left out of the scales.
        negative_prompt: the user's own negative prompt.

    Raises:
        ValueError: if a scale is not above 1, or two are equal.

    Examples:
        >>> space = dpodiff.guidance_space("a red ball", own=5.0)
        >>> print(dpodiff.describe(space))
        'a red ball': 1 slots, 4 candidates
          = guidance: 2 | 3 | 7.5
    """
    check_text("prompt", prompt)
    check_text("negative_prompt", negative_prompt)
    scales = check_each("scales", scales, partial(check_finite, above=1))
    if own is not None:
        check_finite("own", own)
    choices = tuple(f"{scale:g}" for scale in scales if scale != own)
    return Space(prompt, (Slot("guidance", ("", *choices), "guidance"),), negative_prompt)


def window_space(
    prompt: str,
    starts: Sequence[float] = STARTS,
    ends: Sequence[float] = ENDS,
    *,
    negative_prompt: str = "",
) -> Space:
    """Return a space in which the negative prompt may act in some steps only (Ban et al., 2024).

    It needs a negative prompt: the user's own, or words of another space that is added.

    Args:
        prompt: the user's prompt.
        starts: shares of the steps after which it may start to act, instead of at the first step.
        ends: shares of the steps after which it may stop, instead of after the last step.
        negative_prompt: the user's own negative prompt.

    Raises:
        ValueError: if a share is not above 0 and below 1, two starts or two ends are equal, or a
            start is not below each end.

    Examples:
        >>> space = dpodiff.window_space("a red ball", negative_prompt="blurry")
        >>> print(dpodiff.describe(space))
        'a red ball': 2 slots, 3 x 4 = 12 candidates
          = window start: 0.17 | 0.33
          = window end: 0.5 | 0.67 | 0.83
        >>> space.decode((1, 2)).window, space.decode((0, 1)).window
        ((0.17, 0.67), (0.0, 0.5))
    """
    check_text("prompt", prompt)
    check_text("negative_prompt", negative_prompt)
    shares = check_each("starts", starts, check_share), check_each("ends", ends, check_share)
    slots = tuple(
        Slot(side.replace("_", " "), ("", *(f"{share:g}" for share in own)), side)
        for side, own in zip(WINDOW_SIDES, shares, strict=True)
    )
    return Space(prompt, slots, negative_prompt)
