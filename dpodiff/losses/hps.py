"""Human Preference Score v2.1 (Wu et al., 2023): a CLIP fine-tuned on choices between images."""

from typing import Any

import torch

from dpodiff.losses.base import Reward
from dpodiff.losses.preprocessing import Preprocessing
from dpodiff.models.pretrained import fill, freeze, part, read
from dpodiff.models.text_cache import TextCache


class HPS(Reward):
    """Minus the Human Preference Score, the cosine of an image and its prompt.

    Less is better. The range is -1 to 1, usually -0.35 to -0.2 on images of diffusion models. The
    whole image is scaled and padded with black, as in the release.

    Args:
        source: a safetensors file, a folder that holds `model.safetensors`, or a hub id. The
            authors publish a pickle; the default is imscore's copy of it (HPS_v2.1_compressed).
        architecture: name of the architecture in open_clip.
        device: None is the GPU with the most free memory if there is one, else the CPU.

    Raises:
        LoadError: if it cannot be loaded, is a pickle, or holds other weights.

    Examples:
        >>> loss = dpodiff.losses.HPS()  # downloads its weights  # doctest: +SKIP
        >>> losses = loss(images, ["a red ball"] * len(images))  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str = "RE-N-Y/hpsv21",
        architecture: str = "ViT-H-14",
        device: str | torch.device | None = None,
    ) -> None:
        import open_clip

        super().__init__(source, device)
        tensors = read(source)
        tensors = part(tensors, "model.") or tensors  # imscore adds the prefix
        config: dict[str, Any] = open_clip.get_model_config(architecture) or {}
        # Any: open_clip has no types of its parameters and methods.
        self.clip: Any = open_clip.CLIP(**config)
        fill(self.clip, tensors, source)
        freeze(self.clip, self.device)
        self._tokenize = open_clip.get_tokenizer(architecture)
        self._preprocess = Preprocessing(tuple(self.clip.visual.image_size), "longest")
        self._texts = TextCache(self._encode_texts)

    def _score(self, images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        pixels = self._preprocess(images.to(self.clip.logit_scale.dtype))
        features = self.clip.encode_image(pixels, normalize=True)
        return (features * self._texts(prompts)).sum(dim=-1)

    def _encode_texts(self, texts: list[str]) -> torch.Tensor:
        return self.clip.encode_text(self._tokenize(texts).to(self.device), normalize=True)
