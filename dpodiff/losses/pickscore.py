"""PickScore (Kirstain et al., 2023): a CLIP fine-tuned on choices of users of a web page."""

from typing import Any

import torch
from torch.nn.functional import normalize

from dpodiff.losses.base import Reward
from dpodiff.losses.preprocessing import Preprocessing
from dpodiff.models.pretrained import beside, freeze, load
from dpodiff.models.text_cache import TextCache

PROCESSOR = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"  # according to its model card


class PickScore(Reward):
    """Minus the PickScore, the logit (cosine times a learned scale) of an image and its prompt.

    Less is better. The range is -100 to 100, usually -24 to -17 on images of diffusion models. So
    together with other losses it needs a small weight.

    Args:
        source: a folder in the transformers format, or a hub id. The folder may hold the tokenizer
            and the image processor; otherwise those of the original CLIP are used.
        device: None is the GPU with the most free memory if there is one, else the CPU.

    Raises:
        LoadError: if the weights, the tokenizer or the processor cannot be loaded.

    Examples:
        >>> loss = dpodiff.losses.PickScore()  # downloads its weights  # doctest: +SKIP
        >>> losses = loss(images, ["a red ball"] * len(images))  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str = "yuvalkirstain/PickScore_v1",
        device: str | torch.device | None = None,
    ) -> None:
        from transformers import AutoTokenizer, CLIPImageProcessor, CLIPModel

        super().__init__(source, device)
        # Any: the annotated types of its features and its tokenizer are too general.
        self.clip: Any = load(CLIPModel, source, use_safetensors=True, dtype=torch.float32)
        freeze(self.clip, self.device)
        processor = load(CLIPImageProcessor, beside(source, "preprocessor_config.json", PROCESSOR))
        self._preprocess = Preprocessing.of_transformers(processor)
        tokens = beside(source, "tokenizer_config.json", PROCESSOR)
        self._tokenizer: Any = load(AutoTokenizer, tokens)
        self._texts = TextCache(self._encode_texts)

    def _score(self, images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        pixels = self._preprocess(images.to(self.clip.dtype))
        features = normalize(self.clip.get_image_features(pixels).pooler_output, dim=-1)
        return self.clip.logit_scale.exp() * (features * self._texts(prompts)).sum(dim=-1)

    def _encode_texts(self, texts: list[str]) -> torch.Tensor:
        longest = self.clip.config.text_config.max_position_embeddings
        tokens = self._tokenizer(
            texts, padding=True, truncation=True, max_length=longest, return_tensors="pt"
        )
        features = self.clip.get_text_features(**tokens.to(self.device)).pooler_output
        return normalize(features, dim=-1)
