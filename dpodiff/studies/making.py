"""A study from images: the choice of pairs, repeats and checks."""

import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dpodiff.checks import check_finite, check_text, check_whole
from dpodiff.studies.design import Study
from dpodiff.studies.images import Prompts, collect
from dpodiff.studies.pairs import Pair

if TYPE_CHECKING:
    from dpodiff.studies.images import Method, Source

QUESTION = "Which image fits the text better?"
NOISE = 0.8  # share of noise in the worse image of a check


def study(
    methods: "Mapping[str, Method] | Sequence[Source]",
    out: str | os.PathLike | None = None,
    *,
    baseline: str = "before",
    question: str = QUESTION,
    pairs_per_prompt: int = 2,
    all_pairs: bool = False,
    ties: bool = True,
    repeats: float = 0.1,
    checks: float = 0.05,
    seed: int = 0,
    overwrite: bool = False,
) -> Study:
    """Make a blind study: pairs of images of the same prompt and seed from two methods.

    A rater sees the user's own prompt, but no method and no negative prompt. Every rater gets one
    of 24 random orders with random sides. Images of a search are those of `Result.found`, whatever
    the verdict of its verification.

    Args:
        methods: methods by name: a result, a folder of `dpodiff improve`, a folder of such folders,
            a list of these, or images (n, 3, height, width) in [0, 1] by prompt. A list alone is
            one method with the name "found".
        out: file for the page; None writes no file, and `Study.save` can do it later.
        baseline: name of the method that the others are compared with. Results and folders include
            its images, those of the user's own prompt.
        question: question for every pair.
        pairs_per_prompt: number of seeds per prompt, drawn at random from those of both methods.
        all_pairs: whether all methods are compared with each other, not only with the baseline.
        ties: whether a rater may call both images equal.
        repeats: share of the pairs that are shown twice, with swapped sides.
        checks: share of pairs with a known answer, at least two pairs: an image and the same image
            with strong noise, and, if ties are allowed, an image and itself.
        seed: seed of the orders, the sides and all random choices.
        overwrite: whether to replace existing files of `out`.

    Raises:
        ValueError: if an argument is out of range, a source has no images, or no pair is left.
        FileExistsError: if `out` or its key exists and must not be replaced.

    Examples:
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((8, 8, 3), 0.75 if negative_prompt else 0.25)
        >>> settings = {"loss": "white", "space": "nplib", "budget": 3, "progress": False}
        >>> model = dpodiff.BlackBox(paint)
        >>> result = dpodiff.improve("a wall", model=model, verify=0, **settings)
        >>> dpodiff.study({"search": result}, "study.html")
        Study(2 pairs of 1 prompt, 2 methods, 1 repeated, 2 checks)
    """
    check_text("baseline", baseline)
    check_text("question", question)
    check_whole("pairs_per_prompt", pairs_per_prompt, 1)
    check_whole("seed", seed, 0)
    for name, share in {"repeats": repeats, "checks": checks}.items():
        check_finite(name, share)
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be a share from 0 to 1, not {share}")
    given = methods if isinstance(methods, Mapping) else {"found": methods}
    images = collect(given, baseline)
    album = _Album(np.random.default_rng([seed, 0]))
    shown, equal = album.pairs(images, baseline, pairs_per_prompt, all_pairs)
    again = album.again(shown, repeats)
    checked = album.checks(shown, checks, ties)
    made = album.study([*shown, *again, *checked], question, baseline, ties, seed, equal)
    if out is not None:
        made.save(out, overwrite=overwrite)
    return made


class _Album:
    """The distinct images in use, and the random generator of all choices."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.images: list[np.ndarray] = []
        self.places: dict[bytes, int] = {}

    def place(self, image: np.ndarray) -> int:
        content = repr(image.shape).encode() + image.tobytes()
        if content not in self.places:
            self.places[content] = len(self.images)
            self.images.append(image)
        return self.places[content]

    def name(self) -> str:
        return self.rng.bytes(5).hex()

    def pairs(
        self, images: Mapping[str, Prompts], baseline: str, count: int, all_pairs: bool
    ) -> tuple[list[Pair], int]:
        """Return pairs of two methods in random order, and the number of equal pairs."""
        found, equal = [], 0
        for first, second in itertools.combinations(images, 2):
            if first != baseline and not all_pairs:
                continue
            for prompt, seed in self._drawn(images[first], images[second], count):
                sides = [(name, self.place(images[name][prompt][seed])) for name in (first, second)]
                if self.rng.random() < 0.5:
                    sides.reverse()
                (a, image_a), (b, image_b) = sides
                if image_a == image_b:
                    equal += 1
                else:
                    found.append(Pair(self.name(), prompt, seed, (image_a, image_b), (a, b)))
        if not found:
            raise ValueError(
                "no pair of different images is left"
                + (
                    f": {equal} have the same image twice"
                    if equal
                    else ": the methods share no prompt and seed"
                )
            )
        return found, equal

    def _drawn(self, first: Prompts, second: Prompts, count: int) -> Iterator[tuple[str, int]]:
        for prompt in first:
            seeds = sorted(first[prompt].keys() & second.get(prompt, {}).keys())
            drawn = self.rng.permutation(seeds)[:count]
            yield from ((prompt, int(seed)) for seed in sorted(drawn))

    def again(self, shown: list[Pair], share: float) -> list[Pair]:
        drawn = self.rng.permutation(len(shown))[: math.ceil(share * len(shown))]
        return [replace(shown[i], id=self.name(), repeats=shown[i].id) for i in drawn]

    def checks(self, shown: list[Pair], share: float, ties: bool) -> list[Pair]:
        if not share:
            return []
        found = []
        for number in range(max(2, math.ceil(share * len(shown)))):
            pair = shown[self.rng.integers(len(shown))]
            intact = pair.images[self.rng.integers(2)]
            if ties and number % 2:
                sides, expected = (intact, intact), "tie"
            elif self.rng.random() < 0.5:
                sides, expected = (intact, self._defective(intact)), "a"
            else:
                sides, expected = (self._defective(intact), intact), "b"
            found.append(Pair(self.name(), pair.prompt, pair.seed, sides, expected=expected))
        return found

    def _defective(self, place: int) -> int:
        image = self.images[place]
        noise = self.rng.integers(256, size=image.shape)
        return self.place(((1 - NOISE) * image + NOISE * noise).round().astype(np.uint8))

    def study(
        self, pairs: list[Pair], question: str, baseline: str, ties: bool, seed: int, equal: int
    ) -> Study:
        """Return the study with pairs and images in random order, so that places reveal nothing."""
        used = self.rng.permutation(sorted({place for pair in pairs for place in pair.images}))
        new = {int(old): place for place, old in enumerate(used)}
        mixed = [pairs[i] for i in self.rng.permutation(len(pairs))]
        return Study(
            question=question,
            baseline=baseline,
            pairs=tuple(
                replace(pair, images=(new[pair.images[0]], new[pair.images[1]])) for pair in mixed
            ),
            images=tuple(self.images[old] for old in used),
            ties=ties,
            seed=seed,
            equal=equal,
        )
