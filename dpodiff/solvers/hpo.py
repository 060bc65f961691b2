"""HPO, the hybrid prompt optimizer of DPO-Diff (Wang et al., 2024, arXiv 2407.01606).

GPO learns fast which words help, one by one, and then, the paper says, stands still; EPO finds
pairs of words, but starts blind. HPO is EPO whose first population is drawn from what GPO learned.
(It has nothing to do with the tuning of hyperparameters.)

The gradient phase is paid for like any other work: about 9 of 40 evaluations with the paper's
schedule. What is left, not the whole budget, has to feed the evolution.
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

    The first population begins with the most likely candidate, as the released code means to; the
    others are drawn. Candidates told before, such as the user's own prompt, are members of it.

    Args:
        space: where to search.
        steps: of the model's rollout.
        seed: of the random numbers.
        gpo: makes the solver of the gradient phase from space, `steps` and `seed`; for other
            settings give `functools.partial(GPO, ...)`.
        population, parents, mutations, rate, crossovers: as in `EPO`.

    Attributes:
        gpo: the solver of the gradient phase.

    Raises:
        ValueError: as `GPO` and `EPO` do.

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
        """The name and the hyperparameters of both phases, for the record."""
        return super().parameters | {"gpo": self.gpo.parameters}

    def ask(self) -> list[Candidate] | GradientQuery:
        """What GPO asks while it learns, then what EPO does."""
        return self.gpo.ask() if self.gpo.learning else super().ask()

    def tell(self, candidates: Sequence[Candidate], values: Sequence[float]) -> None:
        """Learn the values of candidates, whether or not they were asked for."""
        super().tell(candidates, values)
        self.gpo.tell(candidates, values)

    def _learn_gradient(self, query: GradientQuery, answer: ValueAndGradient) -> None:
        """Hand the answer to GPO."""
        self.gpo.learn(query, answer)

    def state(self) -> dict[str, Any]:
        """What GPO believes."""
        return self.gpo.state()

    def _newcomers(self, count: int) -> list[Callable[[], Candidate]]:
        mode = self.gpo.relaxed.mode()
        first = [] if mode in self._seen else [lambda: mode]
        return (first + [self.gpo.sample] * count)[:count]
