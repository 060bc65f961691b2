"""What losses share: what they are given, whether they have a gradient, and rewards as losses."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch

from dpodiff.checks import check_texts, shown
from dpodiff.models.devices import choose_device
from dpodiff.names import name_of

# Images (batch, 3, height, width) in [0, 1] and their prompts -> (batch,), to be minimized.
Loss = Callable[[torch.Tensor, list[str]], torch.Tensor]


def is_differentiable(loss: Callable[..., Any]) -> bool:
    """Whether a loss has a gradient in the images.

    A loss without one says so by an attribute `differentiable = False`; any other has one.

    Examples:
        >>> dpodiff.losses.is_differentiable(dpodiff.losses.white)
        True
        >>> dpodiff.losses.is_differentiable(dpodiff.losses.JPEG())
        False
    """
    return getattr(loss, "differentiable", True)


def check_differentiable(loss: Callable[..., Any]) -> None:
    """Refuses a loss without a gradient, before any image is made.

    Raises:
        ValueError: naming the solvers that need no gradient.

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
    """Refuses a prompt that a loss cannot judge, before any image is made.

    A loss that cannot judge every prompt, or is not ready, says so by a method `check` of a prompt.

    Raises:
        ValueError: as the loss's own `check` does.

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
    """What a loss gives, floating point (batch,), on the device of the images, with its graph.

    A list or an array of numbers is taken as well, and so are whole numbers.

    Raises:
        ValueError: naming the loss, if it gives another shape, or no real numbers.
    """
    found, said = loss(images, prompts), f"the loss {name_of(loss)} gave"
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
    """A tensor of a list or an array; ValueError if it holds anything but real numbers."""
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
    """Losses (batch,) in float32 of images whose texts differ, each prompt taken once.

    Args:
        features: of the images, (batch, dim).
        prompts: one an image.
        losses_of: from the features of one prompt's images, and the prompt, to their losses.
    """
    losses = torch.empty(len(prompts), device=features.device, dtype=features.dtype)
    for prompt in dict.fromkeys(prompts):
        rows = torch.tensor([other == prompt for other in prompts], device=features.device)
        losses[rows] = losses_of(features[rows], prompt)
    return losses.float()


def no_contrast(prompt: str) -> ValueError:
    """The error for a prompt that a contrastive loss cannot judge."""
    return ValueError(
        f"{prompt!r} has no contrast prompt: the lexicon knows an opposite of none of its words. "
        "Give another lexicon, or another loss"
    )


class Reward(ABC):
    """A score of images, the higher the better, as a loss: its negative.

    Attributes:
        differentiable: whether it has a gradient in the images.
        device: where it is computed.
        source: where its weights came from.

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
        """Minus the reward of each image for its own prompt.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            prompts: one an image.

        Returns:
            losses (batch,), float32.

        Raises:
            ValueError: if the images have another layout or range, or the numbers differ.
        """
        return -self.reward(images, prompts)

    def reward(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """The reward (batch,) as published; takes and raises what a call does."""
        check_pairs(images, prompts)
        return self._score(images.to(self.device), list(prompts))

    @abstractmethod
    def _score(self, images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        """The reward (batch,) of checked images on this device."""


def check_pairs(images: torch.Tensor, prompts: Sequence[str]) -> None:
    """Refuses what is no batch of images with a prompt each.

    Raises:
        ValueError: if the images have another layout or range, or the numbers differ.
    """
    check_images(images)
    check_texts("prompts", prompts)
    if len(prompts) != len(images):
        raise ValueError(f"{len(images)} images need as many prompts, not {len(prompts)}")


def check_images(images: torch.Tensor) -> None:
    """Refuses what is no batch of images (batch, 3, height, width) in [0, 1].

    Raises:
        ValueError: saying what it is instead.
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
