"""Patches of noise: square regions that are cut, pasted or resampled.

A place is the center of a patch as (x, y) in [0, 1], as detectors return it: x from the left and y
from the top. It is rounded to the nearest latent pixels, and a patch at the border is moved inside.
"""

from collections.abc import Iterator, Sequence

import torch

from dpodiff.checks import check_kind, check_whole, shown

Places = torch.Tensor | Sequence[float] | Sequence[Sequence[float]]


def cut_patch(noise: torch.Tensor, place: Places, size: int) -> torch.Tensor:
    """Return the patch of each noise at a place.

    Args:
        noise: (batch, ..., h, w), such as latents (batch, channel, h, w) or the output of
            `dpodiff.models.noise.draw`.
        place: center (x, y) in [0, 1], the same for all, or one per row (batch, 2).
        size: side of the patch in latent pixels.

    Returns:
        patches (batch, ..., size, size), a copy.

    Raises:
        ValueError: if the patch does not fit the noise, or a place is not in [0, 1].

    Examples:
        >>> noise = torch.arange(16.0).view(1, 1, 4, 4)
        >>> dpodiff.patches.cut_patch(noise, (0.75, 0.25), size=2)
        tensor([[[[2., 3.],
                  [6., 7.]]]])
    """
    rows = [row[..., area[0], area[1]] for row, area in _areas(noise, place, size)]
    return torch.stack(rows).clone()


def paste_patch(noise: torch.Tensor, patch: torch.Tensor, place: Places) -> torch.Tensor:
    """Return a copy of the noise with a patch at a place.

    Args:
        noise: (batch, ..., h, w).
        patch: (batch, ..., size, size) as `cut_patch` returns it; or a batch of 1 for all.
        place: center (x, y) in [0, 1], the same for all, or one per row (batch, 2).

    Raises:
        ValueError: if the patch is not square, does not fit the noise, or a place is not in [0, 1].

    Examples:
        >>> patch = torch.ones(1, 4, 5, 5)
        >>> noise = dpodiff.patches.paste_patch(torch.zeros(2, 4, 16, 16), patch, (0.25, 0.5))
        >>> noise.sum().item(), noise[0, 0, 8, 3].item()
        (200.0, 1.0)
    """
    check_kind("patch", patch, torch.Tensor, "a tensor")
    check_noise(noise)
    fits = patch.ndim == noise.ndim and patch.shape[1:-2] == noise.shape[1:-2]
    if not fits or patch.shape[-1] != patch.shape[-2] or len(patch) not in (1, len(noise)):
        raise ValueError(
            f"patch must be square, of shape (1 or {len(noise)}, ..., size, size) for noise "
            f"{tuple(noise.shape)}, not {tuple(patch.shape)}"
        )
    result = noise.clone()
    patches = patch.to(noise).expand(len(noise), *patch.shape[1:])
    for (row, area), one in zip(_areas(result, place, patch.shape[-1]), patches, strict=True):
        row[..., area[0], area[1]] = one
    return result


def resample_patch(
    noise: torch.Tensor, place: Places, size: int, generator: torch.Generator
) -> torch.Tensor:
    """Return a copy of the noise with one patch drawn again; the rest keeps its values.

    Args:
        noise: (batch, ..., h, w) of standard normal numbers.
        place: center (x, y) in [0, 1], the same for all, or one per row (batch, 2).
        size: side of the patch in latent pixels.
        generator: generator on the CPU, so that the patch is the same on every device.

    Raises:
        ValueError: if the patch does not fit the noise, or a place is not in [0, 1].

    Examples:
        >>> noise, generator = torch.zeros(1, 4, 16, 16), torch.Generator().manual_seed(0)
        >>> changed = dpodiff.patches.resample_patch(noise, (0.5, 0.5), 7, generator)
        >>> int((changed != noise).sum())  # 4 channels of 7 x 7 pixels
        196
    """
    check_kind("generator", generator, torch.Generator, "a torch.Generator")
    check_noise(noise)
    check_whole("size", size, 1, min(noise.shape[-2:]))
    fresh = torch.randn((*noise.shape[:-2], size, size), generator=generator)
    return paste_patch(noise, fresh, place)


def check_noise(noise: torch.Tensor) -> None:
    """Check that a value is a batch of noise.

    Raises:
        ValueError: if it is not; the message says what it must be.
    """
    check_kind("noise", noise, torch.Tensor, "a tensor (batch, ..., h, w)")
    if noise.ndim < 3 or not noise.numel() or not noise.is_floating_point():
        raise ValueError(
            "noise must be a tensor (batch, ..., h, w) of floating point, "
            f"not {tuple(noise.shape)} of {noise.dtype}"
        )


def _areas(
    noise: torch.Tensor, place: Places, size: int
) -> Iterator[tuple[torch.Tensor, tuple[slice, slice]]]:
    """Yield each row of the noise with the rows and columns of its patch."""
    check_noise(noise)
    height, width = noise.shape[-2:]
    check_whole("size", size, 1, min(height, width))
    for row, (x, y) in zip(noise, _places(place, len(noise)), strict=True):
        yield row, (_around(y, height, size), _around(x, width, size))


def _places(place: Places, batch: int) -> list[list[float]]:
    try:
        places = torch.as_tensor(place, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        places = torch.empty(0)
    if places.shape not in ((2,), (batch, 2)):
        raise ValueError(
            f"place must be (x, y), or ({batch}, 2) for {batch} rows of noise, not {shown(place)}"
        )
    if not ((places >= 0) & (places <= 1)).all():
        raise ValueError(f"place must lie in [0, 1], not {shown(place)}")
    return places.expand(batch, 2).tolist()


def _around(center: float, length: int, size: int) -> slice:
    """Return the `size` pixels nearest to a center in [0, 1], inside `length`."""
    start = min(max(round(center * length - size / 2), 0), length - size)
    return slice(start, start + size)
