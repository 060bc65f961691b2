"""Gradients through the sampler: how d loss / d text embedding is got, and what it costs.

The image depends on the text at every one of the N denoiser steps, each fed by the one before. An
estimator decides which of these paths keep a graph. All of them are one kind of function: from
noise and two encoded prompts to images, with a graph that says less or more.

    estimator        images of        graph through                        memory   denoiser rows
    Full             the true end       all steps                            N        N, N back
    Checkpointed     the true end       all steps, recomputed when needed    1        2N, N back
    Truncated(k)     the true end       the last k steps                     k        N, k back
    SDO(s)           the true end       step s; the sampler's linear skips   1        N, 1 back
    DRTune(k)        the true end       k steps' texts; the linear skips     k        N, k back
    Shortcut(s, k)   x0-hat at s + k    k steps from s on                    k        s + k, k back

Memory is counted in graphs of a step; the decoder's is one more for all. Where images are large,
either is kept in blocks and recomputed in the backward pass (`dpodiff.models.blocks`).

A new one is a frozen dataclass that subclasses `Estimator`; `Objective.gradient` does the rest.
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
    """Images with a graph to the texts, or to the noise.

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
        """Make images whose graph carries this estimator's gradient.

        Args:
            model: makes them.
            noise: latents (batch, channel, h, w) to start from.
            positive: encoded prompts (batch, token, dim).
            negative: encoded negative prompts, of the same shape, or with windows.
            steps: of the rollout.
            guidance: weight of classifier-free guidance.

        Returns:
            images (batch, 3, height, width) in [0, 1].

        Raises:
            ValueError: if the estimator's own steps lie outside the rollout.
        """

    def is_final(self, steps: int) -> bool:
        """Whether the images are the sampler's own in a rollout of `steps`, not estimates of them.

        Only then do their losses count as an evaluation. An estimator that does not say so makes
        estimates.
        """
        return False


class _FinalEstimator(Estimator):
    """An estimator whose images are always the sampler's own."""

    def is_final(self, steps: int) -> bool:
        return True


@dataclass(frozen=True)
class Full(_FinalEstimator):
    """The exact gradient, by keeping the graph of every step.

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
    """The exact gradient, each step's graph recomputed in the backward pass (Chen et al., 2016).

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
    """DPO-Diff's shortcut: from step `step` take `k` steps with a graph, then jump to x0-hat.

    The closed form of the clean latent from one prediction (eq. 8 of the paper) takes the place of
    all later steps. Where none are left it is not needed, and this is the sampler itself.

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
        # Of the last step with a graph, only the prediction is wanted, unless the rollout ends.
        stop = end if end == steps else end - 1
        x = sample(model, x, *texts, steps=steps, guidance=guidance, start=start, stop=stop)
        if end == steps:
            return model.decode(x)
        t = model.scheduler(steps).timesteps[end - 1]
        # eq. (shortcut-gradient): x0-hat takes the place of all later steps
        return model.decode(model.predict_x0(x, t, guided(model, x, t, *texts, guidance)))

    def is_final(self, steps: int) -> bool:
        return self.step + self.k == steps


@dataclass(frozen=True)
class SDO(_FinalEstimator):
    """The graph of the denoiser at step `step`, and of the sampler's own arithmetic at all others.

    Every step adds a multiple of its prediction to a multiple of its latent. Kept differentiable,
    the multiples carry the gradient of the true image back to the one step (2505.07477).

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
    """The graph of the texts at `k` evenly spread steps, none through the latents (2405.00760).

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
    """What to multiply a loss by, and then to divide its gradient by.

    In half precision a gradient would vanish on its way through the layers (Micikevicius et al.,
    2018, mixed precision training).

    Examples:
        >>> dpodiff.gradients.loss_scale(torch.float16)
        1024.0
        >>> dpodiff.gradients.loss_scale(torch.float32)
        1.0
    """
    return 1024.0 if dtype == torch.float16 else 1.0


def _skipping(model, x, positive, negative, kept: set[int], steps, guidance, predict_kept):
    """Images of a rollout; a step not kept has a graph through the scheduler's skip alone."""
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
