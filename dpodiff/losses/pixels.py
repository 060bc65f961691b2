"""Losses of the pixels only, as in DNO (Tang et al., 2024): simple, exact and easily fooled.

They need no weights and no prompt, so they are useful tests of an optimizer.
"""

import io
from collections.abc import Sequence

import torch
from torchvision.transforms.functional import to_pil_image

from dpodiff.losses.base import check_pairs


def white(images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
    """Return minus the mean brightness (batch,): from -1 for white to 0 for black. Differentiable.

    Examples:
        >>> dpodiff.losses.white(torch.ones(1, 3, 8, 8), ["a white wall"])
        tensor([-1.])
    """
    return -black(images, prompts)


def black(images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
    """Return the mean brightness (batch,): from 0 for black to 1 for white. Differentiable.

    Examples:
        >>> dpodiff.losses.black(torch.ones(1, 3, 8, 8), ["a white wall"])
        tensor([1.])
    """
    check_pairs(images, prompts)
    return images.float().mean(dim=(1, 2, 3))


def contrast(images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
    """Return minus the variance over pixels of the sum of the channels (batch,). Differentiable.

    The range is -2.25 (half black and half white) to 0 (one shade). It is a quarter of DNO's value,
    whose pixels lie in [-1, 1].

    Examples:
        >>> images = torch.zeros(1, 3, 8, 8)
        >>> images[..., :4] = 1  # the left half is white
        >>> dpodiff.losses.contrast(images, ["two walls"])
        tensor([-2.2500])
    """
    check_pairs(images, prompts)
    return -images.float().sum(dim=1).flatten(1).var(dim=1, correction=0)


class JPEG:
    """The size (batch,) of the images as JPEG files, in kilobytes of 1000 bytes; less is better.

    It is above 0 and grows with the image size; some tens at 512 x 512. DDPO (Black et al., 2023)
    calls its negative compressibility.

    Args:
        quality: JPEG quality, 1 to 95.

    Attributes:
        differentiable: False, since the number of bytes is an integer.

    Raises:
        ValueError: if the quality is out of its range.

    Examples:
        >>> loss = dpodiff.losses.JPEG(quality=80)
        >>> plain, noisy = torch.zeros(1, 3, 64, 64), torch.rand(1, 3, 64, 64)
        >>> (loss(plain, ["a wall"]) < loss(noisy, ["a wall"])).item()
        True
    """

    differentiable = False

    def __init__(self, quality: int = 95) -> None:
        if not 1 <= quality <= 95:
            raise ValueError(f"quality must be from 1 to 95, not {quality}")
        self.quality = quality

    def __repr__(self) -> str:
        return f"JPEG({self.quality})"

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the sizes; arguments and errors are those of `SphericalCLIP`."""
        check_pairs(images, prompts)
        pixels = (255 * images.detach().float()).round().byte().cpu()
        return torch.tensor([self._kilobytes(image) for image in pixels], device=images.device)

    def _kilobytes(self, image: torch.Tensor) -> float:
        file = io.BytesIO()
        to_pil_image(image).save(file, format="JPEG", quality=self.quality)
        return file.tell() / 1000
