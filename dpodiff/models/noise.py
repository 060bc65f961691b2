"""Noise as a variable: the initial noise of a rollout, and the noise added at each step.

DDIM (Song et al., 2021) with eta = 0 is an ODE: the initial noise x_T determines the image. With
eta > 0 it is an SDE. Each step adds fresh noise, and all of these vectors determine the image:

    eta        vectors of an image            added at step i
    0          x_T                             nothing
    (0, 1]     x_T and one per step, N + 1     eta sigma_i z_i; eta = 1 adds as much as DDPM

The vectors form one tensor (seeds, vectors, channel, h, w). `FixedNoise` is a model with this noise
instead of seeds. Its scheduler adds the vectors. So samplers and gradient estimators work with it
unchanged, and gradients reach the vectors.
"""

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch

from dpodiff.models.base import Model
from dpodiff.models.sampling import Scheduler

if TYPE_CHECKING:
    from dpodiff.models.mixture import Piece


def check_eta(eta: float) -> None:
    """Check that eta is a share of DDPM's noise.

    Raises:
        ValueError: if eta is not a number in [0, 1].
    """
    if isinstance(eta, bool) or not isinstance(eta, Real) or not 0 <= eta <= 1:
        raise ValueError(f"eta must lie from 0 (ODE) to 1 (as much noise as DDPM), not {eta!r}")


def draw(model: Model, seeds: Sequence[int], eta: float = 0.0) -> torch.Tensor:
    """Return the noise of seeds (seeds, vectors, channel, h, w), at least float32.

    The first vector is the model's initial noise for the seed. The others are drawn after it in the
    order of the stock pipeline, so a seed gives the same image as the pipeline at any eta. Each row
    depends only on its own seed.

    Args:
        model: model whose noise is drawn.
        seeds: one per image.
        eta: 0 gives one vector per image, a value above 0 gives `model.steps` more.

    Examples:
        >>> from dpodiff.models.noise import draw
        >>> model = dpodiff.load("toy")
        >>> tuple(draw(model, seeds=[0, 1]).shape)
        (2, 1, 4, 16, 16)
        >>> tuple(draw(model, seeds=[0, 1], eta=1.0).shape)  # one more for each of 6 steps
        (2, 7, 4, 16, 16)
    """
    start = model.latents(seeds)
    start = start.to(torch.promote_types(start.dtype, torch.float32)).unsqueeze(1)
    if eta == 0:
        return start
    shape = (1, *start.shape[2:])
    later = [torch.cat(list(_later(seed, shape, model.steps))) for seed in seeds]
    return torch.cat([start, torch.stack(later).to(start)], dim=1)


def _later(seed: int, shape: tuple[int, ...], steps: int) -> Iterator[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    torch.randn(shape, generator=generator)  # skip the model's initial noise
    return (torch.randn(shape, generator=generator) for _ in range(steps))


class FixedNoise(Model):
    """A model whose rollouts use given noise; everything else is unchanged.

    Args:
        model: a model of any family; with eta > 0 it must be sampled with DDIM.
        noise: (batch, vectors, channel, h, w), which may require gradients. The gradient reaches
            all vectors that an estimator keeps.
        eta: share of DDPM's noise that a step adds, in [0, 1].

    Raises:
        ValueError: if the number of vectors does not fit eta and the model's number of steps.

    Examples:
        >>> from dpodiff.models.noise import FixedNoise, draw
        >>> model = dpodiff.load("toy")
        >>> fixed = FixedNoise(model, draw(model, seeds=[3]))
        >>> torch.equal(fixed.latents(), model.latents([3]))
        True
    """

    def __init__(self, model: Model, noise: torch.Tensor, eta: float = 0.0) -> None:
        check_eta(eta)
        vectors = 1 + model.steps if eta > 0 else 1
        if noise.ndim != 5 or noise.shape[1] != vectors:
            raise ValueError(
                f"at eta = {eta} the noise must be (seeds, {vectors}, channel, h, w), "
                f"not {tuple(noise.shape)}"
            )
        self.model, self.noise, self.eta = model, noise, eta
        self.name, self.device, self.dtype = model.name, model.device, model.dtype
        self.steps, self.guidance = model.steps, model.guidance
        self.image_size = model.image_size

    @property
    def takes_negative(self) -> bool:
        return self.model.takes_negative

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        self.model.check(prompt, negative_prompt)

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        return self.model.encode(texts)

    def encode_mixture(self, pieces: "Sequence[Piece]") -> torch.Tensor:
        return self.model.encode_mixture(pieces)

    def latents(self, seeds: Sequence[int] = ()) -> torch.Tensor:
        """Return the first vectors (batch, channel, h, w) for any seeds."""
        return self.noise[:, 0].to(self.model.dtype)

    def scheduler(self, steps: int) -> Scheduler:
        """Return a fresh scheduler for one rollout that adds the other vectors."""
        from diffusers import DDIMScheduler

        scheduler = self.model.scheduler(steps)
        if self.eta == 0:
            return scheduler
        if steps != self.model.steps:
            raise ValueError(
                f"at eta = {self.eta} the noise is for {self.model.steps} steps, not {steps}"
            )
        if not isinstance(scheduler, DDIMScheduler):
            raise ValueError(
                f"eta = {self.eta} needs DDIM; {self.model.name} is sampled with "
                f"{type(scheduler).__name__}, which adds no noise: set eta to 0"
            )
        return _Stochastic(scheduler, self.noise[:, 1:].unbind(1), self.eta)

    def _denoise(
        self, x: torch.Tensor, t: torch.Tensor | int, embeddings: torch.Tensor
    ) -> torch.Tensor:
        return self.model.denoise(x, t, embeddings)  # so that the model counts its rows

    def predict_x0(
        self, x: torch.Tensor, t: torch.Tensor | int, prediction: torch.Tensor
    ) -> torch.Tensor:
        return self.model.predict_x0(x, t, prediction)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return self.model.decode(latents)


class _Stochastic:
    """A DDIM scheduler whose steps add given noise."""

    # Any: diffusers annotates timesteps as int, and passes tensors.
    def __init__(self, scheduler: Any, noises: Sequence[torch.Tensor], eta: float) -> None:
        self.scheduler, self.eta = scheduler, eta
        self.timesteps: torch.Tensor = scheduler.timesteps
        self._noise_of = dict(zip(self.timesteps.tolist(), noises, strict=True))

    def step(self, prediction: torch.Tensor, t: torch.Tensor, x: torch.Tensor, /) -> Any:
        noise = self._noise_of[t.item()].to(x.dtype)
        return self.scheduler.step(prediction, t, x, eta=self.eta, variance_noise=noise)
