"""A space of whole prompts, which grows as they are written.

Every other space is known before the search begins. A language model that sees what was tried
writes prompts as the search goes, so here candidates are added: (0,) is the user's own prompts, and
(i,) the i-th that was written. Whatever takes a space and candidates takes these too.
"""

from dataclasses import dataclass, field

import numpy as np

from dpodiff.checks import check_prompt_text
from dpodiff.spaces.prompts import Prompts
from dpodiff.spaces.space import Candidate, Space


@dataclass(frozen=True)
class WrittenSpace(Space):
    """A space of whole prompts and negative prompts, none but the user's own to begin with.

    Args:
        prompt: the user's prompt.
        negative_prompt: the user's own negative prompt.
        takes_negative: whether the model looks at negative prompts; if not, all candidates have the
            user's own.

    Attributes:
        written: the prompts that were added, in order. Two spaces are equal whatever they hold.

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
        """Refused: whole prompts have no slots to add.

        Raises:
            ValueError: always.
        """
        raise ValueError("whole prompts cannot be added to another space")

    def add(self, positive: str, negative: str = "") -> Candidate:
        """The candidate that these prompts are, which is new or the one that reads the same.

        Raises:
            ValueError: if one is no prompt.
        """
        check_prompt_text("the prompt", positive)
        check_prompt_text("the negative prompt", negative)
        prompts = Prompts(positive, negative if self.takes_negative else self.negative_prompt)
        known = [Prompts(self.prompt, self.negative_prompt), *self.written]
        if prompts in known:
            return (known.index(prompts),)
        self.written.append(prompts)
        return (len(known),)

    # Those of a space are cached, since no other space grows.

    @property
    def size(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The number of candidates so far."""
        return 1 + len(self.written)

    @property
    def identity(self) -> Candidate:
        """The candidate that leaves the user's prompts as they are."""
        return (0,)

    def check(self, candidate: Candidate) -> None:
        """Refuse what is no candidate of this space.

        Raises:
            ValueError: if it is not one number, of a prompt that was written.
        """
        if len(candidate) != 1 or not 0 <= candidate[0] < self.size:
            raise ValueError(f"candidate {candidate} must be one number from 0 to {self.size - 1}")

    def decode(self, candidate: Candidate) -> Prompts:
        """The prompts that a candidate stands for.

        Raises:
            ValueError: as `check`.
        """
        self.check(candidate)
        (place,) = candidate
        return self.written[place - 1] if place else Prompts(self.prompt, self.negative_prompt)

    @property
    def _sizes(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleVariableOverride]
        return np.array([self.size])
