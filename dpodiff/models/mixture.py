"""Prompts with mixed words: what a point between the candidates reads.

A gradient on words needs words that can change a little. Each slot of a space gets weights over its
choices, and the text encoder is given the weighted mean of the choices' token embeddings
(DPO-Diff, section 4.2). Where every slot has a single weight of one, the mixture is a candidate and
its encoding is that of the candidate's text, exactly.

Choices may differ in their number of tokens, but a mixture has to have one length. The heaviest
choice that says something decides how many places a slot takes; the others are stretched or
squeezed to it by averaging neighbors. The empty choice fills the places with padding tokens, and a
slot that surely says nothing takes none.
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

    Attributes:
        choices: the one text, or the alternatives; `""` leaves the piece out.
        weights: (choices,), at least 0, their sum 1; None for fixed text.

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
        """The heaviest choice that says something; the empty one only if it has all the weight."""
        if self.weights is None:
            return 0
        order = self.weights.detach().argsort(descending=True, stable=True).tolist()
        top = order[0]
        if self.choices[top] or self.weights[top] >= 1:
            return top
        return next((k for k in order if self.choices[k]), top)


def shown_text(pieces: Sequence[Piece]) -> str:
    """What the shown choices read together; at a corner, the text of its candidate."""
    return functools.reduce(_read_on, pieces, "")


def _read_on(before: str, piece: Piece) -> str:
    text = piece.choices[piece.shown]
    # A dropped word takes along the space before it, as in `Space.decode`.
    return before + text if text or piece.weights is None else before.removesuffix(" ")


class Layout(NamedTuple):
    """Where the tokens of a mixture stand.

    Attributes:
        ids: of the shown choices, without start, end and padding.
        mixed: for each weighted piece its first place in `ids`, its number of places, its weights
            (choices,), and the token ids of each choice.
    """

    ids: list[int]
    mixed: list[tuple[int, int, torch.Tensor, list[list[int]]]]


def lay_out(
    pieces: Sequence[Piece], tokens: Callable[[list[str]], list[list[int]]], most: int
) -> Layout:
    """Give each piece its places.

    Args:
        pieces: of one prompt.
        tokens: maps texts to their token ids, nothing added.
        most: places there are. Where mixed words need more, as they may because nearly all of them
            say something, the longest are squeezed, then some of those that may be left out are;
            what is certain never is.
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
    """Token ids of the choices as they read after a text: what touches its last word may go on.

    T5 spells a comma that ends a word and one that stands alone in two ways. To Gemma, the space
    before a word is part of it; so a space that ends a piece is read with the next one.
    """
    word = before.rstrip(" ").rpartition(" ")[2]
    space = " " if before.endswith(" ") else ""
    texts = [(space + choice).rstrip(" ") for choice in choices]
    head, *rows = tokens([word, *(word + text for text in texts)])
    if all(row[: len(head)] == head for row in rows):
        return [row[len(head) :] for row in rows]
    return tokens(texts)


def _squeeze(pieces: Sequence[Piece], shown: list[list[int]], most: int) -> None:
    """Take places from the longest words that are mixed, until all together have `most`.

    Each word keeps one place at first. If that is still too much, words that may be left out get
    none, those first that say nothing with the largest weight. They have no gradient then.
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
        shown[k] = []  # if it is too long all the same, the model says so


def mix_embeddings(
    embedded: torch.Tensor, layout: Layout, words: Sequence[Sequence[torch.Tensor]], first: int
) -> torch.Tensor:
    """Put the mixed words in their places; differentiable in the weights.

    Args:
        embedded: token embeddings (1, token, dim) of the shown choices.
        layout: where the mixed words stand.
        words: token embeddings (token, dim) of each choice of each mixed word; those of the padding
            token stand for an empty choice.
        first: the place in `embedded` of the layout's first token.

    Returns:
        embeddings (1, token, dim).
    """
    parts, end = [], 0
    for (start, places, weights, _), choices in zip(layout.mixed, words, strict=True):
        stretched = torch.stack([_stretched(choice, places) for choice in choices])
        # One after the other: weights may be float64, which "mps" has not.
        shares = weights.to(stretched.dtype).to(stretched.device)
        mean = torch.einsum("c,cpd->pd", shares, stretched)  # eq. (relax-embedding)
        parts += [embedded[:, end : first + start], mean[None]]
        end = first + start + places
    return torch.cat([*parts, embedded[:, end:]], dim=1)


def _stretched(words: torch.Tensor, places: int) -> torch.Tensor:
    """Embeddings (token, dim) averaged or repeated to (places, dim)."""
    if len(words) == places:
        return words
    return F.adaptive_avg_pool1d(words.T[None], places)[0].T
