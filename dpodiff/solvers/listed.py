"""No search: evaluate given candidates only."""

from typing import Any

from dpodiff.solvers.base import First, FirstCandidates, Solver
from dpodiff.spaces.space import Candidate, Space


class Listed(Solver):
    """Evaluates the given candidates in their order, and no others.

    It shows which of a few candidates is best, such as one's own negative prompts, and what a
    search adds to its first candidates.

    Args:
        space: space of the candidates.
        seed: accepted as in all solvers; nothing is random.
        first: the candidates, or a function that returns them once the user's prompt is evaluated,
            such as a `Diagnosis`.

    Raises:
        ValueError: if there is no candidate, or one does not fit the space.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly", "dark"], slots=1)
        >>> solver = dpodiff.Listed(space, first=[(3,), (1,)])
        >>> solver.ask(), solver.ask()
        ([(3,), (1,)], [])
    """

    name = "listed"

    def __init__(self, space: Space, *, seed: int = 0, first: FirstCandidates = ()) -> None:
        super().__init__(space, seed=seed)
        self.first = First(space, first)
        if not self.first.given:
            raise ValueError("the solver 'listed' evaluates only the candidates of first: give one")

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name and the candidates, for the record."""
        return super().parameters | {"first": self.first.parameters}

    def ask(self) -> list[Candidate]:
        return self._new(self.first())
