"""Forward selection: which single change helps, then which of them help together.

A candidate of many random words says little about any one of them. Here the user's prompt is tried
with one slot changed at a time. A ridge regression of all values so far on the choices, one
coefficient per choice, gives the effect of each. Then each round tries the best effects together
and the neighbors of the best candidate, those first that the effects put lowest; so words that
helped alone are added, and words that do not help any more are taken out.

It is stepwise regression's forward selection (Efroymson, 1960) as a search. With a `Screening`
around it, `Screening(ForwardSelection(space), [Rung(seeds=1), Rung(seeds=2)])`, the changes race
over the seeds, and many more of them are tried at the same cost.
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
    """One-slot changes first, then their combinations, then the neighbors of the best.

    Args:
        space: where to search.
        seed: of the random numbers.
        singles: one-slot changes that are evaluated before any are combined. Every slot gets one
            before any gets two, the choices of a slot in their order.
        batch: candidates of a round after that.
        ridge: weight of the penalty that draws the effect of a choice to the mean effect of all.
        first: candidates that are evaluated before all others, or a callable that gives them once
            the user's prompt is evaluated, such as a `Diagnosis`.

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
        """The name and the hyperparameters, for the record."""
        return super().parameters | {"first": self.first.parameters}

    def ask(self) -> list[Candidate]:
        """One-slot changes until enough are known, then a round around the best candidate."""
        first = self._new([self.space.identity, *self.first()])
        known = sum(np.count_nonzero(candidate) == 1 for candidate in self.values)
        singles = self._new(self._one_slot_changes(), max(0, self.singles - known))
        return first + singles or self._round()

    def _one_slot_changes(self) -> list[Candidate]:
        """The user's prompt with one slot changed: all first choices, then all second ones, ..."""
        most = max((len(slot.choices) for slot in self.space.slots), default=0)
        return [
            _changed(self.space.identity, slot, choice)
            for choice in range(1, most)
            for slot in self._order
            if choice < len(self.space.slots[slot].choices)
        ]

    def _round(self) -> list[Candidate]:
        """The best effects together, then the best neighbors, then mutations if these run out."""
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
    """What each choice adds to the value of the user's own prompt, by ridge regression.

    Args:
        space: of the candidates.
        values: of candidates; infinite ones are left out.
        ridge: weight of the penalty on the distance of an effect from the mean effect, above 0.

    Returns:
        effects (choices,) per slot, 0 for the first choice; the mean effect for a choice that is in
        none of the candidates.

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
    """The two best slots at their best choices, then the three best, and so on."""
    helpful = [slot for slot, row in enumerate(effects) if len(row) and row.min() < 0]
    helpful.sort(key=lambda slot: effects[slot].min())
    candidate = (0,) * len(effects)
    together = []
    for slot in helpful:
        candidate = _changed(candidate, slot, int(effects[slot].argmin()))
        together.append(candidate)
    return together[1:]


def _neighbors(candidate: Candidate, effects: list[np.ndarray]) -> list[Candidate]:
    """The candidates with one slot changed, those first that the effects put lowest."""
    changes = [
        (row[choice] - row[candidate[slot]], slot, choice)
        for slot, row in enumerate(effects)
        for choice in range(len(row))
        if choice != candidate[slot]
    ]
    return [_changed(candidate, slot, choice) for _, slot, choice in sorted(changes)]


def _changed(candidate: Candidate, slot: int, choice: int) -> Candidate:
    return (*candidate[:slot], choice, *candidate[slot + 1 :])
