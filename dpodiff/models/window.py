"""Negative prompts that act during a part of the rollout (Ban et al., 2024, arXiv 2406.02965).

    prediction = e_w + guidance (e_positive - e_w),    e_w = e_negative inside the window
                                                       e_w = e_empty    outside of it

A window is a pair of shares of the steps, (start, end). Of N steps, those from round(start N) to
before round(end N) are inside. If start = end, no step is inside. The images of a batch may have
different windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dpodiff.checks import check_window

Window = tuple[float, float]


@dataclass(frozen=True)
class Windowed:
    """Encoded negative prompts with their windows; `sample` takes them like plain encodings.

    Attributes:
        inside: encodings of the negative prompts (batch, token, dim).
        outside: encodings of the empty text, of the same shape.
        active: timestep -> whether each image is in its window (batch,).

    Examples:
        >>> from dpodiff.models.sampling import sample
        >>> from dpodiff.models.window import windowed
        >>> model = dpodiff.load("toy")
        >>> texts = [model.encode([text]) for text in ("a red ball", "blurry", "")]
        >>> timesteps = model.scheduler(4).timesteps
        >>> negative = windowed(*texts[1:], [(0.25, 0.75)], timesteps)
        >>> [bool(negative.active[t]) for t in timesteps.tolist()]
        [False, True, True, False]
        >>> noise = model.latents([0])
        >>> latents = sample(model, noise, texts[0], negative, steps=4, guidance=5.0)
    """

    inside: torch.Tensor
    outside: torch.Tensor
    active: dict[float, torch.Tensor]

    def at(self, t: torch.Tensor | int) -> torch.Tensor:
        """Return the encodings (batch, token, dim) that act at a timestep of the rollout."""
        active = self.active[torch.as_tensor(t).item()]
        return torch.where(active.view(-1, 1, 1), self.inside, self.outside)


def windowed(
    inside: torch.Tensor,
    outside: torch.Tensor,
    windows: Sequence[Window | None],
    timesteps: torch.Tensor,
) -> Windowed:
    """Combine encoded negative prompts with their windows.

    Args:
        inside: encodings of the negative prompts (batch, token, dim).
        outside: encodings of the empty text, of the same shape, or one row for all.
        windows: one per image; None is all steps.
        timesteps: timesteps of the rollout, in order.

    Raises:
        ValueError: if a window is not a pair of shares of the steps in order, or the number of
            windows differs from the number of images.

    Examples:
        >>> from dpodiff.models.window import windowed
        >>> encodings = torch.ones(2, 3, 1), torch.zeros(1, 3, 1)
        >>> negative = windowed(*encodings, [None, (0.5, 1.0)], torch.tensor([900, 400]))
        >>> [negative.at(t)[:, 0, 0].tolist() for t in (900, 400)]
        [[1.0, 0.0], [1.0, 1.0]]
    """
    if len(windows) != len(inside):
        raise ValueError(f"one window per image is needed, not {len(windows)} for {len(inside)}")
    ranges = [steps_in(window, len(timesteps)) for window in windows]
    active = {
        t: torch.tensor([step in own for own in ranges], device=inside.device)
        for step, t in enumerate(timesteps.tolist())
    }
    return Windowed(inside, outside.expand_as(inside), active)


def steps_in(window: Window | None, steps: int) -> range:
    """Return the steps of a rollout that are inside a window.

    Raises:
        ValueError: if the window is invalid.

    Examples:
        >>> from dpodiff.models.window import steps_in
        >>> steps_in((1 / 6, 0.5), steps=6)
        range(1, 3)
        >>> steps_in(None, steps=6)
        range(0, 6)
    """
    if window is None:
        return range(steps)
    check_window("a window", window)
    start, end = window
    return range(round(start * steps), round(end * steps))
