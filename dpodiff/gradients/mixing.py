"""Prompts with mixed words from weights over a space's choices (DPO-Diff, section 4.2).

A space and one weight vector per slot give the pieces of a positive and a negative prompt. The text
encoder of a model turns pieces into one encoding; see `dpodiff.models.mixture`. A slot for
guidance, a window or emphasis has no words, so the gradient of its weights is 0.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch

from dpodiff.models.mixture import Piece
from dpodiff.spaces.space import Slot, Space


class Mixture(NamedTuple):
    """The two prompts of a point between the candidates, as pieces in order.

    Examples:
        >>> model = dpodiff.load("toy")
        >>> space = dpodiff.Space("a red ball", (dpodiff.Slot("red", ("red", "crimson")),))
        >>> mixture = dpodiff.gradients.mix(space, [torch.tensor([0.25, 0.75])])
        >>> tuple(model.encode_mixture(mixture.positive).shape)
        (1, 32, 128)
    """

    positive: tuple[Piece, ...]
    negative: tuple[Piece, ...]


def mix(space: Space, weights: Sequence[torch.Tensor]) -> Mixture:
    """Return the mixture for weights over the choices of a space's slots.

    Args:
        space: a space with n slots.
        weights: n tensors (choices,), each nonnegative with sum 1.

    Raises:
        ValueError: if a slot does not have one weight per choice; the message names the slot.

    Examples:
        >>> slot = dpodiff.Slot("red", ("red", "crimson"))
        >>> space = dpodiff.Space("a red ball", (slot,))
        >>> mixture = dpodiff.gradients.mix(space, [torch.tensor([0.25, 0.75])])
        >>> [piece.choices for piece in mixture.positive]
        [('a ',), ('red', 'crimson'), (' ball',)]
    """
    if len(weights) != len(space.slots):
        raise ValueError(f"{len(space.slots)} slots need as many weights, not {len(weights)}")
    for slot, weight in zip(space.slots, weights):
        if weight.shape != (len(slot.choices),):
            raise ValueError(f"{slot} needs weights ({len(slot.choices)},), not {weight.shape}")
    pairs = list(zip(space.slots, weights))
    return Mixture(_positive(space.prompt, pairs), _negative(space.negative_prompt, pairs))


Weighted = list[tuple[Slot, torch.Tensor]]


def _positive(prompt: str, pairs: Weighted) -> tuple[Piece, ...]:
    placed = [pair for pair in pairs if pair[0].side == "positive"]
    pieces, end = [], 0
    for slot, weights in sorted(placed, key=lambda pair: pair[0].span):
        start, stop = slot.span
        pieces += [Piece((prompt[end:start],)), Piece(slot.choices, weights)]
        end = stop
    pieces.append(Piece((prompt[end:],)))
    said = {prompt.casefold()}
    return (*pieces, *_words([pair for pair in pairs if pair[0].side == "modifier"], said))


def _negative(prompt: str, pairs: Weighted) -> tuple[Piece, ...]:
    """Return the user's own negative prompt and the slots, without repeated words."""
    said = {part.strip().casefold() for part in prompt.split(",")} - {""}
    words = _words([pair for pair in pairs if pair[0].side == "negative"], said)
    return (Piece((prompt,)), *words)


def _words(pairs: Weighted, said: set[str]) -> Iterator[Piece]:
    """Yield words after those already said, with commas and without repeated words."""
    for slot, weights in pairs:
        piece = Piece(slot.choices, weights)
        word = slot.choices[piece.shown]
        if not word or word.casefold() in said:
            continue
        if said:
            choices = tuple(f", {choice}" if choice else "" for choice in slot.choices)
            piece = Piece(choices, weights)
        said.add(word.casefold())
        yield piece
