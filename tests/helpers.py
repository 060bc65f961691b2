"""Small stand-ins for a model and a loss, so that solvers and the loop are tested alone.

The images of `FakeModel` are one shade each, which depends on the prompts and the seed as a real
model's images would; `shade` reads it off as the loss. `PROBLEMS` are functions of the indices
with a known best value, for the grid of solvers x problems.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch

from dpodiff.models import PromptError
from dpodiff.spaces.space import Candidate, Slot, Space

STEPS = 5


class FakeModel:
    """Makes images (batch, 3, 2, 2) of one shade in [0, 1] for each (prompts, seed)."""

    name = "fake"
    device = torch.device("cpu")
    steps, guidance, image_size = STEPS, 7.5, 2
    takes_negative = True

    def __init__(self) -> None:
        self.forwards = self.backwards = 0
        self.batches: list[int] = []

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        for text in (prompt, negative_prompt):
            if "unspeakable" in text:
                raise PromptError("unknown word 'unspeakable'")

    def generate(self, prompts, negative_prompts, seeds) -> torch.Tensor:
        for pair in zip(prompts, negative_prompts, strict=True):
            self.check(*pair)
        self.forwards += 2 * STEPS * len(seeds)
        self.batches.append(len(seeds))
        shades = [fake_shade(*job) for job in zip(prompts, negative_prompts, seeds, strict=True)]
        return torch.tensor(shades).view(-1, 1, 1, 1).expand(-1, 3, 2, 2)


class Guided(FakeModel):
    """Images that depend on the guidance too: the lower it is, the darker they are.

    `guidances` are those that images were asked for, one per image; None is the model's own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.guidances: list[float | None] = []

    def generate(self, prompts, negative_prompts, seeds, *, guidance=None) -> torch.Tensor:
        self.guidances += [guidance] * len(seeds)
        images = super().generate(prompts, [""] * len(prompts), seeds)
        return images * (self.guidance if guidance is None else guidance) / self.guidance


def fake_shade(prompt: str, negative_prompt: str, seed: int) -> float:
    digest = hashlib.sha256(repr((prompt, negative_prompt, seed)).encode()).digest()
    return digest[0] / 255


def shade(images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
    return images.mean(dim=(1, 2, 3))


def negative_space(*sizes: int, prompt: str = "a red ball") -> Space:
    """A space whose slots have these numbers of choices, all different words."""
    slots = [
        Slot(f"word{i}", ("", *(f"w{i}-{k}" for k in range(1, size))), "negative")
        for i, size in enumerate(sizes)
    ]
    return Space(prompt, tuple(slots))


@dataclass(frozen=True)
class Problem:
    """A function of candidates over a space, with its lowest value."""

    space: Space
    function: Callable[[Candidate], float]
    lowest: float


def _plateau(candidate: Candidate) -> float:
    """Counts only whole pairs of right choices: no single change helps at first."""
    pairs = zip(candidate[::2], candidate[1::2], strict=True)
    return -float(sum(pair == (1, 1) for pair in pairs))


def _planted(candidate: Candidate) -> float:
    """One change helps and every other one harms, as most words of a negative prompt do."""
    return sum(k > 0 for k in candidate) - 3.0 * (candidate[2] == 1)


PROBLEMS = {
    "separable": Problem(negative_space(4, 4, 4, 4, 4, 4), lambda c: -float(sum(c)), -18),
    "plateau": Problem(negative_space(3, 3, 3, 3), _plateau, -2),
    "planted": Problem(negative_space(*[6] * 8), _planted, -2),
    "one slot": Problem(negative_space(5), lambda c: float((c[0] - 3) ** 2), 0),
    "unequal slots": Problem(negative_space(1, 9, 2), lambda c: float(abs(c[1] - 7) + c[2]), 0),
}
