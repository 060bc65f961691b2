"""The effect of a negative prompt at each step of a rollout (Ban et al., 2024, arXiv 2406.02965).

At each step the denoiser is evaluated with the prompt and with the negative prompt, whether or not
the negative prompt acts at that step. Both predictions and cross-attention maps are recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from dpodiff.models.attention import reading_maps
from dpodiff.models.base import Model
from dpodiff.models.sampling import sample
from dpodiff.models.stable_diffusion import UNetDiffusion
from dpodiff.models.window import Window, Windowed, windowed

SIZE = 64  # largest size of a map


@dataclass(frozen=True)
class Branch:
    """Recorded values of one branch: of the prompts, or of the negative prompts.

    Attributes:
        predictions: predictions of the denoiser (step, image, channel, h, w).
        maps: cross-attention maps (step, image, token, size, size), mean over heads, summed over
            layers. The size is that of a latent, at most 64.
        squares: mean over pixels of the squared maps (step, image, token), summed over layers and
            heads.

    Examples:
        >>> from dpodiff.models.recorder import record_rollout
        >>> model = dpodiff.load("toy")
        >>> branch = record_rollout(model, ["a red ball"], ["blurry"], [0]).negative
        >>> tuple(branch.predictions.shape), tuple(branch.squares.shape)
        ((6, 1, 4, 16, 16), (6, 1, 32))
    """

    predictions: torch.Tensor
    maps: torch.Tensor
    squares: torch.Tensor


@dataclass(frozen=True)
class Recording:
    """Recorded values of a batch of rollouts; all tensors are on the CPU.

    Attributes:
        positive: recorded values of the prompts.
        negative: recorded values of the negative prompts.
        images: (image, 3, height, width) in [0, 1], equal to those of `Model.generate`.

    Examples:
        >>> from dpodiff.models.recorder import record_rollout
        >>> model = dpodiff.load("toy")
        >>> recording = record_rollout(model, ["a red ball"], ["blurry"], [0])
        >>> tuple(recording.strength().shape)  # 6 steps, 1 image
        (6, 1)
    """

    positive: Branch
    negative: Branch
    images: torch.Tensor

    def strength(self, places: Sequence[Sequence[int]] | None = None) -> torch.Tensor:
        """Return the strength r_t of the negative prompts (step, image) from cross-attention maps.

        It is the mean over tokens of the squared maps of the negative prompt, divided by that of
        the prompt: r_t = sum mean M_negative^2 / sum mean M_positive^2, over layers and heads.

        Args:
            places: tokens of each image's negative prompt to average over, from `token_places`;
                None is all tokens.
        """
        above, below = self.negative.squares, self.positive.squares.mean(2)
        if places is None:
            return above.mean(2) / below
        rows = [above[:, row, list(own)].mean(1) for row, own in enumerate(places)]
        return torch.stack(rows, dim=1) / below

    def projection(self) -> torch.Tensor:
        """Return the norm (step, image) of the prompt's prediction projected on the negative one's.

        The difference between a negative prompt that acts and one that does not is the inducing
        effect of Ban et al. (2024).
        """
        towards, away = (b.predictions.double().flatten(2) for b in (self.positive, self.negative))
        return (towards * away).sum(2).abs() / away.norm(dim=2)

    def momentum(self, after: Branch | None = None) -> torch.Tensor:
        """Return the cosine between predictions at successive steps (step - 1, image).

        Args:
            after: branch of the later prediction; None is the negative prompts, as for the earlier
                one. The prompts are a control: their predictions do not depend on the negative
                prompts.
        """
        first = self.negative.predictions[:-1]
        second = (after or self.negative).predictions[1:]
        return torch.cosine_similarity(first.flatten(2), second.flatten(2), dim=2)


@torch.no_grad()
def record_rollout(
    model: Model,
    prompts: Sequence[str],
    negative_prompts: Sequence[str] | torch.Tensor,
    seeds: Sequence[int],
    *,
    windows: Sequence[Window | None] | None = None,
    steps: int | None = None,
    guidance: float | None = None,
) -> Recording:
    """Make a batch of images and record the predictions and maps of each step.

    For images with closed windows a step costs one more row than usual.

    Args:
        model: a guided model with a U-Net: Stable Diffusion 1 or 2, XL, or the toy model.
        prompts: one per image.
        negative_prompts: one per image; or encodings (batch, token, dim) instead.
        seeds: one per image.
        windows: one per image; see `Model.generate`. In an empty window such as (0.0, 0.0) the
            negative prompt is recorded but never acts.
        steps: number of steps; None is the model's default.
        guidance: guidance weight above 1; None is the model's default.

    Raises:
        ValueError: if the model has no U-Net, or is not guided.

    Examples:
        >>> from dpodiff.models.recorder import record_rollout
        >>> model = dpodiff.load("toy")
        >>> recording = record_rollout(model, ["a red ball"], ["a tree"], [3])
        >>> tuple(recording.negative.maps.shape)  # step, image, token, height, width
        (6, 1, 32, 16, 16)
        >>> same = model.generate(["a red ball"], ["a tree"], [3])
        >>> torch.allclose(recording.images, same, atol=1e-4)
        True
    """
    steps = model.steps if steps is None else steps
    guidance = model.guidance if guidance is None else guidance
    if not isinstance(model, UNetDiffusion):
        raise ValueError(f"{model.name} has no U-Net with cross-attention, so it has no such maps")
    if guidance <= 1:
        raise ValueError(f"with guidance {guidance:g} no negative prompt acts: set it above 1")
    x, positive = model.latents(seeds), model.encode(prompts)
    if isinstance(negative_prompts, torch.Tensor):
        away = negative_prompts.to(positive)
    else:
        away = model.encode(negative_prompts)
    windows = [None] * len(x) if windows is None else windows
    negative = windowed(away, model.encode([""]), windows, model.scheduler(steps).timesteps)
    seen: list[tuple[Branch, Branch]] = []
    predict = partial(_predict, seen)
    latents = sample(model, x, positive, negative, steps=steps, guidance=guidance, predict=predict)
    return Recording(
        positive=_joined([first for first, _ in seen]),
        negative=_joined([second for _, second in seen]),
        images=model.decode(latents).cpu(),
    )


def token_places(model: Model, text: str, word: str) -> list[int]:
    """Return the token positions of a word or phrase, at its first occurrence in a text.

    Args:
        model: a model with a CLIP.
        text: a prompt or negative prompt.
        word: a word or phrase of the text.

    Raises:
        ValueError: if the word is not in the text.

    Examples:
        >>> from dpodiff.models.recorder import token_places
        >>> token_places(dpodiff.load("toy"), "blurry, red ball", "red ball")
        [3, 4]
    """
    if not isinstance(model, UNetDiffusion):
        raise ValueError(f"{model.name} has no U-Net with cross-attention, so it has no such maps")
    return model.text_encoders[0].places(text, word)


def _predict(
    seen: list[tuple[Branch, Branch]],
    model: UNetDiffusion,
    x: torch.Tensor,
    t: torch.Tensor,
    positive: torch.Tensor,
    negative: Windowed,
    guidance: float,
) -> torch.Tensor:
    """Predict as `guided`, and record both texts at every step."""
    texts = torch.cat([positive, negative.inside])
    with reading_maps(model.unet, min(SIZE, model.latent_size)) as sums:
        towards, away = model.denoise(torch.cat([x, x]), t, texts).chunk(2)
    both = zip((towards, away), sums.maps.chunk(2), sums.squares.chunk(2), strict=True)
    first, second = (Branch(p.float().cpu(), maps, squares) for p, maps, squares in both)
    seen.append((first, second))
    active = negative.active[t.item()].view(-1, 1, 1, 1)
    if not active.all():
        away = torch.where(active, away, model.denoise(x, t, negative.outside))
    return away + guidance * (towards - away)  # eq. (windows-guidance)


def _joined(steps: Sequence[Branch]) -> Branch:
    return Branch(
        predictions=torch.stack([step.predictions for step in steps]),
        maps=torch.stack([step.maps for step in steps]),
        squares=torch.stack([step.squares for step in steps]),
    )
