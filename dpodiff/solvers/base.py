"""The interface of every solver: ask for candidates, be told their values, recommend one.

    solver = EPO(space, seed=0)
    candidates = solver.ask()
    solver.tell(candidates, [f(candidate) for candidate in candidates])
    solver.recommend()

A solver knows the space by its index operations only: it never sees a prompt, a model or an image.
`dpodiff.search` runs the first two alternately, with budget and trace, and returns the best
candidate that it evaluated itself. `recommend` is for those who run a solver without it.

Instead of candidates a solver may ask a question of `dpodiff.objective.queries`: a
`GradientQuery`, a `PreviewQuery` or a `NoiseQuery`. It gets the answer by `learn`, and asks again;
a subclass implements the method for each kind of query that it asks, such as `_learn_gradient`.
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

# Candidates, or what gives them at the first `ask`.
FirstCandidates = Iterable[Candidate] | Callable[[], Iterable[Candidate]]

TRIES = 100  # draws that may repeat a seen candidate before a surer way is taken


class Solver(ABC):
    """Base of the solvers that propose each candidate at most once.

    Args:
        space: where to search.
        seed: of the solver's own random numbers; equal seeds and equal values give equal searches.

    Attributes:
        name: short, for traces and legends.
        values: what was told so far, by candidate; lower is better, NaN counts as infinite.

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
        """Whether it asks for gradients, so that the loss must have one."""
        return False

    @abstractmethod
    def ask(self) -> list[Candidate] | Query:
        """The next candidates to evaluate, or another question; none if all have been seen."""

    @overload
    def learn(self, query: GradientQuery, answer: ValueAndGradient) -> None: ...
    @overload
    def learn(self, query: PreviewQuery, answer: Sequence[float]) -> None: ...
    @overload
    def learn(self, query: NoiseQuery, answer: NoiseEvaluation) -> None: ...
    def learn(self, query: Query, answer: Any) -> None:
        """Take the answer to a question that was asked instead of candidates.

        Raises:
            NotImplementedError: if the solver does not ask such questions.
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
        """What the solver believes now, JSON-ready, for the trace; nothing by default."""
        return {}

    def tell(self, candidates: Sequence[Candidate], values: Sequence[float]) -> None:
        """Learn the values of candidates, whether or not they were asked for.

        Raises:
            ValueError: if there is not one number for each candidate of the space.
        """
        candidates = check_each("candidates", candidates, lambda _, one: self.space.check(one))
        values = check_each("values", values, _check_value)
        if len(candidates) != len(values):
            raise ValueError(f"{len(candidates)} candidates, but {len(values)} values")
        for candidate, value in zip(candidates, values, strict=True):
            self._seen.add(candidate)
            self.values[candidate] = math.inf if math.isnan(value) else value

    def recommend(self) -> Candidate:
        """The best candidate told so far, or the user's own prompt if there is none."""
        return min(self.values, key=self.values.__getitem__, default=self.space.identity)

    @property
    def parameters(self) -> dict[str, bool | int | float | str]:
        """The name and the hyperparameters, for the record: all numbers and texts but private ones.

        A search goes on from a trace only if these are the same.
        """
        public = {k: v for k, v in vars(self).items() if not k.startswith("_")}
        scalars = {k: v for k, v in public.items() if isinstance(v, bool | int | float | str)}
        return {"name": self.name} | scalars

    def _fresh(self, proposals: Sequence[Callable[[], Candidate]]) -> list[Candidate]:
        """An unseen candidate from each proposal, or fewer if the space has no more of them.

        A proposal that only repeats what was seen falls back to the whole space at random, and then
        to the first unseen candidate in order.
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
        """Up to `most` of the given candidates, those not seen yet; from now on they are seen."""
        new = [candidate for candidate in dict.fromkeys(candidates) if candidate not in self._seen]
        self._seen.update(new[:most])
        return new[:most]

    def _sample(self) -> Candidate:
        return self.space.sample(self._rng)


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{name} must be a number, not {shown(value)}")


class First:
    """The candidates that a solver is told to try before all others.

    Args:
        space: of the candidates.
        given: the candidates, or a callable that gives them when the solver first asks, such as a
            `Diagnosis`.

    Raises:
        ValueError: if a candidate does not fit the space.
    """

    def __init__(self, space: Space, given: FirstCandidates) -> None:
        self.space = space
        self.given = given if callable(given) else self._checked(given)

    def __call__(self) -> tuple[Candidate, ...]:
        """The candidates; a callable is called once."""
        if callable(self.given):
            self.given = self._checked(self.given())
        return self.given

    @property
    def parameters(self) -> list[list[int]] | str:
        """JSON-ready, for the record."""
        return name_of(self.given) if callable(self.given) else [list(c) for c in self.given]

    def _checked(self, candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
        found = check_each("first", candidates, lambda _, one: self.space.check(one))
        return tuple(tuple(map(int, candidate)) for candidate in found)
