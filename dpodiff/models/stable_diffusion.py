"""Stable Diffusion 1 and 2 (Rombach et al., 2022), and SD-Turbo: one CLIP and a U-Net.

Time runs backwards with DDIM, whatever the folder's own sampler, which gives it the noise schedule,
the spacing of steps and the kind of prediction. Where that is Euler's the steps are the very same,
since Euler's method on the scaled latents of Karras et al. (2022) is DDIM (Song et al., 2021,
section 4.3); the noise that ancestral samplers add anew is left out, so that a seed is an image.
"""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from dpodiff.models.latent import LatentDiffusion, check_steps, config_of, pixels_of_latent
from dpodiff.models.text import Encoded, TextEncoder


class UNetDiffusion(LatentDiffusion):
    """Diffusion in the manner of DDPM with a U-Net, sampled with DDIM.

    A folder whose sampler is Euler's with trailing steps holds a model distilled to a few of them
    (Sauer et al., 2023): one step, and no guidance, unless told otherwise.

    Args:
        unet, vae, text_encoders: the parts.
        schedule: configuration of the folder's scheduler, of any class.
        fixes: what the stock pipeline puts right in that configuration.
        name: to be known by.
        device: of all parts.
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
        # Its first latents are pure noise, for all that the schedule keeps some signal.
        noise = (1 - self.schedule.alphas_cumprod[-1]).sqrt().item()
        self._start = noise if euler and spacing != "leading" else 1.0
        if euler and spacing == "trailing":
            self.steps, self.guidance = 1, 0.0

    def latents(self, seeds):
        return super().latents(seeds) * self._start

    def scheduler(self, steps: int) -> DDIMScheduler:
        check_steps(steps, config_of(self.schedule).num_train_timesteps)
        scheduler = copy.copy(self.schedule)  # what a rollout sets, it sets on the copy
        scheduler.set_timesteps(steps)
        return scheduler

    def predict_x0(
        self, x: torch.Tensor, t: torch.Tensor | int, prediction: torch.Tensor
    ) -> torch.Tensor:
        # Float32 all through: near pure noise, a rounded division by sqrt(signal) is far off.
        signal = self.schedule.alphas_cumprod[torch.as_tensor(t).cpu()].to(x.device)
        signal = signal.view(-1, 1, 1, 1)  # (batch or 1, channel, h, w)
        match config_of(self.schedule).prediction_type:
            case "epsilon":  # eq. (shortcut-x0-epsilon)
                return (x - (1 - signal).sqrt() * prediction) / signal.sqrt()
            case "v_prediction":  # eq. (shortcut-x0-velocity); Salimans & Ho, 2022, appendix D
                return signal.sqrt() * x - (1 - signal).sqrt() * prediction
            case "sample":
                return prediction
            case other:
                raise ValueError(f"unknown prediction_type {other!r} in {self.name}'s scheduler")


def _ddim(config: Mapping[str, Any]) -> DDIMScheduler:
    kind: Any = DDIMScheduler  # its type says that a pair may come back
    return kind.from_config(config)


class StableDiffusion(UNetDiffusion):
    """Stable Diffusion 1 or 2.

    Args:
        tokenizer, text_encoder, unet, vae: the parts; frozen here.
        schedule: configuration of the folder's scheduler, of any class.
        name: to be known by.
        device: of all parts.
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
            fixes={"clip_sample": False, "steps_offset": 1},  # older files have them otherwise
            name=name,
            device=device,
        )

    def _join(self, *encoded: Encoded) -> torch.Tensor:
        return encoded[0].tokens

    def _predict(self, x: torch.Tensor, t: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
        return self.unet(x, t, encoder_hidden_states=encoding).sample
