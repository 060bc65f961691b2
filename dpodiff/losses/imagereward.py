"""ImageReward (Xu et al., 2023): a BLIP whose text encoder attends to the image."""

import math
from typing import TYPE_CHECKING, Any

import torch

from dpodiff.losses.base import Reward
from dpodiff.losses.linear_head import linear_head
from dpodiff.losses.preprocessing import Preprocessing
from dpodiff.models.pretrained import (
    beside,
    count_layers,
    fill,
    freeze,
    load,
    naming_missing,
    part,
    read,
)

if TYPE_CHECKING:
    from transformers import BlipTextModel, BlipVisionModel

TOKENIZER = "google-bert/bert-base-uncased"
TOKENS = 35  # length to which the release pads or truncates a prompt
HEAD = 64  # channels of an attention head, for BLIP and BERT of every size
MEAN, STD = 0.16717362830052426, 1.0333394966054072  # statistics of raw scores, in the release
RENAMED = {  # names of BLIP's image encoder -> names in transformers
    "cls_token": "embeddings.class_embedding",
    "pos_embed": "embeddings.position_embedding",
    "patch_embed.proj.": "embeddings.patch_embedding.",
    "blocks.": "encoder.layers.",
    ".attn.proj.": ".self_attn.projection.",
    ".attn.": ".self_attn.",
    ".norm1.": ".layer_norm1.",
    ".norm2.": ".layer_norm2.",
}


class ImageReward(Reward):
    """Minus the ImageReward of an image for its prompt, trained on rankings by people.

    Less is better. It is standardized on images of the release: usually -2 to 2, without bounds.

    Args:
        source: a safetensors file, a folder that holds `model.safetensors` and may hold the
            tokenizer's vocab.txt, or a hub id. The authors publish a pickle; the default is
            imscore's copy of it (ImageReward-v1.0). The tokenizer is BERT's.
        device: None is the GPU with the most free memory if there is one, else the CPU.

    Raises:
        LoadError: if it or the tokenizer cannot be loaded, is a pickle, or holds other weights.

    Examples:
        >>> loss = dpodiff.losses.ImageReward()  # downloads its weights  # doctest: +SKIP
        >>> losses = loss(images, ["a red ball"] * len(images))  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str = "RE-N-Y/ImageReward",
        device: str | torch.device | None = None,
    ) -> None:
        from transformers import BertTokenizer

        super().__init__(source, device)
        tensors = read(source)
        self.vision = _vision(part(tensors, "blip.visual_encoder."), source)
        self.text = _text(part(tensors, "blip.text_encoder."), source)
        self.head = linear_head(part(tensors, "mlp.layers."), source)
        for module in (self.vision, self.text, self.head):
            freeze(module, self.device)
        size: Any = self.vision.config.image_size  # an int, although the type allows several
        self._preprocess = Preprocessing((size, size))
        self._tokenizer = load(BertTokenizer, beside(source, "vocab.txt", TOKENIZER))

    def _score(self, images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        tokens = self._tokenizer(
            prompts, padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
        ).to(self.device)
        seen = self.vision(self._preprocess(images.to(self.vision.dtype))).last_hidden_state
        read = self.text(tokens.input_ids, tokens.attention_mask, encoder_hidden_states=seen)
        return (self.head(read.last_hidden_state[:, 0]).squeeze(-1) - MEAN) / STD


def _vision(tensors: dict[str, torch.Tensor], source: str) -> "BlipVisionModel":
    """Return BLIP's image encoder; its sizes are those of the tensors in the file."""
    from transformers import BlipVisionConfig, BlipVisionModel

    with naming_missing(source):
        width, _, patch, _ = tensors["patch_embed.proj.weight"].shape
        places = tensors["pos_embed"].shape[1] - 1  # without the class token
        inner = len(tensors["blocks.0.mlp.fc1.bias"])
    config = BlipVisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=count_layers(tensors, "blocks."),
        num_attention_heads=width // HEAD,
        image_size=patch * math.isqrt(places),
        patch_size=patch,
        layer_norm_eps=1e-6,
    )
    model = BlipVisionModel(config)
    fill(model, {_renamed(name): tensor for name, tensor in tensors.items()}, source)
    return model


def _renamed(name: str) -> str:
    if name.startswith("norm."):
        return f"post_layer{name}"
    for old, new in RENAMED.items():
        name = name.replace(old, new)
    return name


def _text(tensors: dict[str, torch.Tensor], source: str) -> "BlipTextModel":
    """Return BLIP's text encoder, a BERT with cross-attention to the image in each layer."""
    from transformers import BlipTextConfig, BlipTextModel

    with naming_missing(source):
        words, width = tensors["embeddings.word_embeddings.weight"].shape
        longest = len(tensors["embeddings.position_embeddings.weight"])
        inner = len(tensors["encoder.layer.0.intermediate.dense.bias"])
        seen = tensors["encoder.layer.0.crossattention.self.key.weight"].shape[1]
    config = BlipTextConfig(
        vocab_size=words,
        hidden_size=width,
        encoder_hidden_size=seen,
        intermediate_size=inner,
        num_hidden_layers=count_layers(tensors, "encoder.layer."),
        num_attention_heads=width // HEAD,
        max_position_embeddings=longest,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        sep_token_id=0,
    )
    model = BlipTextModel(config, add_pooling_layer=False)
    fill(model, tensors, source)
    return model
