"""Random search, the baseline for all other solvers."""

from dpodiff.checks import check_whole
from dpodiff.solvers.base import Solver
from dpodiff.spaces.space import Candidate, Space


class RandomSearch(Solver):
    """Draws candidates uniformly, without replacement.

    Args:
        space: the space to search.
        seed: seed of the random numbers.
        batch: number of candidates per `ask`; it does not change the candidates.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly", "dark"], slots=1)
        >>> solver = dpodiff.RandomSearch(space, batch=2)
        >>> solver.ask(), solver.ask(), solver.ask()
        ([(3,), (2,)], [(1,), (0,)], [])
    """

    name = "random"

    def __init__(self, space: Space, *, seed: int = 0, batch: int = 16) -> None:
        super().__init__(space, seed=seed)
        check_whole("batch", batch, 1)
        self.batch = batch

    def ask(self) -> list[Candidate]:
        return self._fresh([self._sample] * self.batch)
