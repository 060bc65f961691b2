"""Common parts of losses: checks of their input, gradients, and rewards as losses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch

from dpodiff.checks import check_texts, shown
from dpodiff.models.devices import choose_device
from dpodiff.names import name_of

# Images (batch, 3, height, width) in [0, 1] and their prompts -> losses (batch,).
Loss = Callable[[torch.Tensor, list[str]], torch.Tensor]


def is_differentiable(loss: Callable[..., Any]) -> bool:
    """Return whether a loss has a gradient in the images.

    A loss without a gradient has the attribute `differentiable = False`; any other has one.

    Examples:
        >>> dpodiff.losses.is_differentiable(dpodiff.losses.white)
        True
        >>> dpodiff.losses.is_differentiable(dpodiff.losses.JPEG())
        False
    """
    return getattr(loss, "differentiable", True)


def check_differentiable(loss: Callable[..., Any]) -> None:
    """Refuse a loss without a gradient, before any image is made.

    Raises:
        ValueError: if it has none; the message names solvers that need no gradient.

    Examples:
        >>> dpodiff.losses.check_differentiable(dpodiff.losses.white)  # passes
        >>> try:
        ...     dpodiff.losses.check_differentiable(dpodiff.losses.JPEG())
        ... except ValueError as error:
        ...     print(str(error).split(",")[0])
        the loss JPEG(95) has no gradient in the images
    """
    if not is_differentiable(loss):
        raise ValueError(
            f"the loss {name_of(loss)} has no gradient in the images, so nothing can follow it; "
            "the solvers 'epo' and 'random' take it as a black box, and for noise do "
            "align(estimator='hybrid') and the methods 'zero-order' and 'best-of-n'"
        )


def check_prompt(loss: Callable[..., Any], prompt: str) -> None:
    """Refuse a prompt that a loss cannot score, before any image is made.

    A loss that cannot score every prompt, or is not ready, has a method `check(prompt)` that
    raises.

    Raises:
        ValueError: from the `check` of the loss.

    Examples:
        >>> dpodiff.losses.check_prompt(dpodiff.losses.white, "a red ball")  # passes
        >>> clip = dpodiff.SphericalCLIP("toy", device="cpu")
        >>> loss = dpodiff.losses.Contrastive(clip, contrasts=lambda prompt: [])
        >>> try:
        ...     dpodiff.losses.check_prompt(loss, "a red ball")
        ... except ValueError as error:
        ...     print(str(error).split(":")[0])
        'a red ball' has no contrast prompt
    """
    check = getattr(loss, "check", None)
    if callable(check):
        check(prompt)


def values(loss: Callable[..., Any], images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
    """Call a loss; return floating point (batch,) on the device of the images, with its graph.

    A loss may also return a list or an array of numbers, or whole numbers.

    Raises:
        ValueError: if it returns another shape or other values; the message names the loss.
    """
    found, said = loss(images, prompts), f"the loss {name_of(loss)} returned"
    if isinstance(found, np.ndarray | np.generic | list | tuple | Real):
        found = _from_numbers(found, said)
    if not isinstance(found, torch.Tensor):
        raise ValueError(f"{said} {shown(found)}; one number per image is needed, (batch,)")
    if tuple(found.shape) != (len(images),):
        raise ValueError(f"{said} {tuple(found.shape)} for a batch of {len(images)}")
    unreal = found.dtype == torch.bool or found.is_complex() or found.is_meta
    if unreal or found.layout is not torch.strided:
        kind = "meta" if found.is_meta else found.dtype
        raise ValueError(f"{said} {kind} values; real numbers are needed, one per image")
    wide = torch.float32 if images.device.type == "mps" else torch.float64
    if found.dtype == torch.float64 or not found.is_floating_point():
        found = found.to(wide)
    return found.to(images.device)


def _from_numbers(found: Any, said: str) -> torch.Tensor:
    """Convert a list or an array to a tensor; ValueError if it does not hold real numbers only."""
    try:
        array = np.asarray(found)
    except ValueError:  # rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise ValueError(f"{said} {shown(found)}; real numbers are needed, one per image")
    return torch.from_numpy(array.astype(float))


def by_prompt(
    features: torch.Tensor,
    prompts: Sequence[str],
    losses_of: Callable[[torch.Tensor, str], torch.Tensor],
) -> torch.Tensor:
    """Return losses (batch,) in float32, computed for each distinct prompt once.

    Args:
        features: features of the images (batch, dim).
        prompts: one per image.
        losses_of: function from the features of one prompt's images, and the prompt, to losses.
    """
    losses = torch.empty(len(prompts), device=features.device, dtype=features.dtype)
    for prompt in dict.fromkeys(prompts):
        rows = torch.tensor([other == prompt for other in prompts], device=features.device)
        losses[rows] = losses_of(features[rows], prompt)
    return losses.float()


def no_contrast(prompt: str) -> ValueError:
    """Return the error for a prompt that a contrastive loss cannot score."""
    return ValueError(
        f"{prompt!r} has no contrast prompt: the lexicon knows an opposite of none of its words. "
        "Give another lexicon, or another loss"
    )


class Reward(ABC):
    """A score of images, where more is better, as a loss: its negative.

    Attributes:
        differentiable: whether it has a gradient in the images.
        device: device of the computation.
        source: source of its weights.

    Examples:
        >>> class Redness(dpodiff.losses.Reward):
        ...     def _score(self, images, prompts):
        ...         return images[:, 0].mean(dim=(1, 2))
        >>> loss, images = Redness("no weights", device="cpu"), torch.ones(1, 3, 8, 8)
        >>> loss.reward(images, ["a wall"]), loss(images, ["a wall"])
        (tensor([1.]), tensor([-1.]))
    """

    differentiable = True

    def __init__(self, source: str, device: str | torch.device | None) -> None:
        self.source = source
        self.device = choose_device(device)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source!r})"

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return minus the reward of each image for its own prompt.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            prompts: one per image.

        Returns:
            losses (batch,), float32.

        Raises:
            ValueError: if the images have another layout or range, or the numbers of images and
                prompts differ.
        """
        return -self.reward(images, prompts)

    def reward(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the reward (batch,) as published; arguments and errors are those of a call."""
        check_pairs(images, prompts)
        return self._score(images.to(self.device), list(prompts))

    @abstractmethod
    def _score(self, images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        """Return the reward (batch,) of checked images on this device."""


def check_pairs(images: torch.Tensor, prompts: Sequence[str]) -> None:
    """Check a batch of images with one prompt each.

    Raises:
        ValueError: if the images have another layout or range, or the numbers of images and prompts
            differ.
    """
    check_images(images)
    check_texts("prompts", prompts)
    if len(prompts) != len(images):
        raise ValueError(f"{len(images)} images need as many prompts, not {len(prompts)}")


def check_images(images: torch.Tensor) -> None:
    """Check a batch of images (batch, 3, height, width) in [0, 1].

    Raises:
        ValueError: if it has another layout or range; the message says which.
    """
    if not isinstance(images, torch.Tensor):
        raise ValueError(f"images must be a tensor (batch, 3, height, width), not {shown(images)}")
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1] != 3:
        hint = "; images.permute(0, 3, 1, 2) puts the channels second" if shape[3:] == (3,) else ""
        raise ValueError(f"images must be (batch, 3, height, width), not {shape}{hint}")
    if not images.is_floating_point():
        raise ValueError(f"images must be floating point in [0, 1], not {images.dtype}")
    if not images.numel():
        raise ValueError(f"images are empty: {shape}")
    low, high = images.detach().aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images must lie in [0, 1], not in [{low:.3g}, {high:.3g}]")
