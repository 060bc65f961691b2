"""LAION's aesthetic predictor, v2 (Schuhmann, 2022): how much people like an image on average."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import normalize

from dpodiff.losses.base import Reward
from dpodiff.losses.linear_head import linear_head
from dpodiff.losses.preprocessing import Preprocessing
from dpodiff.models.pretrained import count_layers, fill, freeze, naming_missing, part, read

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

HEAD = 64  # channels of an attention head, for CLIPs of every size


class Aesthetic(Reward):
    """Minus the aesthetic score of an image, without its prompt: linear layers on CLIP ViT-L/14.

    Less is better. Ratings were from 1 to 10, so the range is -10 to -1, usually -7 to -4.5.

    Args:
        source: a safetensors file, a folder that holds `model.safetensors`, or a hub id. It must
            contain the CLIP and the layers. The authors publish a pickle of the layers only; the
            default is imscore's copy of both (sac+logos+ava1-l14-linearMSE).
        device: None is the GPU with the most free memory if there is one, else the CPU.

    Raises:
        LoadError: if it cannot be loaded, is a pickle, or holds other weights.

    Examples:
        >>> loss = dpodiff.losses.Aesthetic()  # downloads its weights  # doctest: +SKIP
        >>> losses = loss(images, ["a red ball"] * len(images))  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str = "RE-N-Y/laion-aesthetic",
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__(source, device)
        tensors = read(source)
        self.clip = _vision(part(tensors, "clip."), source)
        self.head = linear_head(part(tensors, "mlp.layers."), source)
        freeze(self.clip, self.device)
        freeze(self.head, self.device)
        size: Any = self.clip.config.image_size  # an int, although the type allows several
        self._preprocess = Preprocessing((size, size))

    def _score(self, images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        features = self.clip(self._preprocess(images.to(self.clip.dtype))).image_embeds
        return self.head(normalize(features, dim=-1)).squeeze(-1)


def _vision(tensors: dict[str, torch.Tensor], source: str) -> "CLIPVisionModelWithProjection":
    """Return CLIP's image encoder; its sizes are those of the tensors in the file."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    stem = "vision_model.embeddings."
    with naming_missing(source):
        width, _, patch, _ = tensors[f"{stem}patch_embedding.weight"].shape
        places = len(tensors[f"{stem}position_embedding.weight"]) - 1  # without the class token
        inner = len(tensors["vision_model.encoder.layers.0.mlp.fc1.bias"])
        dim = len(tensors["visual_projection.weight"])
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=inner,
        projection_dim=dim,
        num_hidden_layers=count_layers(tensors, "vision_model.encoder.layers."),
        num_attention_heads=width // HEAD,
        image_size=patch * math.isqrt(places),
        patch_size=patch,
    )
    model = CLIPVisionModelWithProjection(config)
    fill(model, tensors, source)
    return model
