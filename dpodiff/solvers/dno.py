"""DNO, direct noise optimization (Tang et al., 2024, arXiv 2405.18881), and its variant ReNO.

The prompt is fixed and the noise is optimized. Each seed is a separate problem,

    minimize over z    loss(image(z)) + gamma * improbability(z),

and all are solved in one batch: an update of one image does not depend on the others. The gradient
passes through the sampler. An iteration makes the image once and computes a gradient with
checkpoints, which costs four evaluations.

ReNO (Eyring et al., 2024, arXiv 2406.04312) was made for one-step models. On other models it uses a
rollout of a few steps. Its iterations are cheap, but lower the loss of another image than the full
rollout's. So the full rollout is evaluated at regular intervals.
"""

from typing import TYPE_CHECKING, Any

import torch

from dpodiff.checks import MOST, check_finite, check_kind, check_positive, check_whole
from dpodiff.gradients import Checkpointed, Full
from dpodiff.gradients.regularization import improbability, norm_surprise
from dpodiff.names import name_of
from dpodiff.objective.queries import NoiseEvaluation, NoiseQuery
from dpodiff.solvers.base import Solver
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    from dpodiff.gradients import Estimator, Hybrid


class DNO(Solver):
    """Gradient descent on the noise with AdamW; the defaults are the paper's.

    Args:
        space: space of the objective; only the user's own prompt is used.
        noise: initial noise (seeds, vectors, channel, h, w), as `Objective.noise()` returns it.
        seed: seed of permutations and perturbations.
        lr: learning rate of AdamW, about the change of an entry per iteration. There is no weight
            decay.
        gamma: weight of the improbability of the noise; 0 disables it.
        estimator: gradient estimator; `Hybrid()` for losses without a gradient.
        clip: largest norm of an image's gradient.
        k, permutations: as in `improbability`.

    Attributes:
        noise: current noise, a leaf tensor.
        taken: number of iterations so far.
        skipped: number of gradients of single images that were not finite; they counted as zero.

    Raises:
        ValueError: if an argument is out of its range; the message names it.

    Examples:
        >>> space, noise = dpodiff.Space("a red ball"), torch.randn(2, 1, 4, 16, 16)
        >>> solver = dpodiff.DNO(space, noise, lr=0.02)
        >>> query = solver.ask()
        >>> tuple(query.noise.shape), query.estimator
        ((2, 1, 4, 16, 16), Checkpointed())
    """

    name = "dno"

    def __init__(
        self,
        space: Space,
        noise: torch.Tensor,
        *,
        seed: int = 0,
        lr: float = 0.01,
        gamma: float = 0.0,
        estimator: "Estimator | Hybrid | None" = None,
        clip: float = 1.0,
        k: int = 4,
        permutations: int = 100,
    ) -> None:
        super().__init__(space, seed=seed)
        check_noise(noise)
        check_positive(self.name, lr=lr, clip=clip)
        check_finite(f"{self.name}'s gamma", gamma, 0)
        check_whole(f"{self.name}'s k", k, 1)
        check_whole(f"{self.name}'s permutations", permutations, 1, MOST)
        self.lr, self.gamma, self.clip = lr, gamma, clip
        self.k, self.permutations = k, permutations
        self.estimator = Checkpointed() if estimator is None else estimator
        self.noise = noise.detach().clone().requires_grad_()
        self.taken = self.skipped = 0
        self._permuting = torch.Generator().manual_seed(seed)
        self._optimizer = self._make_optimizer()
        self._penalty = torch.zeros(len(noise))

    @property
    def follows_gradients(self) -> bool:
        """Whether the loss must have a gradient; the hybrid estimator needs none."""
        from dpodiff.gradients import Hybrid

        return not isinstance(self.estimator, Hybrid)

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name and the hyperparameters, for the record."""
        vectors = self.noise.shape[1]
        return super().parameters | {"estimator": name_of(self.estimator), "vectors": vectors}

    def ask(self) -> NoiseQuery:
        """Return a query for the gradient at the current noise."""
        return self._query(self.estimator)

    def _learn_noise(self, query: NoiseQuery, answer: NoiseEvaluation) -> None:
        """Take a gradient step on loss and penalty."""
        if answer.gradients is None:
            raise ValueError(f"{self.name} learns from gradients, and this answer has none")
        self.taken += 1
        gradient = answer.gradients.to(self.noise)
        if self._penalty.requires_grad:
            gradient = (
                gradient + torch.autograd.grad(self.gamma * self._penalty.sum(), self.noise)[0]
            )
        flat = gradient.flatten(1)
        wrong = ~flat.isfinite().all(dim=1)
        self.skipped += int(wrong.sum())
        flat[wrong] = 0
        lengths = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        flat *= self.clip / lengths.clamp_min(self.clip)
        self.noise.grad = flat.view_as(self.noise)
        self._optimizer.step()

    def state(self) -> dict[str, Any]:
        """Return the mean penalty without its weight, and the number of skipped gradients."""
        return {"penalty": float(self._penalty.detach().mean()), "skipped": self.skipped}

    def penalties(self) -> tuple[float, ...]:
        """Return the weighted penalties of the current noise, one per seed."""
        if self.gamma > 0:
            self._penalty = self._improbability(self.noise)
        return tuple((self.gamma * self._penalty.detach()).tolist())

    def _query(
        self, estimator: "Estimator | Hybrid | None", steps: int | None = None
    ) -> NoiseQuery:
        return NoiseQuery(
            self.noise.detach().clone(),
            self.space.identity,
            estimator=estimator,
            steps=steps,
            penalties=self.penalties(),
            seed=int(self._rng.integers(2**31)),
        )

    def _improbability(self, noise: torch.Tensor) -> torch.Tensor:
        return improbability(noise, self._permuting, k=self.k, permutations=self.permutations)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW([self.noise], lr=self.lr, weight_decay=0.0)


class ReNO(DNO):
    """The few-step variant of DNO: Nesterov momentum, a penalty of the norm, a short rollout.

    After every `every` iterations the noise is evaluated on the full rollout, which costs an
    evaluation. Only these evaluations can be kept. The defaults are those of the release for
    one-step models, except `every` and `steps`, which it does not have.

    Args:
        space, noise, seed: as in `DNO`; with one vector per seed.
        steps: number of steps of the short rollout.
        every: number of iterations between two evaluations on the full rollout.
        lr, estimator, clip: as in `DNO`.
        gamma: weight of `norm_surprise`.
        momentum: Nesterov momentum.

    Raises:
        ValueError: if an argument is out of its range; the message names it.

    Examples:
        >>> space, noise = dpodiff.Space("a red ball"), torch.randn(2, 1, 4, 16, 16)
        >>> query = dpodiff.ReNO(space, noise, steps=2).ask()
        >>> query.steps, query.estimator
        (2, Full())
    """

    name = "reno"

    def __init__(
        self,
        space: Space,
        noise: torch.Tensor,
        *,
        seed: int = 0,
        steps: int = 2,
        every: int = 5,
        lr: float = 5.0,
        gamma: float = 0.01,
        estimator: "Estimator | Hybrid | None" = None,
        clip: float = 0.1,
        momentum: float = 0.9,
    ) -> None:
        self.steps, self.every, self.momentum = steps, every, momentum
        check_noise(noise)
        check_whole(f"{self.name}'s steps", steps, 1, MOST)
        check_whole(f"{self.name}'s every", every, 1)
        check_positive(self.name, momentum=momentum)
        if noise.shape[1] != 1:
            raise ValueError("reno has few steps, so none of their noise: set eta to 0")
        super().__init__(
            space,
            noise,
            seed=seed,
            lr=lr,
            gamma=gamma,
            estimator=Full() if estimator is None else estimator,
            clip=clip,
        )
        self._looked = 0

    def ask(self) -> NoiseQuery:
        """Return a query for a gradient of the short rollout, or for the losses of the full one."""
        if self.taken >= self._looked + self.every:
            return self._query(None)
        return self._query(self.estimator, steps=self.steps)

    def _learn_noise(self, query: NoiseQuery, answer: NoiseEvaluation) -> None:
        """Take a step after a gradient; an evaluation changes nothing."""
        if query.estimator is None:
            self._looked = self.taken
        else:
            super()._learn_noise(query, answer)

    def _improbability(self, noise: torch.Tensor) -> torch.Tensor:
        return norm_surprise(noise)

    def _make_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.SGD([self.noise], lr=self.lr, momentum=self.momentum, nesterov=True)


def check_noise(noise: torch.Tensor) -> None:
    """Check that a value is noise of some seeds.

    Raises:
        ValueError: if it is not; the message says what it must be.
    """
    shape = "a tensor (seeds, vectors, channel, h, w) of floating point"
    check_kind("noise", noise, torch.Tensor, shape)
    if noise.ndim != 5 or not noise.numel() or not noise.is_floating_point():
        raise ValueError(f"noise must be {shape}, not {tuple(noise.shape)} of {noise.dtype}")
