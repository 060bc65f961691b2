"""PixArt-Sigma (Chen et al., 2024): a T5 and a transformer with cross-attention.

Its own sampler, second-order DPM-Solver++ (Lu et al., 2022), depends on the previous step. Here a
rollout may be split anywhere, so each step is of first order, which is DDIM, at the same timesteps.
Half of the network's channels predict a variance, which that sampler does not use either.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
from transformers import T5EncoderModel, T5Tokenizer

from dpodiff.models.diffusion import Diffusion
from dpodiff.models.latent import config_of, pixels_of_latent
from dpodiff.models.text import Encoded, TextEncoder, mask_of


class PixArtSigma(Diffusion):
    """PixArt-Sigma; prompts are read in lower case, as in the stock pipeline.

    By default the stock pipeline also cleans captions and adapts sizes to those of its training.
    Here prompts and sizes are used as given.

    Args:
        tokenizer, text_encoder: the T5.
        transformer, vae: the other parts.
        schedule: configuration of the folder's scheduler, of any class.
        name: name of the model.
        device: device of all parts.
    """

    steps, guidance = 20, 4.5
    TOKENS: ClassVar = 300
    parts: ClassVar = {
        "tokenizer": T5Tokenizer,
        "text_encoder": T5EncoderModel,
        "transformer": PixArtTransformer2DModel,
        "vae": AutoencoderKL,
    }

    def __init__(
        self,
        tokenizer: T5Tokenizer,
        text_encoder: T5EncoderModel,
        transformer: PixArtTransformer2DModel,
        vae: AutoencoderKL,
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
            image_size=config.sample_size * pixels_of_latent(vae),
            patch=config.patch_size,
            name=name,
            device=device,
        )
        self.transformer = transformer
        self.schedule = _first_order(schedule)

    def _join(self, *encoded: Encoded) -> torch.Tensor:
        return encoded[0].tokens

    def _predict(self, x: torch.Tensor, t: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
        prediction = self.transformer(
            x,
            timestep=t,
            encoder_hidden_states=encoding,
            encoder_attention_mask=mask_of(encoding),
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample
        return prediction[:, : x.shape[1]]


def _first_order(config: Mapping[str, Any]) -> DPMSolverMultistepScheduler:
    kind: Any = DPMSolverMultistepScheduler  # its return type allows a pair
    return kind.from_config(config, solver_order=1, algorithm_type="dpmsolver++")
