"""Z-Image (Tongyi-MAI, 2025): a language model, Qwen 3, and one transformer for text and image.

A rectified flow whose network predicts x0 - noise. Its time runs from 0, pure noise, to 1. The
prompt is a user message in a chat, and the tokens of the chat template are encoded too.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import AutoencoderKL, ZImageTransformer2DModel
from transformers import Qwen2Tokenizer, Qwen3Model

from dpodiff.models.flow import Flow
from dpodiff.models.latent import config_of, pixels_of_latent
from dpodiff.models.text import Encoded, TextEncoder, mask_of
from dpodiff.names import LoadError


class ZImage(Flow):
    """Z-Image or Z-Image-Turbo; `steps` and `guidance` are those of Turbo.

    The files do not say which of the two models they hold. The stock pipeline has the defaults of
    Z-Image: 50 steps and a `guidance_scale` of 5. Here this is a `guidance` of 6, since 1 means no
    guidance, as in the other families. In the stock pipeline 0 does.

    Args:
        tokenizer, text_encoder: the Qwen 3; the tokenizer has a chat template.
        transformer, vae: the other parts.
        schedule: configuration of the folder's scheduler.
        name: name of the model.
        device: device of all parts.
    """

    steps, guidance = 8, 1.0
    half: ClassVar = torch.bfloat16
    TOKENS: ClassVar = 512
    parts: ClassVar = {
        "tokenizer": Qwen2Tokenizer,
        "text_encoder": Qwen3Model,
        "transformer": ZImageTransformer2DModel,
        "vae": AutoencoderKL,
    }

    def __init__(
        self,
        tokenizer: Qwen2Tokenizer,
        text_encoder: Qwen3Model,
        transformer: ZImageTransformer2DModel,
        vae: AutoencoderKL,
        schedule: Mapping[str, Any],
        *,
        name: str,
        device: torch.device,
    ) -> None:
        encoder = TextEncoder(
            tokenizer,
            text_encoder,
            device=device,
            limit=self.TOKENS,
            penultimate=True,
            masked=True,
            around=_chat(tokenizer),
        )
        # The transformer takes any size; the default of the pipeline is 1024 pixels.
        super().__init__(
            transformer,
            vae,
            [encoder],
            schedule,
            image_size=128 * pixels_of_latent(vae),
            name=name,
            device=device,
        )

    def _sigmas(self, steps: int) -> list[float]:
        return np.linspace(1.0, 1 / steps, steps).tolist()

    def _join(self, *encoded: Encoded) -> torch.Tensor:
        return encoded[0].tokens

    def _predict(self, x: torch.Tensor, t: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
        trained = config_of(self.schedule).num_train_timesteps
        shown = mask_of(encoding).bool()
        velocities = self.transformer(
            list(x[:, :, None]),  # each (channel, frame, height, width)
            (trained - t) / trained,
            [tokens[row] for tokens, row in zip(encoding, shown, strict=True)],
        ).sample
        return -torch.stack(velocities)[:, :, 0]


def _chat(tokenizer: Qwen2Tokenizer) -> tuple[str, str]:
    """Return the text before and after a prompt in the chat template.

    Raises:
        LoadError: if the tokenizer has no template.
    """
    if not tokenizer.chat_template:
        raise LoadError("the model's tokenizer has no chat_template, which Z-Image needs")
    prompt = "PROMPT"
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=True,
    )
    before, _, after = str(chat).rpartition(prompt)
    return before, after
