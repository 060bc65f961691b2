"""Sampling: from noise to a clean latent, one deterministic step at a time.

A rollout is a plain function of its start, so any stretch of it can be run alone: the first steps
without a graph and the next with one, as gradients through the sampler need. The scheduler is the
family's: DDIM at eta = 0 (Song et al., 2021), which is DPM-Solver++ of first order, or Euler's
method for a flow. It is made afresh for each rollout because schedulers may keep state.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch

from dpodiff.models.window import Windowed


class Scheduler(Protocol):
    """What sampling needs of a scheduler of diffusers.

    Examples:
        >>> scheduler = dpodiff.load("toy").scheduler(steps=4)
        >>> scheduler.timesteps.tolist()
        [999, 749, 499, 249]
    """

    @property
    def timesteps(self) -> torch.Tensor:
        """Of the rollout's steps (steps,), in order."""
        ...

    def step(self, prediction: torch.Tensor, t: Any, x: torch.Tensor, /) -> Any:
        """Takes one step; `prev_sample` of the result are the latents after it."""
        ...


class Denoiser(Protocol):
    """What sampling needs of a model; see `dpodiff.models.base.Model` for both methods.

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
        """The prediction from latents (batch, channel, h, w)."""
        ...

    def scheduler(self, steps: int) -> Scheduler:
        """A fresh scheduler for one rollout."""
        ...


def guided(
    model: Denoiser,
    x: torch.Tensor,
    t: torch.Tensor | int,
    positive: torch.Tensor,
    negative: torch.Tensor | Windowed,
    guidance: float,
) -> torch.Tensor:
    """The prediction under classifier-free guidance (Ho & Salimans, 2022).

    Args:
        model: whose denoiser predicts.
        x: noisy latents (batch, channel, height, width).
        t: timestep of the noise schedule, one for the batch.
        positive: encoded prompts (batch, token, dim).
        negative: encoded negative prompts, of the same shape; they take the place of the
            unconditional branch. If they have windows, the empty text does outside of these.
        guidance: weight; at most 1 means no guidance, and the negative branch is not run.

    Returns:
        prediction of the shape of `x`.

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
        # Only a text that asks for a gradient pays for a graph.
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
    """Takes the steps `start`, ..., `stop - 1` of a rollout of `steps`; differentiable.

    Args:
        model: whose denoiser and noise schedule are used.
        x: latents (batch, channel, height, width) as they are before step `start`; noise if it
            is 0.
        positive: encoded prompts (batch, token, dim).
        negative: encoded negative prompts, of the same shape, or with windows.
        steps: of the whole rollout, from noise to clean latents.
        guidance: weight of classifier-free guidance; at most 1 means none.
        start: the first step taken.
        stop: the first step not taken; None runs to the end.
        predict: makes the prediction of each step, called like `guided`; gradient estimators keep
            its graph or cut it here.

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
        # In half precision, the division by a small signal would be far off.
        wide = torch.promote_types(x.dtype, torch.float32)
        x = scheduler.step(prediction.to(wide), t, x.to(wide)).prev_sample.to(x.dtype)
    return x
