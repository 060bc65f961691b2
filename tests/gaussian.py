"""A model whose sampler is known in closed form, for searches of noise.

Its data are normal, every entry of a latent with mean m and deviation 0.5, where m is the sum of
the values of the prompt's words. For such data the exact noise prediction is linear in the latent,
and so is every step of DDIM: the image is a straight line in the noise, and the noise of the best
image can be written down.
"""

import math

import tiny
import torch

from dpodiff.models.base import Model

VALUES = {"left": -1.0, "right": 1.0, "far": 2.0}
DEVIATION = 0.5
SHADE, SLOPE = 0.5, 0.1  # an image is SHADE + SLOPE latent


def mean_of(text: str) -> float:
    return sum(VALUES.get(word, 0.0) for word in text.split())


class Gaussian(Model):
    """Images of 3 x 4 x 4 from latents of the same shape, in float64."""

    name = "gaussian"
    device, dtype = torch.device("cpu"), torch.float64
    steps, guidance, image_size = 8, 1.0, 4

    def __init__(self) -> None:
        self.schedule = tiny.ddim()

    def encode(self, texts):
        return torch.tensor([mean_of(text) for text in texts], dtype=self.dtype).view(-1, 1, 1)

    def encode_mixture(self, pieces):
        total = torch.zeros((), dtype=self.dtype)
        for piece in pieces:
            values = torch.tensor([mean_of(c) for c in piece.choices], dtype=self.dtype)
            total = total + (values[0] if piece.weights is None else piece.weights @ values)
        return total.view(1, 1, 1)

    def latents(self, seeds):
        rows = [torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return torch.stack(rows).to(self.dtype)

    def scheduler(self, steps):
        scheduler = tiny.ddim()
        scheduler.set_timesteps(steps)
        return scheduler

    def _denoise(self, x, t, embeddings):
        signal = float(self.schedule.alphas_cumprod[int(t)])
        mean = embeddings.view(-1, 1, 1, 1)
        return gain(signal) * (x - math.sqrt(signal) * mean)

    def predict_x0(self, x, t, prediction):
        signal = float(self.schedule.alphas_cumprod[int(t)])
        return (x - math.sqrt(1 - signal) * prediction) / math.sqrt(signal)

    def decode(self, latents):
        return SHADE + SLOPE * latents


def gain(signal: float) -> float:
    """Of the noise prediction in the latent."""
    return math.sqrt(1 - signal) / (signal * DEVIATION**2 + 1 - signal)


def line(model: Gaussian, prompt: str, eta: float = 0.0) -> tuple[float, float, list[float]]:
    """Offset and slope of the clean latent in x_T, and its slopes in the noises of the steps."""
    offset, slope, added, mean = 0.0, 1.0, [], mean_of(prompt)
    scheduler = model.scheduler(model.steps)
    apart = scheduler.config.num_train_timesteps // model.steps
    table = scheduler.alphas_cumprod.tolist()
    for t in scheduler.timesteps.tolist():
        a, b = table[t], table[t - apart] if t >= apart else table[0]
        sigma = eta * math.sqrt((1 - b) / (1 - a) * (1 - a / b))
        clean = math.sqrt(b / a)
        back = math.sqrt(1 - b - sigma**2) - clean * math.sqrt(1 - a)
        k = clean + back * gain(a)
        offset = k * offset - back * gain(a) * math.sqrt(a) * mean
        slope, added = k * slope, [*(k * old for old in added), sigma]
    return offset, slope, added
