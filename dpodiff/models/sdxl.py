"""Stable Diffusion XL (Podell et al., 2024) and SDXL-Turbo: two CLIPs, sizes, and a larger U-Net.

The U-Net reads the tokens of both CLIPs side by side. It also takes the pooled vector of the second
CLIP, the size of the image and its crop. A missing negative prompt is not the empty text here: the
model was trained with zeros in its place.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from dpodiff.models.latent import config_of
from dpodiff.models.stable_diffusion import UNetDiffusion
from dpodiff.models.text import Encoded, TextEncoder, with_pooled, without_pooled


class StableDiffusionXL(UNetDiffusion):
    """Stable Diffusion XL, conditioned on its own image size without cropping.

    Args:
        tokenizer, text_encoder, tokenizer_2, text_encoder_2, unet, vae: the parts.
        schedule: configuration of the folder's scheduler, of any class.
        zeros_for_empty: whether zeros replace a missing negative prompt, as the folder says.
        name: name of the model.
        device: device of all parts.
    """

    guidance = 5.0
    parts: ClassVar = {
        "tokenizer": CLIPTokenizer,
        "text_encoder": CLIPTextModel,
        "tokenizer_2": CLIPTokenizer,
        "text_encoder_2": CLIPTextModelWithProjection,
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
    }

    def __init__(
        self,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModel,
        tokenizer_2: CLIPTokenizer,
        text_encoder_2: CLIPTextModelWithProjection,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        schedule: Mapping[str, Any],
        *,
        zeros_for_empty: bool = True,
        name: str,
        device: torch.device,
    ) -> None:
        pairs = (tokenizer, text_encoder), (tokenizer_2, text_encoder_2)
        encoders = [TextEncoder(*pair, device=device, penultimate=True) for pair in pairs]
        super().__init__(
            unet,
            vae,
            encoders,
            schedule,
            fixes={"clip_sample": False},
            name=name,
            device=device,
        )
        self._pooled: int = config_of(text_encoder_2).projection_dim
        self._zeros_for_empty = zeros_for_empty

    @classmethod
    def _settings(cls, index: Mapping[str, Any]) -> dict[str, Any]:
        return {"zeros_for_empty": index.get("force_zeros_for_empty_prompt", True)}

    def _encode(self, texts: Sequence[str]) -> torch.Tensor:
        encoding = super()._encode(texts)
        if self._zeros_for_empty:
            encoding[[not text for text in texts]] = 0
        return encoding

    def _join(self, *encoded: Encoded) -> torch.Tensor:
        tokens = torch.cat([part.tokens for part in encoded], dim=-1)
        return with_pooled(tokens, encoded[-1].of_text)

    def _predict(self, x: torch.Tensor, t: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
        tokens, pooled = without_pooled(encoding, self._pooled)
        size = self.image_size
        sizes = x.new_tensor([[size, size, 0, 0, size, size]]).expand(len(x), -1)
        added = {"text_embeds": pooled, "time_ids": sizes}
        return self.unet(x, t, encoder_hidden_states=tokens, added_cond_kwargs=added).sample
