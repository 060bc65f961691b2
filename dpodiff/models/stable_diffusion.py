"""Stable Diffusion 1 and 2 (Rombach et al., 2022), and SD-Turbo: one CLIP and a U-Net.

All models are sampled with DDIM. The folder's own sampler gives it the noise schedule, the spacing
of steps and the kind of prediction. If that sampler is Euler's, the steps are the same, since
Euler's method on the scaled latents of Karras et al. (2022) is DDIM (Song et al., 2021, section
4.3). The fresh noise of ancestral samplers is left out, so that a seed determines an image.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from dpodiff.models.diffusion import Diffusion
from dpodiff.models.latent import config_of, pixels_of_latent
from dpodiff.models.text import Encoded, TextEncoder


class UNetDiffusion(Diffusion):
    """Diffusion with a U-Net, sampled with DDIM.

    A folder whose sampler is Euler's with trailing steps holds a model distilled to a few steps
    (Sauer et al., 2023). Its defaults are one step and no guidance.

    Args:
        unet, vae, text_encoders: parts of the model.
        schedule: configuration of the folder's scheduler, of any class.
        fixes: corrections of the stock pipeline to that configuration.
        name: name of the model.
        device: device of all parts.
    """

    steps = 50

    def __init__(
        self,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        text_encoders: list[TextEncoder],
        schedule: Mapping[str, Any],
        *,
        fixes: Mapping[str, Any],
        name: str,
        device: torch.device,
    ) -> None:
        super().__init__(
            unet,
            vae,
            text_encoders,
            image_size=config_of(unet).sample_size * pixels_of_latent(vae),
            name=name,
            device=device,
        )
        self.unet = unet
        euler = schedule.get("_class_name", "").startswith("Euler")
        spacing = schedule.get("timestep_spacing", "leading")
        config = {**schedule, **fixes}
        if euler:
            config["set_alpha_to_one"] = True  # Euler's last step leaves no noise
        self.schedule = _ddim(config)
        # Its initial latents are pure noise, although the schedule keeps some signal.
        noise = (1 - self.schedule.alphas_cumprod[-1]).sqrt().item()
        self._start = noise if euler and spacing != "leading" else 1.0
        if euler and spacing == "trailing":
            self.steps, self.guidance = 1, 0.0

    def latents(self, seeds):
        return super().latents(seeds) * self._start


def _ddim(config: Mapping[str, Any]) -> DDIMScheduler:
    kind: Any = DDIMScheduler  # its return type allows a pair
    return kind.from_config(config)


class StableDiffusion(UNetDiffusion):
    """Stable Diffusion 1 or 2.

    Args:
        tokenizer, text_encoder, unet, vae: the parts, which are frozen.
        schedule: configuration of the folder's scheduler, of any class.
        name: name of the model.
        device: device of all parts.
    """

    guidance = 7.5
    takes_emphasis = True
    parts: ClassVar = {
        "tokenizer": CLIPTokenizer,
        "text_encoder": CLIPTextModel,
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
    }

    def __init__(
        self,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModel,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        schedule: Mapping[str, Any],
        *,
        name: str,
        device: torch.device,
    ) -> None:
        self.tokenizer, self.text_encoder = tokenizer, text_encoder
        encoders = [TextEncoder(tokenizer, text_encoder, device=device)]
        super().__init__(
            unet,
            vae,
            encoders,
            schedule,
            fixes={"clip_sample": False, "steps_offset": 1},  # older files have other values
            name=name,
            device=device,
        )

    def _join(self, *encoded: Encoded) -> torch.Tensor:
        return encoded[0].tokens

    def _predict(self, x: torch.Tensor, t: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
        return self.unet(x, t, encoder_hidden_states=encoding).sample
