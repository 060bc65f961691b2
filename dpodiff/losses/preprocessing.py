"""Preprocessing of images for a model: resizing, cropping or padding, and normalization.

The stock processors take image files and have no gradient. This module does the same on tensors
with a gradient. It differs from them only by their rounding to 8 bits.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torchvision.transforms import InterpolationMode, functional as transforms

if TYPE_CHECKING:
    from transformers import CLIPImageProcessor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing of images (batch, 3, height, width) in [0, 1] for a model; differentiable.

    Attributes:
        size: (height, width) of the output.
        fit: "shortest" scales the shorter side and crops the longer one, "longest" scales the
            longer side and pads the shorter one with black, "squash" scales both.
        interpolation: "bicubic" or "bilinear", both with antialiasing.
        mean, std: mean and standard deviation of the channels; the default is CLIP's.
        half: start of a crop between two pixels: "even" rounds to the even pixel, as torchvision
            and open_clip do; "down" rounds down, as transformers does.
    """

    size: tuple[int, int]
    fit: Literal["shortest", "longest", "squash"] = "shortest"
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    half: Literal["even", "down"] = "even"

    @classmethod
    def of_open_clip(cls, config: dict[str, Any]) -> "Preprocessing":
        """Build the preprocessing from `open_clip.get_model_preprocess_cfg`."""
        size = config["size"]
        size = (size, size) if isinstance(size, int) else tuple(size)
        return cls(
            size,
            fit=config["resize_mode"],
            interpolation=config["interpolation"],
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
        )

    @classmethod
    def of_transformers(cls, processor: "CLIPImageProcessor") -> "Preprocessing":
        """Build it from a processor that scales the shorter side and crops, as CLIP's does."""
        size = (processor.crop_size["height"], processor.crop_size["width"])
        interpolation = {2: "bilinear", 3: "bicubic"}[int(processor.resample)]  # Pillow's constants
        return cls(
            size,
            fit="shortest",
            interpolation=interpolation,
            mean=tuple(processor.image_mean),
            std=tuple(processor.image_std),
            half="down",
        )

    def __call__(self, images: torch.Tensor) -> torch.Tensor:  # (batch, 3, *size)
        if tuple(images.shape[-2:]) != self.size:
            mode = InterpolationMode(self.interpolation)
            # Bicubic weights overshoot. Pillow, which these models were trained with, clips.
            scaled = self._scaled(*images.shape[-2:])
            images = transforms.resize(images, scaled, mode, antialias=True).clamp(0, 1)
            images = self._cut(images)
        return transforms.normalize(images, list(self.mean), list(self.std))

    def _scaled(self, height: int, width: int) -> list[int]:
        """Return the size argument of `torchvision.transforms.functional.resize`."""
        if self.fit == "squash":
            return list(self.size)
        if self.fit == "shortest":
            return [min(self.size)]
        ratio = max(height / self.size[0], width / self.size[1])
        return [round(height / ratio), round(width / ratio)]

    def _cut(self, images: torch.Tensor) -> torch.Tensor:
        """Crop images at the center; smaller images are padded with black."""
        if self.half == "even":
            return transforms.center_crop(images, list(self.size))
        top, left = ((side - wanted) // 2 for side, wanted in zip(images.shape[-2:], self.size))
        return transforms.crop(images, top, left, *self.size)
