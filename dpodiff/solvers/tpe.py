"""TPE of Optuna, the tree-structured Parzen estimator (Bergstra et al., 2011), as a baseline.

This is a general-purpose optimizer for comparison, with one categorical parameter per slot. After a
random start it estimates two densities for each slot, those of the choices of good and of other
candidates. It proposes choices with a high ratio of the first to the second (Optuna: Akiba et al.,
2019).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dpodiff.checks import check_whole
from dpodiff.solvers.base import First, FirstCandidates, Solver
from dpodiff.spaces.space import Candidate, Space

if TYPE_CHECKING:
    import optuna

REPEATS = 10  # successive known proposals after which a candidate is drawn at random


class TPE(Solver):
    """Optuna's `TPESampler` with its defaults, asked for one candidate at a time.

    TPE may propose known candidates. Such a proposal costs nothing, and after ten in a row a
    candidate is drawn at random.

    Args:
        space: the space to search.
        seed: seed of the random numbers.
        startup: number of initial candidates at random, including those with known values.
        batch: number of candidates per `ask`; the estimator does not learn within a batch.
        first: candidates to evaluate before all others, or a function that returns them once the
            user's prompt is evaluated.

    Raises:
        ImportError: if Optuna is missing; the message says how to install it.
        ValueError: if a number is below 1, or a candidate of `first` does not fit the space.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> space = dpodiff.nplib_space("a red ball", NPLIB, slots=2)
        >>> solver = dpodiff.TPE(space, startup=4)
        >>> for _ in range(20):
        ...     (candidate,) = solver.ask()
        ...     solver.tell([candidate], [-sum(candidate)])
        >>> len(solver.values)
        20
    """

    name = "tpe"

    def __init__(
        self,
        space: Space,
        *,
        seed: int = 0,
        startup: int = 10,
        batch: int = 1,
        first: FirstCandidates = (),
    ) -> None:
        super().__init__(space, seed=seed)
        check_whole("TPE's startup", startup, 1)
        check_whole("TPE's batch", batch, 1)
        self.startup, self.batch, self.first = startup, batch, First(space, first)
        self._study = _study(seed, startup)
        self._distributions = _distributions(space)
        self._trials: dict[Candidate, optuna.Trial] = {}  # proposed, without a value yet

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name and the hyperparameters, for the record."""
        return super().parameters | {"first": self.first.parameters}

    def ask(self) -> list[Candidate]:
        """Return the given candidates, then the proposals of the estimator."""
        first = self._new(self.first())
        return first or [one for _ in range(self.batch) for one in self._propose()]

    def tell(self, candidates: Sequence[Candidate], values: Sequence[float]) -> None:
        """Process the values of candidates, whether or not the solver asked for them."""
        from optuna.trial import create_trial

        super().tell(candidates, values)
        for candidate in candidates:
            value = self.values[candidate]
            if candidate in self._trials:
                self._study.tell(self._trials.pop(candidate), value)
            else:
                names = self._distributions
                params = {name: candidate[int(name)] for name in names}
                trial = create_trial(params=params, distributions=names, value=value)
                self._study.add_trial(trial)

    def _propose(self) -> list[Candidate]:
        """Return a new candidate; none if all are known."""
        from optuna.trial import TrialState

        for _ in range(REPEATS):
            trial = self._study.ask(self._distributions)
            candidate = tuple(
                trial.params.get(str(place), 0) for place in range(len(self.space.slots))
            )
            if self._new([candidate]):
                self._trials[candidate] = trial
                return [candidate]
            self._study.tell(trial, state=TrialState.FAIL)
        return self._fresh([self._sample])


def _study(seed: int, startup: int) -> "optuna.Study":
    try:
        import optuna
    except ModuleNotFoundError:
        raise ImportError("TPE needs optuna: pip install 'dpodiff[optuna]'") from None
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it logs that it made a study
    try:
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)
        return optuna.create_study(sampler=sampler)
    finally:
        optuna.logging.set_verbosity(level)


def _distributions(space: Space) -> "dict[str, Any]":
    """Return one categorical parameter per slot with at least two choices."""
    from optuna.distributions import CategoricalDistribution

    return {
        str(place): CategoricalDistribution(range(len(slot.choices)))
        for place, slot in enumerate(space.slots)
        if len(slot.choices) > 1
    }
