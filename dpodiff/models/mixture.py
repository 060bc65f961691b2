"""Prompts with mixed words: points between the candidates.

Gradients with respect to words need words that change continuously. Each slot of a space gets
weights over its choices, and the text encoder gets the weighted mean of the choices' token
embeddings (DPO-Diff, section 4.2). If each slot has a single weight of 1, the mixture is a
candidate, and its encoding equals exactly that of the candidate's text.

Choices may differ in their number of tokens, but a mixture has one length. The heaviest nonempty
choice of a slot determines its number of places. The other choices are stretched or squeezed to
this number by averaging neighbors. The empty choice fills the places with padding tokens. A slot
that is certainly empty takes no places.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Piece:
    """A piece of a prompt: fixed text, or texts to choose from.

    Args:
        choices: one fixed text, or the alternatives; `""` leaves the piece out.
        weights: (choices,), nonnegative with sum 1; None for fixed text.

    Examples:
        >>> from dpodiff.models.mixture import Piece, shown_text
        >>> color = Piece(("red", "blue"), torch.tensor([0.3, 0.7]))
        >>> shown_text([Piece(("a ",)), color, Piece((" ball",))])
        'a blue ball'
    """

    choices: tuple[str, ...]
    weights: torch.Tensor | None = None

    @property
    def shown(self) -> int:
        """The heaviest nonempty choice; the empty choice only if it has all the weight."""
        if self.weights is None:
            return 0
        order = self.weights.detach().argsort(descending=True, stable=True).tolist()
        top = order[0]
        if self.choices[top] or self.weights[top] >= 1:
            return top
        return next((k for k in order if self.choices[k]), top)


def shown_text(pieces: Sequence[Piece]) -> str:
    """Return the text of the shown choices; at a corner, it is the text of the candidate."""
    return functools.reduce(_read_on, pieces, "")


def _read_on(before: str, piece: Piece) -> str:
    text = piece.choices[piece.shown]
    # A dropped word also drops the space before it, as in `Space.decode`.
    return before + text if text or piece.weights is None else before.removesuffix(" ")


class Layout(NamedTuple):
    """The places of the tokens of a mixture.

    Attributes:
        ids: token ids of the shown choices, without start, end and padding.
        mixed: for each weighted piece: its first place in `ids`, its number of places, its weights
            (choices,), and the token ids of each choice.
    """

    ids: list[int]
    mixed: list[tuple[int, int, torch.Tensor, list[list[int]]]]


def lay_out(
    pieces: Sequence[Piece], tokens: Callable[[list[str]], list[list[int]]], most: int
) -> Layout:
    """Assign places to each piece.

    Args:
        pieces: pieces of one prompt.
        tokens: a function from texts to token ids without special tokens.
        most: maximum number of places. If mixed words need more, the longest are squeezed first.
            Then some words that may be dropped lose their places. Fixed text keeps its places.
    """
    rows, before = [], ""
    for piece in pieces:
        rows.append(_tokens_after(before, piece.choices, tokens))
        before = _read_on(before, piece)
    shown = [row[piece.shown] for piece, row in zip(pieces, rows)]
    _squeeze(pieces, shown, most)
    ids: list[int] = []
    mixed = []
    for piece, row, places in zip(pieces, rows, shown):
        if piece.weights is not None and places:
            mixed.append((len(ids), len(places), piece.weights, row))
        ids += places
    return Layout(ids, mixed)


def _tokens_after(
    before: str, choices: Sequence[str], tokens: Callable[[list[str]], list[list[int]]]
) -> list[list[int]]:
    """Return token ids of the choices after a text; a choice may continue the last word.

    T5 encodes a comma differently after a word and alone. Gemma encodes the space before a word as
    part of it. So a space at the end of a piece is moved to the next one.
    """
    word = before.rstrip(" ").rpartition(" ")[2]
    space = " " if before.endswith(" ") else ""
    texts = [(space + choice).rstrip(" ") for choice in choices]
    head, *rows = tokens([word, *(word + text for text in texts)])
    if all(row[: len(head)] == head for row in rows):
        return [row[len(head) :] for row in rows]
    return tokens(texts)


def _squeeze(pieces: Sequence[Piece], shown: list[list[int]], most: int) -> None:
    """Remove places from the longest mixed words until all together have `most`.

    Each word keeps one place at first. If there are still too many, words that may be dropped lose
    it, starting with the largest weight of the empty choice. They have no gradient then.
    """
    mixed = {k: p.weights for k, p in enumerate(pieces) if p.weights is not None}
    open_ = [k for k, weights in mixed.items() if weights.max() < 1]
    while sum(map(len, shown)) > most:
        longest = max(open_, key=lambda k: len(shown[k]), default=None)
        if longest is None or len(shown[longest]) < 2:
            break
        shown[longest] = shown[longest][:-1]
    empty = {}
    for k in open_:
        if "" in pieces[k].choices:
            empty[k] = float(mixed[k].detach()[pieces[k].choices.index("")])
    for k in sorted(empty, key=empty.__getitem__, reverse=True):
        if sum(map(len, shown)) <= most:
            return
        shown[k] = []  # if it is still too long, the model raises an error


def mix_embeddings(
    embedded: torch.Tensor, layout: Layout, words: Sequence[Sequence[torch.Tensor]], first: int
) -> torch.Tensor:
    """Insert the mixed words at their places; differentiable in the weights.

    Args:
        embedded: token embeddings (1, token, dim) of the shown choices.
        layout: places of the mixed words.
        words: token embeddings (token, dim) of each choice of each mixed word. An empty choice has
            those of the padding token.
        first: index in `embedded` of the layout's first token.

    Returns:
        embeddings (1, token, dim).
    """
    parts, end = [], 0
    for (start, places, weights, _), choices in zip(layout.mixed, words, strict=True):
        stretched = torch.stack([_stretched(choice, places) for choice in choices])
        # A loop, since weights may be float64, which "mps" does not support.
        shares = weights.to(stretched.dtype).to(stretched.device)
        mean = torch.einsum("c,cpd->pd", shares, stretched)  # eq. (relax-embedding)
        parts += [embedded[:, end : first + start], mean[None]]
        end = first + start + places
    return torch.cat([*parts, embedded[:, end:]], dim=1)


def _stretched(words: torch.Tensor, places: int) -> torch.Tensor:
    """Return embeddings (token, dim) averaged or repeated to (places, dim)."""
    if len(words) == places:
        return words
    return F.adaptive_avg_pool1d(words.T[None], places)[0].T
