"""Diffusion as in DDPM (Ho et al., 2020), for any network.

A noisy latent is x = sqrt(a) x0 + sqrt(1 - a) noise, where a falls with the timestep. Networks
predict the noise, the velocity or the clean latent, as the scheduler's configuration says; x0-hat
follows from each in closed form.
"""

import copy
from typing import Any

import torch

from dpodiff.models.latent import LatentDiffusion, check_steps, config_of
from dpodiff.models.sampling import Scheduler


class Diffusion(LatentDiffusion):
    """A model with a noise schedule.

    Attributes:
        schedule: a scheduler of diffusers with `alphas_cumprod` and a `prediction_type`. Its steps
            must depend only on the latents and the prediction.
    """

    schedule: Any

    def scheduler(self, steps: int) -> Scheduler:
        check_steps(steps, config_of(self.schedule).num_train_timesteps)
        scheduler = copy.copy(self.schedule)  # a rollout changes only the copy
        scheduler.set_timesteps(steps)
        return scheduler

    def predict_x0(
        self, x: torch.Tensor, t: torch.Tensor | int, prediction: torch.Tensor
    ) -> torch.Tensor:
        # Float32 throughout: near pure noise, division by a rounded sqrt(signal) has a large error.
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
