"""The interface of solvers: ask for candidates, tell their values, recommend one.

    solver = EPO(space, seed=0)
    candidates = solver.ask()
    solver.tell(candidates, [f(candidate) for candidate in candidates])
    solver.recommend()

A solver uses only index operations of the space: it never sees a prompt, a model or an image.
`dpodiff.search` calls `ask` and `tell` alternately, with a budget and a trace, and returns the best
candidate that it evaluated. Use `recommend` if you run a solver without `dpodiff.search`.

Instead of candidates `ask` may return a query of `dpodiff.objective.queries`: a `GradientQuery`, a
`PreviewQuery` or a `NoiseQuery`. The solver gets the answer by `learn`. A subclass implements a
method for each kind of query that it asks, such as `_learn_gradient`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from numbers import Real
from typing import Any, NoReturn, overload

import numpy as np

from dpodiff.checks import check_each, check_kind, check_seed, shown
from dpodiff.names import name_of
from dpodiff.objective.queries import (
    GradientQuery,
    NoiseEvaluation,
    NoiseQuery,
    PreviewQuery,
    ValueAndGradient,
)
from dpodiff.spaces.space import Candidate, Space

Query = GradientQuery | PreviewQuery | NoiseQuery

# Candidates, or a function that returns them at the first `ask`.
FirstCandidates = Iterable[Candidate] | Callable[[], Iterable[Candidate]]

TRIES = 100  # draws that may repeat a known candidate before the space is enumerated


class Solver(ABC):
    """Base class of solvers that propose each candidate at most once.

    Args:
        space: the space to search.
        seed: seed of the solver's random numbers. Equal seeds and values give equal searches.

    Attributes:
        name: short name for traces and legends.
        values: values by candidate so far; lower is better, NaN counts as infinite.

    Examples:
        >>> class InOrder(dpodiff.Solver):
        ...     name = "in order"
        ...     def ask(self):
        ...         return [c for c in self.space if c not in self.values][:1]
        >>> solver = InOrder(dpodiff.nplib_space("a red ball", ["blurry", "ugly"], slots=1))
        >>> solver.tell([(0,), (1,)], [0.5, 0.4])
        >>> solver.ask(), solver.recommend()
        ([(2,)], (1,))
    """

    name: str

    def __init__(self, space: Space, *, seed: int = 0) -> None:
        check_kind("space", space, Space, "a Space")
        check_seed("seed", seed)
        self.space, self.seed = space, seed
        self.values: dict[Candidate, float] = {}
        self._rng = np.random.default_rng(seed)
        self._seen: set[Candidate] = set()

    @property
    def follows_gradients(self) -> bool:
        """Whether the solver needs gradients, so that the loss must have one."""
        return False

    @abstractmethod
    def ask(self) -> list[Candidate] | Query:
        """Return the next candidates to evaluate, or a query; none if all candidates are known."""

    @overload
    def learn(self, query: GradientQuery, answer: ValueAndGradient) -> None: ...
    @overload
    def learn(self, query: PreviewQuery, answer: Sequence[float]) -> None: ...
    @overload
    def learn(self, query: NoiseQuery, answer: NoiseEvaluation) -> None: ...
    def learn(self, query: Query, answer: Any) -> None:
        """Process the answer to a query.

        Raises:
            NotImplementedError: if the solver does not ask such queries.
        """
        match query:
            case GradientQuery():
                self._learn_gradient(query, answer)
            case PreviewQuery():
                self._learn_preview(query, answer)
            case NoiseQuery():
                self._learn_noise(query, answer)

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        self._refuse(query)

    def _learn_preview(self, query: PreviewQuery, answer: Sequence[float]) -> None:
        self._refuse(query)

    def _learn_noise(self, query: NoiseQuery, answer: NoiseEvaluation) -> None:
        self._refuse(query)

    def _refuse(self, query: Query) -> NoReturn:
        raise NotImplementedError(f"{self.name} does not ask a {type(query).__name__}")

    def state(self) -> dict[str, Any]:
        """Return the state of the solver for the trace, ready for JSON; empty by default."""
        return {}

    def tell(self, candidates: Sequence[Candidate], values: Sequence[float]) -> None:
        """Process the values of candidates, whether or not the solver asked for them.

        Raises:
            ValueError: if there is not one number per candidate of the space.
        """
        candidates = check_each("candidates", candidates, lambda _, one: self.space.check(one))
        values = check_each("values", values, _check_value)
        if len(candidates) != len(values):
            raise ValueError(f"{len(candidates)} candidates, but {len(values)} values")
        for candidate, value in zip(candidates, values, strict=True):
            self._seen.add(candidate)
            self.values[candidate] = math.inf if math.isnan(value) else value

    def recommend(self) -> Candidate:
        """Return the best candidate so far, or the user's own prompt if there is none."""
        return min(self.values, key=self.values.__getitem__, default=self.space.identity)

    @property
    def parameters(self) -> dict[str, bool | int | float | str]:
        """Return the name and the public hyperparameters, for the record.

        A search continues from a trace only if these are the same.
        """
        public = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        scalars = {k: v for k, v in public.items() if isinstance(v, bool | int | float | str)}
        return {"name": self.name} | scalars

    def _fresh(self, proposals: Sequence[Callable[[], Candidate]]) -> list[Candidate]:
        """Return an unseen candidate for each proposal, or fewer if the space has no more.

        If a proposal repeats known candidates only, a random candidate of the space replaces it, or
        finally the first unseen candidate in order.
        """
        fresh = []
        for propose in proposals[: self.space.size - len(self._seen)]:
            draws = (draw() for draw in (propose, self._sample) for _ in range(TRIES))
            unseen = (candidate for candidate in draws if candidate not in self._seen)
            candidate = next(unseen, None)
            if candidate is None:
                candidate = next(c for c in self.space if c not in self._seen)
            self._seen.add(candidate)
            fresh.append(candidate)
        return fresh

    def _new(self, candidates: Iterable[Candidate], most: int | None = None) -> list[Candidate]:
        """Return up to `most` of the given candidates that are unseen, and mark them as seen."""
        new = [candidate for candidate in dict.fromkeys(candidates) if candidate not in self._seen]
        self._seen.update(new[:most])
        return new[:most]

    def _sample(self) -> Candidate:
        return self.space.sample(self._rng)


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a number, not {shown(value)}")


class First:
    """The candidates that a solver tries before all others.

    Args:
        space: space of the candidates.
        given: the candidates, or a function that returns them at the first `ask`, such as a
            `Diagnosis`.

    Raises:
        ValueError: if a candidate does not fit the space.
    """

    def __init__(self, space: Space, given: FirstCandidates) -> None:
        self.space = space
        self.given = given if callable(given) else self._checked(given)

    def __call__(self) -> tuple[Candidate, ...]:
        """Return the candidates; a function is called once."""
        if callable(self.given):
            self.given = self._checked(self.given())
        return self.given

    @property
    def parameters(self) -> list[list[int]] | str:
        """Return the candidates or the function's name, ready for JSON."""
        return name_of(self.given) if callable(self.given) else [list(c) for c in self.given]

    def _checked(self, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
        found = check_each("first", candidates, lambda _, one: self.space.check(one))
        return tuple(tuple(map(int, candidate)) for candidate in found)
