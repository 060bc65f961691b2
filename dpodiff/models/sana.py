"""Sana (Xie et al., 2025): a Gemma, a transformer with linear attention, and small latents.

A rectified flow. Its own sampler, second-order DPM-Solver++, depends on the previous step. Here a
rollout may be split anywhere, so each step is of first order, as in Euler's method, at the same
timesteps.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import AutoencoderDC, SanaTransformer2DModel
from transformers import Gemma2Model, GemmaTokenizer

from dpodiff.models.flow import Flow
from dpodiff.models.latent import config_of, pixels_of_latent
from dpodiff.models.text import Encoded, TextEncoder, mask_of


class Sana(Flow):
    """Sana; prompts are read in lower case, as in the stock pipeline.

    By default that pipeline also puts an instruction before the prompt, but not before the negative
    prompt (`complex_human_instruction`), and adapts sizes to those of its training. Here prompts
    and sizes are used as given.

    Args:
        tokenizer, text_encoder: the Gemma.
        transformer, vae: the other parts.
        schedule: configuration of the folder's scheduler.
        name: name of the model.
        device: device of all parts.
    """

    steps, guidance = 20, 4.5
    half: ClassVar = torch.bfloat16
    TOKENS: ClassVar = 300
    parts: ClassVar = {
        "tokenizer": GemmaTokenizer,
        "text_encoder": Gemma2Model,
        "transformer": SanaTransformer2DModel,
        "vae": AutoencoderDC,
    }

    def __init__(
        self,
        tokenizer: GemmaTokenizer,
        text_encoder: Gemma2Model,
        transformer: SanaTransformer2DModel,
        vae: AutoencoderDC,
        schedule: Mapping[str, Any],
        *,
        name: str,
        device: torch.device,
    ) -> None:
        config = config_of(transformer)
        encoder = TextEncoder(
            tokenizer, text_encoder, device=device, limit=self.TOKENS, masked=True, lower=True
        )
        super().__init__(
            transformer,
            vae,
            [encoder],
            {**schedule, "shift": schedule.get("flow_shift", schedule.get("shift", 1.0))},
            image_size=config.sample_size * pixels_of_latent(vae),
            patch=config.patch_size,
            name=name,
            device=device,
        )

    def _sigmas(self, steps: int) -> list[float]:
        trained = config_of(self.schedule).num_train_timesteps
        return np.linspace(0, 1 - 1 / trained, steps + 1)[:0:-1].tolist()

    def _join(self, *encoded: Encoded) -> torch.Tensor:
        return encoded[0].tokens

    def _predict(self, x: torch.Tensor, t: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
        prediction = self.transformer(
            x,
            timestep=t.long() * config_of(self.transformer).timestep_scale,
            encoder_hidden_states=encoding,
            encoder_attention_mask=mask_of(encoding),
        ).sample
        return prediction[:, : x.shape[1]]
