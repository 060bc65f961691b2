"""Sampling: from noise to a clean latent in deterministic steps.

A rollout is a function of its initial latents, so any range of steps can be run alone: the first
steps without a graph and the next with one, as gradients through the sampler need. The scheduler
depends on the family: DDIM at eta = 0 (Song et al., 2021), which is first-order DPM-Solver++, or
Euler's method for a flow. Each rollout has a new scheduler, since schedulers may keep state.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch

from dpodiff.models.window import Windowed


class Scheduler(Protocol):
    """The methods of a diffusers scheduler that sampling needs.

    Examples:
        >>> scheduler = dpodiff.load("toy").scheduler(steps=4)
        >>> scheduler.timesteps.tolist()
        [999, 749, 499, 249]
    """

    @property
    def timesteps(self) -> torch.Tensor:
        """Timesteps of the rollout (steps,), in order."""
        ...

    def step(self, prediction: torch.Tensor, t: Any, x: torch.Tensor, /) -> Any:
        """Take one step; `prev_sample` of the result holds the latents after it."""
        ...


class Denoiser(Protocol):
    """The methods of a model that sampling needs; see `dpodiff.models.base.Model`.

    Examples:
        >>> from dpodiff.models.sampling import guided
        >>> class Half:
        ...     def denoise(self, x, t, embeddings):
        ...         return x / 2
        >>> guided(Half(), torch.ones(2), 0, None, None, guidance=1.0)
        tensor([0.5000, 0.5000])
    """

    def denoise(
        self, x: torch.Tensor, t: torch.Tensor | int, embeddings: torch.Tensor
    ) -> torch.Tensor:
        """Return the prediction from latents (batch, channel, h, w)."""
        ...

    def scheduler(self, steps: int) -> Scheduler:
        """Return a fresh scheduler for one rollout."""
        ...


def guided(
    model: Denoiser,
    x: torch.Tensor,
    t: torch.Tensor | int,
    positive: torch.Tensor,
    negative: torch.Tensor | Windowed,
    guidance: float,
) -> torch.Tensor:
    """Return the prediction under classifier-free guidance (Ho & Salimans, 2022).

    Args:
        model: model whose denoiser predicts.
        x: noisy latents (batch, channel, height, width).
        t: timestep of the noise schedule, one for the batch.
        positive: encoded prompts (batch, token, dim).
        negative: encoded negative prompts of the same shape, for the unconditional branch. Outside
            their windows, if they have any, the empty text replaces them.
        guidance: guidance weight; at most 1 means no guidance, and the negative branch is not run.

    Returns:
        prediction with the shape of `x`.

    Examples:
        >>> from dpodiff.models.sampling import guided
        >>> model = dpodiff.load("toy")
        >>> texts = model.encode(["a red ball"]), model.encode(["blurry"])
        >>> prediction = guided(model, model.latents([0]), 999, *texts, guidance=5.0)
        >>> tuple(prediction.shape), model.forwards
        ((1, 4, 16, 16), 2)
    """
    if guidance <= 1:
        return model.denoise(x, t, positive)
    if isinstance(negative, Windowed):
        negative = negative.at(t)
    if torch.is_grad_enabled() and not x.requires_grad:
        # Only a text that requires a gradient gets a graph.
        away, towards = (_with_graph_if_asked(model, x, t, text) for text in (negative, positive))
    else:
        prediction = model.denoise(torch.cat([x, x]), t, torch.cat([negative, positive]))
        away, towards = prediction.chunk(2)
    return away + guidance * (towards - away)  # eq. (models-guidance)


def _with_graph_if_asked(model: Denoiser, x: torch.Tensor, t, text: torch.Tensor) -> torch.Tensor:
    with torch.set_grad_enabled(text.requires_grad):
        return model.denoise(x, t, text)


def sample(
    model: Denoiser,
    x: torch.Tensor,
    positive: torch.Tensor,
    negative: torch.Tensor | Windowed,
    *,
    steps: int,
    guidance: float,
    start: int = 0,
    stop: int | None = None,
    predict: Callable[..., torch.Tensor] = guided,
) -> torch.Tensor:
    """Take the steps from `start` to before `stop` of a rollout; differentiable.

    Args:
        model: model whose denoiser and noise schedule are used.
        x: latents (batch, channel, height, width) before step `start`; noise if `start` is 0.
        positive: encoded prompts (batch, token, dim).
        negative: encoded negative prompts of the same shape, or with windows.
        steps: number of steps of the whole rollout, from noise to clean latents.
        guidance: weight of classifier-free guidance; at most 1 means none.
        start: the first step taken.
        stop: the first step not taken; None runs to the end.
        predict: function that makes the prediction of each step, called like `guided`. Gradient
            estimators keep or cut its graph here.

    Returns:
        latents before step `stop`, or clean ones at the end.

    Examples:
        >>> from dpodiff.models.sampling import sample
        >>> model = dpodiff.load("toy")
        >>> texts = model.encode(["a red ball"]), model.encode([""])
        >>> half = sample(model, model.latents([0]), *texts, steps=4, guidance=5.0, stop=2)
        >>> latents = sample(model, half, *texts, steps=4, guidance=5.0, start=2)
        >>> tuple(model.decode(latents).shape)
        (1, 3, 64, 64)
    """
    scheduler = model.scheduler(steps)
    for t in scheduler.timesteps[start:stop]:
        prediction = predict(model, x, t, positive, negative, guidance)
        # In half precision, the division by a small signal has a large error.
        wide = torch.promote_types(x.dtype, torch.float32)
        x = scheduler.step(prediction.to(wide), t, x.to(wide)).prev_sample.to(x.dtype)
    return x
