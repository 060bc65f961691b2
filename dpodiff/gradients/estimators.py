"""Estimators of gradients through the sampler, and their cost.

The image depends on the text at each of the N denoiser steps, and each step depends on the one
before. An estimator decides which of these paths keep a graph. Every estimator is a function from
noise and two encoded prompts to images with a graph, which may be incomplete.

    estimator        images           graph through                        memory   denoiser rows
    Full             final            all steps                            N        N, N back
    Checkpointed     final            all steps, recomputed when needed    1        2N, N back
    Truncated(k)     final            the last k steps                     k        N, k back
    SDO(s)           final            step s; the sampler's linear skips   1        N, 1 back
    DRTune(k)        final            k steps' texts; the linear skips     k        N, k back
    Shortcut(s, k)   x0-hat at s + k  k steps from s on                    k        s + k, k back

Memory is the number of step graphs; the decoder adds one. For large images both are kept in blocks
and recomputed in the backward pass (`dpodiff.models.blocks`).

A custom estimator is a frozen dataclass that subclasses `Estimator`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dpodiff.models.checkpointing import again
from dpodiff.models.sampling import guided, sample

if TYPE_CHECKING:
    from dpodiff.models.base import Model
    from dpodiff.models.window import Windowed


class Estimator(ABC):
    """An estimator of the gradient with respect to the texts or the noise.

    Examples:
        >>> class AfterTwo(dpodiff.gradients.Estimator):
        ...     def __call__(self, *arguments, **settings):
        ...         return dpodiff.gradients.Shortcut(step=2)(*arguments, **settings)
        >>> AfterTwo().is_final(steps=10)  # its images are estimates
        False
    """

    @abstractmethod
    def __call__(
        self,
        model: "Model",
        noise: torch.Tensor,
        positive: torch.Tensor,
        negative: "torch.Tensor | Windowed",
        *,
        steps: int,
        guidance: float,
    ) -> torch.Tensor:
        """Make images whose graph gives this estimator's gradient.

        Args:
            model: model that makes the images.
            noise: initial latents (batch, channel, h, w).
            positive: encoded prompts (batch, token, dim).
            negative: encoded negative prompts, of the same shape, or with windows.
            steps: number of steps of the rollout.
            guidance: weight of classifier-free guidance.

        Returns:
            images (batch, 3, height, width) in [0, 1].

        Raises:
            ValueError: if the estimator's steps lie outside the rollout.
        """

    def is_final(self, steps: int) -> bool:
        """Return whether the images are the final ones of a rollout of `steps`, not estimates.

        Only then do their losses count as an evaluation. The default is False.
        """
        return False


class _FinalEstimator(Estimator):
    """An estimator whose images are always the final ones."""

    def is_final(self, steps: int) -> bool:
        return True


@dataclass(frozen=True)
class Full(_FinalEstimator):
    """The exact gradient with the graph of every step in memory.

    Examples:
        >>> model = dpodiff.load("toy")
        >>> noise = model.latents([0]).requires_grad_()
        >>> texts = model.encode(["a red ball"]), model.encode([""])
        >>> images = dpodiff.gradients.Full()(model, noise, *texts, steps=2, guidance=5.0)
        >>> images.mean().backward()
        >>> noise.grad.shape == noise.shape, model.forwards, model.backwards
        (True, 4, 4)
    """

    def __call__(self, model, noise, positive, negative, *, steps, guidance):
        texts = positive, negative
        return model.decode(sample(model, noise, *texts, steps=steps, guidance=guidance))


@dataclass(frozen=True)
class Checkpointed(_FinalEstimator):
    """The exact gradient with the graph of each step recomputed (Chen et al., 2016).

    Examples:
        >>> model = dpodiff.load("toy")
        >>> noise = model.latents([0]).requires_grad_()
        >>> texts = model.encode(["a red ball"]), model.encode([""])
        >>> estimator = dpodiff.gradients.Checkpointed()
        >>> images = estimator(model, noise, *texts, steps=2, guidance=5.0)
        >>> images.mean().backward()
        >>> model.forwards, model.backwards  # each step is computed twice
        (8, 4)
    """

    def __call__(self, model, noise, positive, negative, *, steps, guidance):
        latents = sample(
            model,
            noise,
            positive,
            negative,
            steps=steps,
            guidance=guidance,
            predict=_checkpointed,
        )
        return again(model.decode, latents)


@dataclass(frozen=True)
class Truncated(_FinalEstimator):
    """The graph of the last `k` steps only (Clark et al., 2024, DRaFT-K).

    Examples:
        >>> truncated = dpodiff.gradients.Truncated(k=2)
        >>> truncated.is_final(steps=10)  # its images are the sampler's own
        True
    """

    k: int = 1

    def __call__(self, model, noise, positive, negative, *, steps, guidance):
        _check_steps(self, self.k, 1, steps)
        texts, start = (positive, negative), steps - self.k
        with torch.no_grad():
            x = sample(model, noise, *texts, steps=steps, guidance=guidance, stop=start)
        x = sample(model, x, *texts, steps=steps, guidance=guidance, start=start)
        return model.decode(x)


@dataclass(frozen=True)
class Shortcut(Estimator):
    """DPO-Diff's shortcut: take `k` steps with a graph from step `step`, then jump to x0-hat.

    The closed form of the clean latent from one prediction (eq. 8 of the paper) replaces all later
    steps. If no steps are left, it is not used, and the result is that of the sampler.

    Examples:
        >>> shortcut = dpodiff.gradients.Shortcut(step=3, k=1)
        >>> shortcut.is_final(steps=10), shortcut.is_final(steps=4)
        (False, True)
    """

    step: int
    k: int = 1

    def __call__(self, model, noise, positive, negative, *, steps, guidance):
        _check_steps(self, self.k, 1, steps)
        _check_steps(self, self.step, 0, steps - self.k)
        texts, start, end = (positive, negative), self.step, self.step + self.k
        with torch.no_grad():
            x = sample(model, noise, *texts, steps=steps, guidance=guidance, stop=start)
        # The last step with a graph gives only its prediction, unless the rollout ends.
        stop = end if end == steps else end - 1
        x = sample(model, x, *texts, steps=steps, guidance=guidance, start=start, stop=stop)
        if end == steps:
            return model.decode(x)
        t = model.scheduler(steps).timesteps[end - 1]
        # eq. (shortcut-gradient): x0-hat replaces all later steps
        return model.decode(model.predict_x0(x, t, guided(model, x, t, *texts, guidance)))

    def is_final(self, steps: int) -> bool:
        return self.step + self.k == steps


@dataclass(frozen=True)
class SDO(_FinalEstimator):
    """The graph of the denoiser at step `step`, and of the sampler's arithmetic at all others.

    Every step adds a multiple of its prediction to a multiple of its latent. These linear terms
    stay in the graph and carry the gradient of the final image back to the one step (2505.07477).

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly"], slots=1)
        >>> schedule = lambda steps: [dpodiff.gradients.SDO(step) for step in range(steps)]
        >>> dpodiff.GPO(space, steps=10, schedule=schedule).ask().estimator
        SDO(step=0)
    """

    step: int

    def __call__(self, model, noise, positive, negative, *, steps, guidance):
        _check_steps(self, self.step, 0, steps - 1)
        return _skipping(model, noise, positive, negative, {self.step}, steps, guidance, guided)


@dataclass(frozen=True)
class DRTune(_FinalEstimator):
    """The graph of the texts at `k` evenly spaced steps, not through the latents (2405.00760).

    Examples:
        >>> space, noise = dpodiff.Space("a red ball"), torch.randn(1, 1, 4, 16, 16)
        >>> estimator = dpodiff.gradients.DRTune(k=2)
        >>> solver = dpodiff.DNO(space, noise, estimator=estimator)
        >>> solver.ask().estimator
        DRTune(k=2)
    """

    k: int = 5

    def __call__(self, model, noise, positive, negative, *, steps, guidance):
        _check_steps(self, self.k, 1, steps)
        kept = {(2 * i + 1) * steps // (2 * self.k) for i in range(self.k)}
        return _skipping(model, noise, positive, negative, kept, steps, guidance, _input_detached)


def loss_scale(dtype: torch.dtype) -> float:
    """Return the factor by which to multiply a loss, and then to divide its gradient.

    In half precision a gradient could underflow in the layers (Micikevicius et al., 2018, mixed
    precision training).

    Examples:
        >>> dpodiff.gradients.loss_scale(torch.float16)
        1024.0
        >>> dpodiff.gradients.loss_scale(torch.float32)
        1.0
    """
    return 1024.0 if dtype == torch.float16 else 1.0


def _skipping(model, x, positive, negative, kept: set[int], steps, guidance, predict_kept):
    """Make images; steps that are not kept have a graph only through the scheduler's skip."""
    for index in range(steps):
        predict = predict_kept if index in kept else _without_graph
        x = sample(
            model,
            x,
            positive,
            negative,
            steps=steps,
            guidance=guidance,
            start=index,
            stop=index + 1,
            predict=predict,
        )
    return model.decode(x)


def _checkpointed(model, x, t, positive, negative, guidance):
    return again(guided, model, x, t, positive, negative, guidance)


def _input_detached(model, x, t, positive, negative, guidance):
    return guided(model, x.detach(), t, positive, negative, guidance)


def _without_graph(model, x, t, positive, negative, guidance):
    with torch.no_grad():
        return guided(model, x, t, positive, negative, guidance)


def _check_steps(estimator: Estimator, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{estimator}: {value} must lie from {low} to {high} in this rollout")
