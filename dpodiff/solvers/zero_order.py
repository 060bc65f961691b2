"""Zero-order search of noise: try neighbors, move to the best (Ma et al., 2025, 2501.09732).

It needs no gradient of the loss or the model, so it is the baseline for DNO with a hybrid gradient.
From the current noise z of a seed, neighbors are drawn that are normal noise again,

    z' = sqrt(1 - radius^2) z + radius * xi,    xi normal,

so a single step does not leave the training distribution; only the repeated selection does, slowly.
With radius 1 a neighbor is independent of z, which is best of N.
"""

import math

import numpy as np
import torch

from dpodiff.checks import MOST, check_finite, check_whole
from dpodiff.objective.queries import NoiseEvaluation, NoiseQuery
from dpodiff.solvers.base import Solver
from dpodiff.solvers.dno import check_noise
from dpodiff.spaces.space import Space


class ZeroOrder(Solver):
    """Search in which each seed moves to the best of its neighbors, if one is better.

    Args:
        space: space of the objective; only the user's own prompt is used.
        noise: initial noise (seeds, vectors, channel, h, w), as `Objective.noise()` returns it.
        seed: seed of the neighbors.
        radius: distance of the neighbors, in (0, 1].
        neighbors: number of neighbors per move.

    Raises:
        ValueError: if an argument is out of its range; the message names it.

    Examples:
        >>> space, noise = dpodiff.Space("a red ball"), torch.randn(2, 1, 4, 16, 16)
        >>> solver = dpodiff.ZeroOrder(space, noise, radius=0.3)
        >>> torch.equal(solver.ask().noise, noise), solver.ask().estimator
        (True, None)
    """

    name = "zero-order"

    def __init__(
        self,
        space: Space,
        noise: torch.Tensor,
        *,
        seed: int = 0,
        radius: float = 0.3,
        neighbors: int = 4,
    ) -> None:
        super().__init__(space, seed=seed)
        check_noise(noise)
        check_finite("the radius of zero-order search", radius, most=1, above=0)
        check_whole("the neighbors of zero-order search", neighbors, 1, MOST)
        self.radius, self.neighbors = radius, neighbors
        self.noise = noise.detach().clone()
        self._best, self._values = self.noise.clone(), [math.inf] * len(noise)
        self._tried = -1  # the first evaluation is that of the initial noise
        # One generator per seed, so that the noise of a seed does not depend on the others.
        children = np.random.SeedSequence(seed).spawn(len(noise))
        states = [int(child.generate_state(1)[0]) for child in children]
        self._generators = [torch.Generator().manual_seed(state) for state in states]

    def ask(self) -> NoiseQuery:
        """Return a query for the losses of a neighbor of each noise; first of the noise itself."""
        noise = self.noise if self._tried < 0 else self._neighbor()
        return NoiseQuery(noise, self.space.identity)

    def _learn_noise(self, query: NoiseQuery, answer: NoiseEvaluation) -> None:
        """Keep the best noise, and move there after enough neighbors."""
        for row, value in enumerate(answer.values):
            if value < self._values[row]:
                self._values[row] = value
                self._best[row] = query.noise[row]
        self._tried += 1
        if self._tried == self.neighbors:
            self.noise, self._tried = self._best.clone(), 0

    def _neighbor(self) -> torch.Tensor:
        shape = self.noise.shape[1:]
        drawn = [torch.randn(shape, generator=generator) for generator in self._generators]
        way = torch.stack(drawn).to(self.noise)
        return math.sqrt(1 - self.radius**2) * self.noise + self.radius * way
