"""Diagnosis: candidates from what the images show instead of the prompt.

If the images fit a contrast prompt better than the user's prompt, it names what was drawn instead:
"a blue fish" for a purple one. So "blue" is a promising word for the negative prompt, and the
missed word "purple" should be replaced by a synonym. VisualPrompter and NPC (arXiv 2512.07702) are
similar methods in which a language model looks at the images.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dpodiff.checks import check_each, check_finite, check_kind, check_text, check_whole
from dpodiff.spaces.contrasts import Contrast
from dpodiff.spaces.lexicons.base import normal
from dpodiff.spaces.space import Candidate, Space

MOST_CONTRASTS = 3


def diagnosed_candidates(
    space: Space,
    contrasts: Iterable[Contrast],
    margins: Mapping[str, float],
    *,
    below: float = 0.0,
    most: int = MOST_CONTRASTS,
) -> list[Candidate]:
    """Return candidates against what was drawn instead, the worst contrast first.

    Each contrast gives three candidates: its word in the negative prompt, the first synonym of the
    missed word, and both. The last candidate has all negative words.

    Args:
        space: space of the candidates; changes that it does not offer are left out.
        contrasts: contrasts of its prompt, as `contrast_prompts` returns them.
        margins: for each contrast prompt, by how much the images fit the user's prompt better.
        below: only contrasts with a lower margin are used.
        most: largest number of contrasts.

    Returns:
        candidates, all different; empty if nothing was drawn instead, or the space offers nothing
        against it.

    Raises:
        ValueError: if an argument is invalid.

    Examples:
        >>> lexicon = dpodiff.Dictionary({"violet": ["purple"]}, {"violet": ["blue", "red"]})
        >>> space = dpodiff.antonym_space("a violet fish", lexicon)
        >>> space += dpodiff.synonym_space("a violet fish", lexicon)
        >>> margins = {"a blue fish": -0.02, "a red fish": 0.05}
        >>> contrasts = dpodiff.contrast_prompts("a violet fish", lexicon)
        >>> for candidate in dpodiff.diagnosed_candidates(space, contrasts, margins):
        ...     print(*space.decode(candidate), sep=" | ")
        a violet fish | blue
        a purple fish |
        a purple fish | blue
    """
    check_kind("space", space, Space, "a Space")
    contrasts = check_each("contrasts", contrasts, _check_contrast)
    check_kind("margins", margins, Mapping, "a mapping from contrast prompts to margins")
    check_each("the contrast prompts of margins", margins.keys(), check_text)
    check_each("the margins", margins.values(), check_finite)
    check_finite("below", below)
    check_whole("most", most, 0)
    missed = [one for one in contrasts if margins.get(one.prompt, below) < below]
    missed.sort(key=lambda one: margins[one.prompt])
    found: list[dict[int, int]] = []  # slot -> choice
    negatives: dict[int, int] = {}
    for contrast in missed[:most]:
        negative, positive = _negative(space, contrast), _synonym(space, contrast)
        found += [negative, positive, negative | positive]
        negatives = negative | negatives
    candidates = [_candidate(space, choices) for choices in [*found, negatives] if choices]
    return list(dict.fromkeys(candidates))


def _check_contrast(name: str, value: Any) -> None:
    check_kind(name, value, Contrast, "a Contrast")


def _negative(space: Space, contrast: Contrast) -> dict[int, int]:
    """Return the choice of the contrast's word in a negative slot, preferably the missed word's."""
    places = [
        (slot.text != normal(contrast.old), place, index)
        for place, slot in enumerate(space.slots)
        for index, choice in enumerate(slot.choices)
        if slot.side == "negative" and index and normal(choice) == normal(contrast.new)
    ]
    return {place: index for _, place, index in sorted(places)[:1]}


def _synonym(space: Space, contrast: Contrast) -> dict[int, int]:
    """Return the first alternative for each place of the missed word, unless it drops the word."""
    return {
        place: 1
        for place, slot in enumerate(space.slots)
        if slot.side == "positive" and slot.text == contrast.old and slot.choices[1:2] > ("",)
    }


def _candidate(space: Space, choices: Mapping[int, int]) -> Candidate:
    return tuple(choices.get(place, 0) for place in range(len(space.slots)))
