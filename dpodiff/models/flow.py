"""Rectified flow with transformers: Stable Diffusion 3 (Esser et al., 2024) and Flux.

A latent is a point on the straight line x = (1 - sigma) x0 + sigma noise, the network predicts the
velocity noise - x0, and Euler's method follows it from sigma = 1 to 0. So x0-hat = x - sigma v.
Both use CLIP and T5. Flux has its guidance distilled into the network as one more input.
"""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    ModelMixin,
    SD3Transformer2DModel,
)
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from torch.nn import functional as F
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5EncoderModel,
    T5Tokenizer,
)

from dpodiff.models.latent import LatentDiffusion, check_steps, config_of, pixels_of_latent
from dpodiff.models.sampling import Scheduler
from dpodiff.models.text import Encoded, TextEncoder, with_pooled, without_pooled

PATCH = 2  # side of a transformer token in latent pixels


class Flow(LatentDiffusion):
    """A rectified flow.

    Args:
        transformer, vae, text_encoders: parts of the model.
        schedule: configuration of the folder's scheduler.
        image_size: height and width in pixels.
        patch: side of a transformer token in latent pixels.
        name: name of the model.
        device: device of all parts.
    """

    def __init__(
        self,
        transformer: ModelMixin,
        vae: AutoencoderKL | AutoencoderDC,
        text_encoders: list[TextEncoder],
        schedule: Mapping[str, Any],
        *,
        image_size: int,
        patch: int = PATCH,
        name: str,
        device: torch.device,
    ) -> None:
        super().__init__(
            transformer,
            vae,
            text_encoders,
            image_size=image_size,
            patch=patch,
            name=name,
            device=device,
        )
        self.transformer: Any = transformer
        self.schedule = _euler({**schedule, "stochastic_sampling": False})

    def scheduler(self, steps: int) -> Scheduler:
        check_steps(steps, config_of(self.schedule).num_train_timesteps)
        # The scheduler counts its steps, so each rollout has its own.
        scheduler: Any = copy.copy(self.schedule)
        scheduler.set_timesteps(steps, sigmas=self._sigmas(steps), mu=self._shift())
        return scheduler

    def _sigmas(self, steps: int) -> list[float] | None:
        """Return the noise levels before the shift; None for those of the scheduler."""
        return None

    def _shift(self) -> float | None:
        """Return the shift towards noise for larger images, if the folder asks for it."""
        config = config_of(self.schedule)
        if not config.use_dynamic_shifting:
            return None
        return calculate_shift(
            (self.latent_size // self.patch) ** 2,  # tokens
            config.base_image_seq_len,
            config.max_image_seq_len,
            config.base_shift,
            config.max_shift,
        )

    def predict_x0(
        self, x: torch.Tensor, t: torch.Tensor | float, prediction: torch.Tensor
    ) -> torch.Tensor:
        sigma = torch.as_tensor(t, dtype=torch.float32, device=x.device).view(-1, 1, 1, 1)
        return x - sigma / config_of(self.schedule).num_train_timesteps * prediction


def _euler(config: Mapping[str, Any]) -> FlowMatchEulerDiscreteScheduler:
    kind: Any = FlowMatchEulerDiscreteScheduler  # its return type allows a pair
    return kind.from_config(config)


class StableDiffusion3(Flow):
    """Stable Diffusion 3 or 3.5. The T5 may be missing, which saves memory.

    Args:
        tokenizer, text_encoder, tokenizer_2, text_encoder_2: the two CLIPs.
        transformer, vae: the other parts.
        schedule: configuration of the folder's scheduler.
        tokenizer_3, text_encoder_3: the T5; without it, zeros replace its output.
        name: name of the model.
        device: device of all parts.
    """

    steps, guidance = 28, 7.0
    T5_TOKENS: ClassVar = 256
    parts: ClassVar = {
        "tokenizer": CLIPTokenizer,
        "text_encoder": CLIPTextModelWithProjection,
        "tokenizer_2": CLIPTokenizer,
        "text_encoder_2": CLIPTextModelWithProjection,
        "tokenizer_3": T5Tokenizer,
        "text_encoder_3": T5EncoderModel,
        "transformer": SD3Transformer2DModel,
        "vae": AutoencoderKL,
    }
    optional: ClassVar = ("tokenizer_3", "text_encoder_3")

    def __init__(
        self,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModelWithProjection,
        tokenizer_2: CLIPTokenizer,
        text_encoder_2: CLIPTextModelWithProjection,
        transformer: SD3Transformer2DModel,
        vae: AutoencoderKL,
        schedule: Mapping[str, Any],
        *,
        tokenizer_3: T5Tokenizer | None = None,
        text_encoder_3: T5EncoderModel | None = None,
        name: str,
        device: torch.device,
    ) -> None:
        pairs = (tokenizer, text_encoder), (tokenizer_2, text_encoder_2)
        encoders = [TextEncoder(*pair, device=device, penultimate=True) for pair in pairs]
        if tokenizer_3 is not None and text_encoder_3 is not None:
            t5 = TextEncoder(tokenizer_3, text_encoder_3, device=device, limit=self.T5_TOKENS)
            encoders.append(t5)
        super().__init__(
            transformer,
            vae,
            encoders,
            schedule,
            image_size=config_of(transformer).sample_size * pixels_of_latent(vae),
            name=name,
            device=device,
        )

    def _join(self, *encoded: Encoded) -> torch.Tensor:
        first, second, *t5 = encoded
        width = config_of(self.transformer).joint_attention_dim
        clip = torch.cat([first.tokens, second.tokens], dim=-1)
        clip = F.pad(clip, (0, width - clip.shape[-1]))
        rest = t5[0].tokens if t5 else clip.new_zeros(len(clip), self.T5_TOKENS, width)
        pooled = torch.cat([first.of_text, second.of_text], dim=-1)
        return with_pooled(torch.cat([clip, rest], dim=1), pooled)

    def _predict(self, x: torch.Tensor, t: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
        width = config_of(self.transformer).pooled_projection_dim
        tokens, pooled = without_pooled(encoding, width)
        return self.transformer(
            x, timestep=t, encoder_hidden_states=tokens, pooled_projections=pooled
        ).sample


class Flux(Flow):
    """Flux.1, dev or schnell.

    `guidance` is that of two branches, `true_cfg_scale` in the stock pipeline. It is off by
    default, since the model is distilled. Above 1 negative prompts act, and a step costs twice as
    much.

    Args:
        tokenizer, text_encoder: the CLIP.
        tokenizer_2, text_encoder_2: the T5.
        transformer, vae: the other parts.
        schedule: configuration of the folder's scheduler.
        name: name of the model.
        device: device of all parts.

    Attributes:
        distilled_guidance: guidance input of the network, `guidance_scale` in the stock pipeline.
            schnell has none.
    """

    guidance, distilled_guidance = 1.0, 3.5
    half: ClassVar = torch.bfloat16  # its activations overflow in float16
    T5_TOKENS: ClassVar = 512
    parts: ClassVar = {
        "tokenizer": CLIPTokenizer,
        "text_encoder": CLIPTextModel,
        "tokenizer_2": T5Tokenizer,
        "text_encoder_2": T5EncoderModel,
        "transformer": FluxTransformer2DModel,
        "vae": AutoencoderKL,
    }

    def __init__(
        self,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModel,
        tokenizer_2: T5Tokenizer,
        text_encoder_2: T5EncoderModel,
        transformer: FluxTransformer2DModel,
        vae: AutoencoderKL,
        schedule: Mapping[str, Any],
        *,
        name: str,
        device: torch.device,
    ) -> None:
        t5 = TextEncoder(tokenizer_2, text_encoder_2, device=device, limit=self.T5_TOKENS)
        encoders = [TextEncoder(tokenizer, text_encoder, device=device), t5]
        # The transformer takes any size; the default of the pipeline is 128 latent pixels.
        super().__init__(
            transformer,
            vae,
            encoders,
            schedule,
            image_size=128 * pixels_of_latent(vae),
            name=name,
            device=device,
        )
        self.steps = 28 if config_of(transformer).guidance_embeds else 4  # dev or schnell

    def _sigmas(self, steps: int) -> list[float]:
        return np.linspace(1.0, 1 / steps, steps).tolist()

    def _join(self, *encoded: Encoded) -> torch.Tensor:
        clip, t5 = encoded
        return with_pooled(t5.tokens, clip.of_text)

    def _predict(self, x: torch.Tensor, t: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
        config, size = config_of(self.transformer), x.shape[-1] // PATCH
        tokens, pooled = without_pooled(encoding, config.pooled_projection_dim)
        places = [torch.arange(n, device=x.device, dtype=x.dtype) for n in (1, size, size)]
        guidance = x.new_full((len(x),), self.distilled_guidance, dtype=torch.float32)
        velocity = self.transformer(
            F.pixel_unshuffle(x, PATCH).flatten(2).transpose(1, 2),  # (batch, token, 4 channels)
            timestep=t.to(x.dtype) / 1000,
            guidance=guidance if config.guidance_embeds else None,
            encoder_hidden_states=tokens,
            pooled_projections=pooled,
            txt_ids=x.new_zeros(tokens.shape[1], 3),
            img_ids=torch.cartesian_prod(*places),
        ).sample
        return F.pixel_shuffle(velocity.transpose(1, 2).unflatten(2, (size, size)), PATCH)
