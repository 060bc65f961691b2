"""Screening: preview many candidates at low cost, and evaluate the most promising ones.

The clean image can be estimated long before the last step, and one seed is informative about the
others. `Screening` wraps any solver: it collects more proposals than it needs, ranks them by a
cheap `PreviewQuery`, and promotes the best. Several rungs, each costlier and with fewer candidates,
are successive halving (Jamieson & Talwalkar, 2016):

    Screening(EPO(space), [Rung(step=8, seeds=1)])                           one early preview
    Screening(EPO(space), [Rung(seeds=1, best_of=2), Rung(seeds=2, best_of=2)])   a race over seeds
    Screening(HPO(space, steps=25), [Rung(step=8, seeds=1)])                 the hybrid, screened

A promoted candidate costs one evaluation and its share of the previews. With the rung `Rung(step=8,
seeds=1)` of 25 steps and 4 seeds there are 4 previews at 0.08 per candidate, so 1.32 in all. This
pays off if previews rank candidates well enough to compensate for a quarter fewer full evaluations.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dpodiff.checks import check_each, check_kind, check_whole
from dpodiff.objective.queries import (
    GradientQuery,
    NoiseQuery,
    PreviewQuery,
    ValueAndGradient,
)
from dpodiff.solvers.base import First, FirstCandidates, Query, Solver
from dpodiff.spaces.space import Candidate


@dataclass(frozen=True)
class Rung:
    """One preview of the candidates.

    Args:
        step: number of steps after which the clean image is estimated; None is all.
        seeds: number of the objective's first seeds to use; None is all.
        best_of: number of candidates of which one is promoted.

    Raises:
        ValueError: if a number is below 1, or no candidate is left out.

    Examples:
        >>> dpodiff.solvers.Rung(step=8, seeds=1)
        Rung(step=8, seeds=1, best_of=4)
    """

    step: int | None = None
    seeds: int | None = None
    best_of: int = 4

    def __post_init__(self) -> None:
        for name, value in {"step": self.step, "seeds": self.seeds}.items():
            if value is not None:
                check_whole(f"the {name} of a rung", value, 1)
        check_whole("best_of of a rung", self.best_of, 2)  # else no candidate is left out


class Screening(Solver):
    """A solver whose proposals are previewed before they are evaluated.

    If the wrapped solver proposes n candidates, it is asked again until there are enough for n to
    pass the rungs. Its gradient queries are passed on. Candidates that are left out are kept: when
    the solver has no more, they are evaluated too, the most promising first.

    Args:
        solver: solver that proposes. Do not use it outside of this solver.
        rungs: the previews, in order.
        first: candidates to evaluate before all others without a preview, or a function that
            returns them at the first `ask`.

    Raises:
        ValueError: if there are no rungs, or a candidate of `first` does not fit the space.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> space = dpodiff.nplib_space("a red ball", NPLIB, slots=2)
        >>> look = dpodiff.solvers.Rung(step=3, seeds=1, best_of=4)
        >>> solver = dpodiff.Screening(dpodiff.RandomSearch(space, batch=2), [look])
        >>> query = solver.ask()
        >>> len(query.candidates), query.step
        (8, 3)
        >>> solver.learn(query, [sum(candidate) for candidate in query.candidates])
        >>> len(solver.ask())  # the best two of eight
        2
    """

    def __init__(
        self, solver: Solver, rungs: Sequence[Rung], *, first: FirstCandidates = ()
    ) -> None:
        check_kind("solver", solver, Solver, "a Solver")
        rungs = check_each("rungs", rungs, lambda name, one: check_kind(name, one, Rung, "a Rung"))
        if not rungs:
            raise ValueError("screening needs at least one rung")
        super().__init__(solver.space, seed=solver.seed)
        self.solver, self.rungs = solver, tuple(rungs)
        self.first = First(solver.space, first)
        self.name = f"screened {solver.name}"
        self.values = solver.values  # shared
        self._pool: list[Candidate] = []  # candidates in the race
        self._places = 0  # number of them to evaluate
        self._to_come: list[Rung] = []
        self._left_out: dict[Candidate, float] = {}  # with their last preview

    @property
    def follows_gradients(self) -> bool:
        """Whether the wrapped solver needs gradients."""
        return self.solver.follows_gradients

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name, the rungs and the parameters of the wrapped solver, for the record."""
        return {
            **super().parameters,
            "rungs": [asdict(rung) for rung in self.rungs],
            "first": self.first.parameters,
            "solver": self.solver.parameters,
        }

    def ask(self) -> list[Candidate] | GradientQuery | PreviewQuery:
        """Return the next preview of the candidates in the race, or the promoted candidates."""
        if not self._pool:
            if first := self._new(self.first()):
                return first
            request = self.solver.ask()
            if isinstance(request, GradientQuery):
                return request
            if isinstance(request, PreviewQuery | NoiseQuery):
                raise ValueError(f"{self.name}: only a solver of words without looks is screened")
            self._enter(request or self._second_chances())
        if len(self._pool) > self._places:
            rung = self._to_come[0]
            return PreviewQuery(tuple(self._pool), rung.step, rung.seeds)
        promoted, self._pool = self._pool, []
        return promoted

    def _enter(self, candidates: list[Candidate]) -> None:
        """Start a race with more candidates than places; there is one place per given candidate."""
        self._pool, self._places = list(candidates), len(candidates)
        self._to_come = list(self.rungs)
        entries = self._places * math.prod(rung.best_of for rung in self.rungs)
        while len(self._pool) < entries:
            more = self.solver.ask()
            if isinstance(more, Query) or not more:
                break
            self._pool += more

    def _second_chances(self) -> list[Candidate]:
        """Return the candidates that were left out, the most promising first."""
        kept, self._left_out = self._left_out, {}
        return sorted(kept, key=kept.__getitem__)

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        self.solver.learn(query, answer)

    def _learn_preview(self, query: PreviewQuery, answer: Sequence[float]) -> None:
        """Drop the worst candidates of a preview."""
        del self._to_come[0]
        looks = dict(zip(query.candidates, answer, strict=True))
        ranked = sorted(looks, key=looks.__getitem__)
        go_on = self._places * math.prod(rung.best_of for rung in self._to_come)
        self._pool = ranked[:go_on]
        self._left_out |= {candidate: looks[candidate] for candidate in ranked[go_on:]}

    def tell(self, candidates: Sequence[Candidate], values: Sequence[float]) -> None:
        """Pass the values on to the wrapped solver."""
        self._seen.update(candidates)
        self.solver.tell(candidates, values)

    def state(self) -> dict[str, Any]:
        """Return the state of the wrapped solver."""
        return self.solver.state()
