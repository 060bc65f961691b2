"""EPO, the evolutionary prompt optimizer of DPO-Diff (Wang et al., 2024, arXiv 2407.01606).

The first population is drawn at random. Each later generation consists of mutations of one parent
and crossovers of two; the parents are the best candidates of all earlier generations. The released
code draws a known child again, a limited number of times. Here this is repeated until a child is
new, so no evaluation is spent twice.

A random candidate of a negative space fills nearly all of its slots, and so many words harm most
images. With `changed` the first population stays near the user's prompt instead.
"""

import math
from collections.abc import Callable
from typing import Any

from dpodiff.checks import MOST, check_share, check_whole
from dpodiff.objective.queries import GradientQuery
from dpodiff.solvers.base import First, FirstCandidates, Solver
from dpodiff.spaces.space import Candidate, Space


class EPO(Solver):
    """Evolutionary search with elitist parents; the defaults are the paper's.

    Args:
        space: the space to search.
        seed: seed of the random numbers.
        population: number of evaluated candidates before evolution starts.
        parents: number of the best candidates that become parents.
        mutations: number of children by mutation per generation.
        rate: probability that a mutation changes a slot; at least one slot changes.
        crossovers: number of children by crossover per generation.
        changed: largest number of slots that a candidate of the first population changes. None
            draws it from the whole space, as in the paper.
        first: candidates to evaluate before all others, as members of the first population; or a
            function that returns them once the user's prompt is evaluated, such as a `Diagnosis`.

    Raises:
        ValueError: if there are fewer than 2 parents, more parents than population, or no children;
            if `changed` is below 1, or a candidate of `first` does not fit the space.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> space = dpodiff.nplib_space("a red ball", NPLIB, slots=2)
        >>> solver = dpodiff.EPO(space, population=4, parents=2, mutations=2, crossovers=0)
        >>> for _ in range(3):
        ...     candidates = solver.ask()
        ...     solver.tell(candidates, [-sum(candidate) for candidate in candidates])
        >>> solver.recommend(), len(solver.values)
        ((10, 7), 8)
    """

    name = "epo"

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        population: int = 20,
        parents: int = 10,
        mutations: int = 10,
        rate: float = 0.1,
        crossovers: int = 10,
        changed: int | None = None,
        first: FirstCandidates = (),
    ) -> None:
        super().__init__(space, seed=seed)
        check_whole("population", population, 2, MOST)
        check_whole("parents", parents, 2)
        check_whole("mutations", mutations, 0, MOST)
        check_share("rate", rate)
        check_whole("crossovers", crossovers, 0, MOST)
        if changed is not None:
            check_whole("changed", changed, 1)
        self.population, self.parents = population, parents
        self.mutations, self.rate, self.crossovers = mutations, rate, crossovers
        self.changed, self.first = changed, First(space, first)
        if not 2 <= parents <= population:
            raise ValueError(f"EPO needs 2 <= parents <= population, not {parents}, {population}")
        if mutations + crossovers < 1:
            raise ValueError(f"EPO needs children, not {mutations} and {crossovers}")

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name and the hyperparameters, for the record."""
        return super().parameters | {"first": self.first.parameters}

    def ask(self) -> list[Candidate] | GradientQuery:  # HPO, a subclass, begins with gradients
        """Return the rest of the first population, then generations of children."""
        usable = [candidate for candidate, value in self.values.items() if value < math.inf]
        first = self._new(self.first())
        missing = self.population - len(usable) - len(first)
        if first or missing > 0:
            return first + self._fresh(self._newcomers(max(0, missing)))
        best = sorted(usable, key=self.values.__getitem__)[: self.parents]
        return self._fresh(
            [lambda: self._mutation(best)] * self.mutations
            + [lambda: self._crossover(best)] * self.crossovers
        )

    def _newcomers(self, count: int) -> list[Callable[[], Candidate]]:
        """Return proposals for the first population."""
        return [self._sample] * count

    def _sample(self) -> Candidate:
        if self.changed is None:
            return super()._sample()
        return self.space.sample_near(self._rng, self.changed)

    def _mutation(self, best: list[Candidate]) -> Candidate:
        parent = best[self._rng.integers(len(best))]
        return self.space.mutate(parent, self._rng, self.rate)

    def _crossover(self, best: list[Candidate]) -> Candidate:
        a, b = self._rng.choice(len(best), size=2, replace=False)
        return self.space.crossover(best[a], best[b], self._rng)
