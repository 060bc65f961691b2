"""How images are made ready for a model: resized, cropped or padded, normalized.

The stock processors take images from files and have no gradient. Here the same is done on
tensors, with one; it differs from them by their rounding to 8 bits.
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
    """From images (batch, 3, height, width) in [0, 1] to what a model looks at, differentiable.

    Attributes:
        size: (height, width) of the result.
        fit: "shortest" scales the shorter side and crops the longer one, "longest" scales the
            longer side and pads the shorter one with black, "squash" scales both.
        interpolation: "bicubic" or "bilinear", both with antialiasing.
        mean, std: of the channels; CLIP's own by default.
        half: where a crop begins that falls between two pixels: at the "even" one, as torchvision
            and open_clip have it, or one "down", as transformers has it.
    """

    size: tuple[int, int]
    fit: Literal["shortest", "longest", "squash"] = "shortest"
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    half: Literal["even", "down"] = "even"

    @classmethod
    def of_open_clip(cls, config: dict[str, Any]) -> "Preprocessing":
        """What `open_clip.get_model_preprocess_cfg` says."""
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
        """What an image processor says that scales the shorter side and crops, as CLIP's do."""
        size = (processor.crop_size["height"], processor.crop_size["width"])
        interpolation = {2: "bilinear", 3: "bicubic"}[int(processor.resample)]  # pillow's numbers
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
            # Bicubic weights overshoot; pillow, which these models were trained with, clips.
            scaled = self._scaled(*images.shape[-2:])
            images = transforms.resize(images, scaled, mode, antialias=True).clamp(0, 1)
            images = self._cut(images)
        return transforms.normalize(images, list(self.mean), list(self.std))

    def _scaled(self, height: int, width: int) -> list[int]:
        """What `torchvision.transforms.functional.resize` is to make of the sides."""
        if self.fit == "squash":
            return list(self.size)
        if self.fit == "shortest":
            return [min(self.size)]
        ratio = max(height / self.size[0], width / self.size[1])
        return [round(height / ratio), round(width / ratio)]

    def _cut(self, images: torch.Tensor) -> torch.Tensor:
        """The middle of images; what is too small is padded with black."""
        if self.half == "even":
            return transforms.center_crop(images, list(self.size))
        top, left = ((side - wanted) // 2 for side, wanted in zip(images.shape[-2:], self.size))
        return transforms.crop(images, top, left, *self.size)
