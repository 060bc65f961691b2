"""How well a noise fits a layout, computed from the noise before any image is made.

A model is trained on x_T = sqrt(a) x_0 + sqrt(1 - a) eps, and a is small at the first step but not
zero. So x_T contains some of the clean latent x_0, and the model has learned to use it. For two
layouts with mean clean latents m and n the log-likelihood ratio is, up to a constant,

    sqrt(a) / (1 - a) <x_T, m - n>.

If pure noise correlates by chance with the mean latent of a thing at some place, the model treats
it as a part of x_0, and the thing appears there.
"""

import torch

from dpodiff.checks import check_kind
from dpodiff.models.base import Model
from dpodiff.patches.editing import Places, cut_patch


def mean_patch(latents: torch.Tensor, positions: torch.Tensor, size: int) -> torch.Tensor:
    """Return the mean of patches around positions, such as clean latents around one kind of thing.

    Args:
        latents: (batch, channel, h, w).
        positions: centers (batch, 2) as (x, y) in [0, 1]; rows with NaN are left out.
        size: side of the patches in latent pixels.

    Returns:
        mean patch (channel, size, size).

    Raises:
        ValueError: if there is no position, or one is not in [0, 1].

    Examples:
        >>> latents = torch.zeros(2, 4, 16, 16)
        >>> latents[0, :, 8, 8] = 1.0
        >>> places = torch.tensor([[0.55, 0.55], [torch.nan, torch.nan]])
        >>> dpodiff.patches.mean_patch(latents, places, size=3)[0, 1, 1].item()
        1.0
    """
    positions = torch.as_tensor(positions)
    if positions.shape != (len(latents), 2):
        raise ValueError(
            f"positions must be ({len(latents)}, 2), one per row, not {tuple(positions.shape)}"
        )
    found = positions.isfinite().all(dim=1)
    if not found.any():
        raise ValueError("no position is given: the thing was found on no image")
    return cut_patch(latents[found], positions[found], size).mean(0)


def patch_score(noise: torch.Tensor, template: torch.Tensor, place: Places) -> torch.Tensor:
    """Return how well each noise fits a template at a place; standard normal for random noise.

    Args:
        noise: (batch, channel, h, w).
        template: (channel, size, size), such as a `mean_patch`, or a `first_estimate` of the whole
            latent.
        place: center (x, y) in [0, 1], the same for all, or one per row (batch, 2).

    Returns:
        inner products with the template divided by its norm (batch,); more is better.

    Raises:
        ValueError: if template and noise do not fit, or the template is zero.

    Examples:
        >>> template = torch.ones(4, 7, 7)
        >>> score = dpodiff.patches.patch_score(torch.ones(1, 4, 16, 16), template, (0.5, 0.5))
        >>> round(score.item(), 3)
        14.0
    """
    check_kind("template", template, torch.Tensor, "a tensor (channel, size, size)")
    patches = cut_patch(noise, place, template.shape[-1])
    if patches.shape[1:] != template.shape:
        raise ValueError(
            f"template must be ({noise.shape[1]}, size, size) for noise {tuple(noise.shape)}, "
            f"not {tuple(template.shape)}"
        )
    norm = torch.linalg.vector_norm(template)
    if not norm > 0:
        raise ValueError("template is zero, so every noise fits it alike")
    return (patches * (template / norm).to(patches)).flatten(1).sum(1)


@torch.no_grad()
def first_estimate(model: Model, prompt: str, noise: torch.Tensor) -> torch.Tensor:
    """Return the mean clean latent of a prompt, estimated by the first step of the sampler.

    At the first step the latent contains little information, so the estimate of the clean latent is
    nearly the mean over all images of the prompt. It costs one row of the denoiser per noise,
    without guidance.

    Args:
        model: model whose denoiser and schedule are used.
        prompt: prompt of the images.
        noise: (batch, channel, h, w); the estimates are averaged.

    Returns:
        (channel, h, w); with `patch_score` at (0.5, 0.5) it scores whole noises.

    Examples:
        >>> model = dpodiff.load("toy")
        >>> estimate = dpodiff.patches.first_estimate(model, "a red ball", model.latents([0, 1]))
        >>> tuple(estimate.shape), model.forwards
        ((4, 16, 16), 2)
    """
    t = model.scheduler(model.steps).timesteps[0]
    prediction = model.denoise(noise, t, model.encode([prompt] * len(noise)))
    return model.predict_x0(noise, t, prediction).mean(0)
