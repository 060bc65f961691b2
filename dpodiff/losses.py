"""What a picture is judged by: losses from images and prompts to one number each, minimized.

Any callable of that shape will do. `SphericalCLIP`, the one DPO-Diff optimizes, asks CLIP (Radford
et al., 2021) how far a picture lies from the words it was asked for.
"""

from collections.abc import Sequence

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as transforms

from dpodiff.text_cache import TextCache
from dpodiff.toy import WEIGHTS

PACKAGED = {"toy": "clip", "toy-heldout": "clip-heldout"}  # name -> folder of the toy weights


def spherical_distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """2 arcsin(|x - y| / 2)^2 of unit vectors (..., dim): half the square of the angle between.

    Written with the arctangent, which is the same and keeps the gradient finite at both ends, where
    the vectors are equal and where they are opposite.
    """
    apart = torch.linalg.vector_norm(x - y, dim=-1)
    return 2 * torch.atan2(apart, torch.linalg.vector_norm(x + y, dim=-1)) ** 2


class SphericalCLIP:
    """The spherical distance between CLIP's features of an image and of its prompt.

    From 0 to pi^2 / 2; usually 0.7 to 1.0 with ViT-B/32 on Stable Diffusion's pictures. Prompts
    longer than CLIP's context are cut to it.

    Args:
        model: "toy", "toy-heldout", "local-dir:FOLDER", or a name known to open_clip.
        pretrained: tag or file of the weights, for a name known to open_clip.
        device: None is a GPU if there is one, else the CPU.

    Raises:
        ValueError: if the weights are not said.
        FileNotFoundError: if a folder is missing.
    """

    def __init__(
        self,
        model: str = "toy",
        pretrained: str | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        import open_clip

        source = _source(model, pretrained)
        self.name = model
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.clip = open_clip.create_model(
            source, pretrained, device=self.device, require_pretrained=True
        )
        self.clip.eval().requires_grad_(False)
        self._tokenize = open_clip.get_tokenizer(source)
        self._preprocessing = open_clip.get_model_preprocess_cfg(self.clip)
        self._texts = TextCache(self._encode_texts)

    def __repr__(self) -> str:
        return f"SphericalCLIP({self.name!r})"

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """The loss of each image about its own prompt; differentiable in the images.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            prompts: one an image.

        Returns:
            losses (batch,), float32.

        Raises:
            ValueError: if the images have another layout or range, or the numbers differ.
        """
        features = self.features(images)
        if len(prompts) != len(images):
            raise ValueError(f"{len(images)} images need as many prompts, not {len(prompts)}")
        return spherical_distance(features, self.text_features(prompts))

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Unit vectors (batch, dim) of images (batch, 3, height, width) in [0, 1]."""
        _check_images(images)
        images = images.to(self.device, self.clip.logit_scale.dtype)
        return self.clip.encode_image(self._preprocess(images), normalize=True)

    def text_features(self, texts: Sequence[str]) -> torch.Tensor:
        """Unit vectors (batch, dim) of texts, without a graph; each text is encoded once."""
        return self._texts(texts)

    def _encode_texts(self, texts: list[str]) -> torch.Tensor:
        return self.clip.encode_text(self._tokenize(texts).to(self.device), normalize=True)

    def _preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """open_clip's own preprocessing, on tensors and with a gradient."""
        config = self._preprocessing
        size = config["size"]
        size = [size, size] if isinstance(size, int) else list(size)
        if list(images.shape[-2:]) != size:
            # One number scales the shorter side to it; what the longer one has more is cropped.
            target = size if config["resize_mode"] == "squash" else min(size)
            mode = InterpolationMode(config["interpolation"])
            # Bicubic weights overshoot; pillow, which CLIP was trained with, clips.
            images = transforms.resize(images, target, mode, antialias=True).clamp(0, 1)
            images = transforms.center_crop(images, size)
        return transforms.normalize(images, config["mean"], config["std"])


def _source(model: str, pretrained: str | None) -> str:
    """What open_clip calls the model."""
    if model in PACKAGED:
        folder = WEIGHTS / PACKAGED[model]
        if not folder.is_dir():
            raise FileNotFoundError(
                f"no CLIP in {folder}; train it with `python -m dpodiff.toy.train --stage clip`"
            )
        return f"local-dir:{folder}"
    if pretrained is None and ":" not in model:
        raise ValueError(
            f"{model!r} is an architecture without weights: name them in `pretrained`, or give "
            f"one of {', '.join(map(repr, PACKAGED))} or 'local-dir:FOLDER'"
        )
    return model


def _check_images(images: torch.Tensor) -> None:
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[1] != 3:
        hint = "; images.permute(0, 3, 1, 2) puts the channels second" if shape[3:] == (3,) else ""
        raise ValueError(f"images must be (batch, 3, height, width), not {shape}{hint}")
    if not images.is_floating_point():
        raise ValueError(f"images must be floating point in [0, 1], not {images.dtype}")
    low, high = images.detach().aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images must lie in [0, 1], not in [{low:.3g}, {high:.3g}]")
