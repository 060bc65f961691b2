"""EPO, the evolutionary prompt optimizer of DPO-Diff (Wang et al., 2024, arXiv 2407.01606).

A first population is drawn at random. From then on each generation comes from the best candidates
of all earlier ones: some by mutation of one parent, some by crossover of two. In the released code
a child that was seen before is drawn again; here that goes on until an unseen one is found, so no
evaluation is spent twice.

A random candidate of a negative space fills nearly all of its slots, and that many words harm most
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
    """Evolution with elitist parents; the defaults are the paper's.

    Args:
        space: where to search.
        seed: of the random numbers.
        population: candidates known before evolution starts.
        parents: the best ones, from which children are made.
        mutations: children of one parent each, a generation.
        rate: probability that a mutation changes a slot; at least one slot changes.
        crossovers: children of two parents each, a generation.
        changed: a candidate of the first population changes 1 to so many slots; None, as in the
            paper, draws it from the whole space.
        first: candidates that are evaluated before all others, as members of the first population;
            or a callable that gives them once the user's prompt is evaluated, such as a
            `Diagnosis`.

    Raises:
        ValueError: if there are less than 2 parents, more parents than population, or no children;
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
        """The name and the hyperparameters, for the record."""
        return super().parameters | {"first": self.first.parameters}

    def ask(self) -> list[Candidate] | GradientQuery:  # HPO, which is an EPO, begins with gradients
        """The missing part of the first population, then a generation of children."""
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
        """Proposals for the first population."""
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
