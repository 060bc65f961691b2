"""Screening: look at many candidates cheaply, evaluate the few that look best.

The clean image can be estimated long before the last step, and one seed says something about all of
them. `Screening` wraps any solver: it collects more of its proposals than it wants, ranks them by a
cheap `PreviewQuery`, and promotes the best. Several rungs, each costlier and with fewer candidates,
are successive halving (Jamieson & Talwalkar, 2016):

    Screening(EPO(space), [Rung(step=8, seeds=1)])                           one early look
    Screening(EPO(space), [Rung(seeds=1, best_of=2), Rung(seeds=2, best_of=2)])   a race over seeds
    Screening(HPO(space, steps=25), [Rung(step=8, seeds=1)])                 the hybrid, screened

A promoted candidate costs itself and its share of the looks: with the rung `Rung(step=8, seeds=1)`
of 25 steps and 4 seeds, 4 looks at 0.08 a candidate, so 1.32 in all. That pays where a look ranks
candidates better than chance by enough to make up for a quarter fewer full evaluations.
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
    """One look at the candidates.

    Args:
        step: after how many steps of the rollout the clean image is estimated; None is all.
        seeds: how many of the objective's seeds are looked at; None is all.
        best_of: one candidate in so many goes on.

    Raises:
        ValueError: if a number is below 1, or nobody is left out.

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
        check_whole("best_of of a rung", self.best_of, 2)  # else nobody is left out


class Screening(Solver):
    """A solver whose proposals are looked at before they are evaluated.

    Where the wrapped solver wants n candidates evaluated, it is asked on until there are enough for
    n to come through the rungs; its questions about gradients are passed on. Candidates left out
    are kept: once the solver has no more, they are evaluated too, the most promising first.

    Args:
        solver: proposes. Use it through this one only.
        rungs: the looks, one after the other.
        first: candidates that are evaluated before all others, without a look, or a callable that
            gives them once the solver is first asked.

    Raises:
        ValueError: if there is no rung, or a candidate of `first` does not fit the space.

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
        self.values = solver.values  # one memory for both
        self._pool: list[Candidate] = []  # in the race
        self._places = 0  # how many of them will be evaluated
        self._to_come: list[Rung] = []
        self._left_out: dict[Candidate, float] = {}  # with their last look

    @property
    def follows_gradients(self) -> bool:
        """Whether the wrapped solver does."""
        return self.solver.follows_gradients

    @property
    def parameters(self) -> dict[str, Any]:
        """The name, the rungs and the parameters of the wrapped solver, for the record."""
        return {
            **super().parameters,
            "rungs": [asdict(rung) for rung in self.rungs],
            "first": self.first.parameters,
            "solver": self.solver.parameters,
        }

    def ask(self) -> list[Candidate] | GradientQuery | PreviewQuery:
        """The next look at the candidates in the race, or those that came through it."""
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
        """Start a race for as many places as there are candidates, with more of them."""
        self._pool, self._places = list(candidates), len(candidates)
        self._to_come = list(self.rungs)
        entries = self._places * math.prod(rung.best_of for rung in self.rungs)
        while len(self._pool) < entries:
            more = self.solver.ask()
            if isinstance(more, Query) or not more:
                break
            self._pool += more

    def _second_chances(self) -> list[Candidate]:
        """The candidates left out so far, the most promising first; now there are no others."""
        kept, self._left_out = self._left_out, {}
        return sorted(kept, key=kept.__getitem__)

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        self.solver.learn(query, answer)

    def _learn_preview(self, query: PreviewQuery, answer: Sequence[float]) -> None:
        """Leave out those that look worst."""
        del self._to_come[0]
        looks = dict(zip(query.candidates, answer, strict=True))
        ranked = sorted(looks, key=looks.__getitem__)
        go_on = self._places * math.prod(rung.best_of for rung in self._to_come)
        self._pool = ranked[:go_on]
        self._left_out |= {candidate: looks[candidate] for candidate in ranked[go_on:]}

    def tell(self, candidates: Sequence[Candidate], values: Sequence[float]) -> None:
        """Hand the values on to the wrapped solver."""
        self._seen.update(candidates)
        self.solver.tell(candidates, values)

    def state(self) -> dict[str, Any]:
        """What the wrapped solver believes."""
        return self.solver.state()
