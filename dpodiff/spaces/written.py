"""A space of whole prompts that grows during a search.

Other spaces are known before the search begins. A language model that reads earlier results writes
prompts during the search, so candidates are added here: (0,) is the user's own prompts, and (i,)
the i-th written ones. It can be used like any other space.
"""

from dataclasses import dataclass, field

import numpy as np

from dpodiff.checks import check_prompt_text
from dpodiff.spaces.prompts import Prompts
from dpodiff.spaces.space import Candidate, Space


@dataclass(frozen=True)
class WrittenSpace(Space):
    """A space of whole prompts and negative prompts, which begins with the user's own.

    Args:
        prompt: the user's prompt.
        negative_prompt: the user's own negative prompt.
        takes_negative: whether the model uses negative prompts. If not, all candidates have the
            user's own.

    Attributes:
        written: the added prompts, in order. They do not count in comparisons of two spaces.

    Examples:
        >>> space = dpodiff.WrittenSpace("a red ball")
        >>> space.add("a shiny red ball on grass", "blurry"), space.size
        ((1,), 2)
        >>> space.decode((1,))
        Prompts(positive='a shiny red ball on grass', negative='blurry')
    """

    takes_negative: bool = True
    written: list[Prompts] = field(default_factory=list, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slots:
            raise ValueError("a space of written prompts has no slots")

    def __add__(self, other: Space) -> Space:
        """Refuse to add a space: whole prompts have no slots.

        Raises:
            ValueError: always.
        """
        raise ValueError("whole prompts cannot be added to another space")

    def add(self, positive: str, negative: str = "") -> Candidate:
        """Return the candidate of these prompts, which is new unless they are known.

        Raises:
            ValueError: if one is not a prompt.
        """
        check_prompt_text("the prompt", positive)
        check_prompt_text("the negative prompt", negative)
        prompts = Prompts(positive, negative if self.takes_negative else self.negative_prompt)
        known = [Prompts(self.prompt, self.negative_prompt), *self.written]
        if prompts in known:
            return (known.index(prompts),)
        self.written.append(prompts)
        return (len(known),)

    # Other spaces cache this, since they do not grow.

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of candidates so far."""
        return 1 + len(self.written)

    @property
    def identity(self) -> Candidate:
        """The candidate that leaves the user's prompts unchanged."""
        return (0,)

    def check(self, candidate: Candidate) -> None:
        """Check that a candidate belongs to this space.

        Raises:
            ValueError: if it is not a tuple with the index of a written prompt.
        """
        if len(candidate) != 1 or not 0 <= candidate[0] < self.size:
            raise ValueError(f"candidate {candidate} must be one number from 0 to {self.size - 1}")

    def decode(self, candidate: Candidate) -> Prompts:
        """Return the prompts of a candidate.

        Raises:
            ValueError: as in `check`.
        """
        self.check(candidate)
        (place,) = candidate
        return self.written[place - 1] if place else Prompts(self.prompt, self.negative_prompt)

    @property
    def _sizes(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        return np.array([self.size])
