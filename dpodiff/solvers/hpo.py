"""HPO, the hybrid prompt optimizer of DPO-Diff (Wang et al., 2024, arXiv 2407.01606).

According to the paper, GPO learns fast which single words help and then plateaus, and EPO finds
pairs of words but starts at random. HPO is EPO with a first population drawn from GPO's
distribution. (It is unrelated to hyperparameter optimization.)

The gradient phase is paid for like other work: about 9 of 40 evaluations with the paper's schedule.
Only the rest of the budget is left for evolution.
"""

from collections.abc import Callable, Sequence
from typing import Any

from dpodiff.checks import check_callable
from dpodiff.objective.queries import GradientQuery, ValueAndGradient
from dpodiff.solvers.epo import EPO
from dpodiff.solvers.gpo import GPO
from dpodiff.spaces.space import Candidate, Space


class HPO(EPO):
    """A gradient phase, then evolution from its distribution; the defaults are the paper's.

    The first population begins with the most likely candidate, as the released code intends; the
    others are drawn. Candidates with known values, such as the user's own prompt, belong to it.

    Args:
        space: the space to search.
        steps: number of steps of the model's rollout.
        seed: seed of the random numbers.
        gpo: function that makes the solver of the gradient phase from the space, `steps` and
            `seed`. For other settings use `functools.partial(GPO, ...)`.
        population, parents, mutations, rate, crossovers: as in `EPO`.

    Attributes:
        gpo: the solver of the gradient phase.

    Raises:
        ValueError: as in `GPO` and `EPO`.

    Examples:
        >>> from dpodiff.toy.words import NPLIB
        >>> space = dpodiff.nplib_space("a red ball", NPLIB, slots=2)
        >>> solver = dpodiff.HPO(space, steps=50, population=8, parents=4)
        >>> solver.ask().estimator  # the gradient phase comes first
        Shortcut(step=15, k=1)
    """

    name = "hpo"

    def __init__(
        self,
        space: Space,
        *,
        steps: int,
        seed: int = 0,
        gpo: Callable[..., GPO] = GPO,
        population: int = 20,
        parents: int = 10,
        mutations: int = 10,
        rate: float = 0.1,
        crossovers: int = 10,
    ) -> None:
        super().__init__(
            space,
            seed=seed,
            population=population,
            parents=parents,
            mutations=mutations,
            rate=rate,
            crossovers=crossovers,
        )
        check_callable("gpo", gpo, "a callable that makes a GPO")
        self.gpo = gpo(space, steps=steps, seed=seed)

    @property
    def follows_gradients(self) -> bool:
        return True

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name and the hyperparameters of both phases, for the record."""
        return super().parameters | {"gpo": self.gpo.parameters}

    def ask(self) -> list[Candidate] | GradientQuery:
        """Return GPO's gradient queries while it learns, then candidates of EPO."""
        return self.gpo.ask() if self.gpo.learning else super().ask()

    def tell(self, candidates: Sequence[Candidate], values: Sequence[float]) -> None:
        """Process the values of candidates, whether or not the solver asked for them."""
        super().tell(candidates, values)
        self.gpo.tell(candidates, values)

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        """Pass the answer to GPO."""
        self.gpo.learn(query, answer)

    def state(self) -> dict[str, Any]:
        """Return the state of GPO."""
        return self.gpo.state()

    def _newcomers(self, count: int) -> list[Callable[[], Candidate]]:
        mode = self.gpo.relaxed.mode()
        first = [] if mode in self._seen else [lambda: mode]
        return (first + [self.gpo.sample] * count)[:count]
