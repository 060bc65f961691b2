"""Forward selection: find single changes that help, then combine them.

A candidate of many random words tells little about each word. Here the user's prompt is first
evaluated with one slot changed at a time. Ridge regression of all values on the choices, with one
coefficient per choice, estimates the effect of each. Each later round evaluates combinations of the
best effects, and those neighbors of the best candidate with the lowest predicted values. So helpful
words are added, and words that no longer help are removed.

This is forward selection of stepwise regression (Efroymson, 1960) used as a search. Inside a
`Screening`, `Screening(ForwardSelection(space), [Rung(seeds=1), Rung(seeds=2)])`, the changes race
over the seeds, so many more of them are tried at the same cost.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dpodiff.checks import check_finite, check_whole
from dpodiff.solvers.base import First, FirstCandidates, Solver
from dpodiff.spaces.space import Candidate, Space


class ForwardSelection(Solver):
    """Search of one-slot changes, then of their combinations and the neighbors of the best.

    Args:
        space: the space to search.
        seed: seed of the random numbers.
        singles: number of one-slot changes to evaluate before any are combined. Every slot gets one
            before any slot gets two; the choices of a slot are taken in order.
        batch: number of candidates per later round.
        ridge: weight of the penalty that pulls the effect of a choice to the mean effect.
        first: candidates to evaluate before all others, or a function that returns them once the
            user's prompt is evaluated, such as a `Diagnosis`.

    Raises:
        ValueError: if a number is out of its range, or a candidate of `first` does not fit.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> space = dpodiff.nplib_space("a red ball", NPLIB, slots=2)
        >>> solver = dpodiff.ForwardSelection(space, singles=2, batch=2)
        >>> for _ in range(3):
        ...     candidates = solver.ask()
        ...     print(candidates)
        ...     solver.tell(candidates, [-sum(candidate) for candidate in candidates])
        [(0, 0), (1, 0), (0, 1)]
        [(1, 1), (1, 2)]
        [(2, 2), (3, 2)]
    """

    name = "forward selection"

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        singles: int = 12,
        batch: int = 4,
        ridge: float = 1.0,
        first: FirstCandidates = (),
    ) -> None:
        super().__init__(space, seed=seed)
        check_whole("the singles of forward selection", singles, 1)
        check_whole("the batch of forward selection", batch, 1)
        check_finite("the ridge of forward selection", ridge, above=0)
        self.singles, self.batch, self.ridge = singles, batch, ridge
        self.first = First(space, first)
        self._order = self._rng.permutation(len(space.slots)).tolist()

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name and the hyperparameters, for the record."""
        return super().parameters | {"first": self.first.parameters}

    def ask(self) -> list[Candidate]:
        """Return one-slot changes until enough are known, then rounds around the best candidate."""
        first = self._new([self.space.identity, *self.first()])
        known = sum(np.count_nonzero(candidate) == 1 for candidate in self.values)
        singles = self._new(self._one_slot_changes(), max(0, self.singles - known))
        return first + singles or self._round()

    def _one_slot_changes(self) -> list[Candidate]:
        """Return all one-slot changes: the first choices of all slots, then the second choices."""
        most = max((len(slot.choices) for slot in self.space.slots), default=0)
        return [
            _changed(self.space.identity, slot, choice)
            for choice in range(1, most)
            for slot in self._order
            if choice < len(self.space.slots[slot].choices)
        ]

    def _round(self) -> list[Candidate]:
        """Return combinations of the best effects, then the best neighbors, then mutations."""
        effects = additive_effects(self.space, self.values, self.ridge)
        best = self.recommend()
        together = [c for c in _best_together(effects) if c not in self._seen]
        together = together[: max(1, self.batch // 2)]
        chosen = self._new([*together, *_neighbors(best, effects)], self.batch)
        mutations = [lambda: self.space.mutate(best, self._rng)] * (self.batch - len(chosen))
        return chosen + self._fresh(mutations)

    def _sample(self) -> Candidate:
        return self.space.sample_near(self._rng, 2)


def additive_effects(
    space: Space, values: Mapping[Candidate, float], ridge: float = 1.0
) -> list[np.ndarray]:
    """Estimate the effect of each choice on the value of the user's prompt by ridge regression.

    Args:
        space: space of the candidates.
        values: values by candidate; infinite ones are ignored.
        ridge: weight of the penalty on the distance of an effect from the mean effect, above 0.

    Returns:
        effects (choices,) per slot, 0 for the first choice. A choice that is in no candidate has
        the mean effect.

    Examples:
        >>> from dpodiff.solvers.forward_selection import additive_effects
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly", "dark"], slots=1)
        >>> values = {(0,): 0.5, (1,): 0.3, (2,): 0.5}
        >>> additive_effects(space, values, ridge=1.0)[0].round(2)
        array([ 0.  , -0.15, -0.05, -0.1 ])
    """
    finite = {c: value for c, value in values.items() if math.isfinite(value)}
    sizes = [len(slot.choices) for slot in space.slots]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    chosen = np.zeros((len(finite), starts[-1]))  # one-hot, (candidates, choices of all slots)
    for row, candidate in enumerate(finite):
        changed = [start + k for start, k in zip(starts, candidate) if k]
        chosen[row, changed] = 1.0
    own = finite.get(space.identity, 0.0)
    gains = np.array([value - own for value in finite.values()])
    mean = gains.sum() / max(1.0, chosen.sum())
    rest = gains - mean * chosen.sum(axis=1)
    penalty = ridge * np.eye(starts[-1])
    effects = mean + np.linalg.solve(chosen.T @ chosen + penalty, chosen.T @ rest)
    effects[starts[:-1]] = 0.0
    return [effects[start:end] for start, end in itertools.pairwise(starts)]


def _best_together(effects: list[np.ndarray]) -> list[Candidate]:
    """Return the best choices of the two best slots, then of the three best, and so on."""
    helpful = [slot for slot, row in enumerate(effects) if len(row) and row.min() < 0]
    helpful.sort(key=lambda slot: effects[slot].min())
    candidate = (0,) * len(effects)
    together = []
    for slot in helpful:
        candidate = _changed(candidate, slot, int(effects[slot].argmin()))
        together.append(candidate)
    return together[1:]


def _neighbors(candidate: Candidate, effects: list[np.ndarray]) -> list[Candidate]:
    """Return the candidates with one slot changed, the lowest predicted value first."""
    changes = [
        (row[choice] - row[candidate[slot]], slot, choice)
        for slot, row in enumerate(effects)
        for choice in range(len(row))
        if choice != candidate[slot]
    ]
    return [_changed(candidate, slot, choice) for _, slot, choice in sorted(changes)]


def _changed(candidate: Candidate, slot: int, choice: int) -> Candidate:
    return (*candidate[:slot], choice, *candidate[slot + 1 :])
