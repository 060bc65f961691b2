"""The pairs of a study: pairs of images, repeats, and checks with a known answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

VERSIONS = 24  # number of orders; successive rater numbers get different ones
APART = 4  # pairs between a pair and its repeat, if the study is long enough

Side = Literal["a", "b"]
Choice = Literal["left", "right", "tie"]
Order = tuple[tuple[int, Side], ...]  # numbers of pairs, and which image is on the left


@dataclass(frozen=True)
class Pair:
    """Two images of one prompt.

    Attributes:
        id: random name, which reveals nothing about the methods.
        prompt: prompt that the rater reads.
        seed: seed of both images.
        images: indices of a and b in `Study.images`.
        methods: methods of a and b, which only the key names; empty for a check.
        repeats: id of the pair that is repeated; empty for a first showing.
        expected: the answer to a check, "a", "b" or "tie"; empty for other pairs.

    Examples:
        >>> images = {"a wall": np.zeros((2, 3, 8, 8))}, {"a wall": np.ones((2, 3, 8, 8))}
        >>> study = dpodiff.study(dict(zip(["before", "painted"], images)), checks=0, repeats=0)
        >>> {*study.pairs[0].methods} == {"before", "painted"}
        True
    """

    id: str
    prompt: str
    seed: int
    images: tuple[int, int]
    methods: tuple[str, str] | tuple[()] = ()
    repeats: str = ""
    expected: str = ""


@dataclass(frozen=True)
class Showing:
    """A pair on the screen.

    Attributes:
        pair: the pair.
        left: which of its images is on the left, "a" or "b".

    Examples:
        >>> images = {"a wall": np.zeros((2, 3, 8, 8))}, {"a wall": np.ones((2, 3, 8, 8))}
        >>> study = dpodiff.study(dict(zip(["before", "painted"], images)))
        >>> study.session("r1").showing.pair.prompt
        'a wall'
    """

    pair: Pair
    left: Side

    @property
    def images(self) -> tuple[int, int]:
        """Indices in `Study.images` of the left and the right image."""
        a, b = self.pair.images
        return (a, b) if self.left == "a" else (b, a)


def orders(pairs: Sequence[Pair], seed: int) -> tuple[Order, ...]:
    """Return random orders with random sides; the sides of a repeated pair are swapped."""
    rng = np.random.default_rng([seed, 1])
    return tuple(_order(pairs, rng) for _ in range(VERSIONS))


def _order(pairs: Sequence[Pair], rng: np.random.Generator) -> Order:
    firsts = [i for i, pair in enumerate(pairs) if not pair.repeats]
    order: list[tuple[int, Side]] = [
        (int(i), "a" if rng.random() < 0.5 else "b") for i in rng.permutation(firsts)
    ]
    for i, pair in enumerate(pairs):
        if pair.repeats:
            before = next(k for k, (j, _) in enumerate(order) if pairs[j].id == pair.repeats)
            earliest = min(before + 1 + APART, len(order))
            place = int(rng.integers(earliest, len(order) + 1))
            order.insert(place, (i, "b" if order[before][1] == "a" else "a"))
    return tuple(order)
