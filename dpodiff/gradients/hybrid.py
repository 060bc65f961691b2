"""DNO's hybrid gradient: the loss by perturbations, the sampler by backpropagation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from dpodiff.checks import MOST, check_finite, check_kind, check_whole
from dpodiff.gradients.estimators import Checkpointed, Estimator


@dataclass(frozen=True)
class Hybrid:
    """The hybrid gradient of DNO for losses without a gradient (Tang et al., 2024, section 5).

    The noise is perturbed `samples` times, each time by mu times a normal direction. From the
    changes of the loss and the image, the gradient with respect to the image is estimated as::

        g = sum_i (l_i - l_0) (x_i - x_0),    normalized,

    and <g, x_0> is backpropagated through the decoder and the sampler. More samples give a better
    estimate, and each costs an evaluation.

    Under `accelerate launch` the samples are distributed over the processes, each with its own
    model. Give them the same budget in evaluations, not in seconds, and a batch size that fits: if
    one process alone halves its batches, the others wait. Without GPUs, call
    `accelerate.PartialState(cpu=True)` first, and start the script with torchrun.

    Args:
        samples: number of perturbed images per gradient.
        mu: size of the perturbations.
        estimator: estimator of the gradient of the image.

    Raises:
        ValueError: if there are no samples, or mu is not above 0.

    Examples:
        >>> space, noise = dpodiff.Space("a red ball"), torch.randn(1, 1, 4, 16, 16)
        >>> solver = dpodiff.DNO(space, noise, estimator=dpodiff.Hybrid(samples=8))
        >>> solver.follows_gradients  # so a loss without a gradient will do
        False
    """

    samples: int = 16
    mu: float = 0.01
    estimator: Estimator = field(default_factory=Checkpointed)

    def __post_init__(self) -> None:
        check_whole("samples", self.samples, 1, MOST)
        check_finite("mu", self.mu, above=0)
        check_kind("estimator", self.estimator, Estimator, "an estimator of dpodiff.gradients")

    @property
    def remote_samples(self) -> int:
        """Number of samples that other processes make."""
        return self.samples - len(share(self.samples))

    def is_final(self, steps: int) -> bool:
        """Return whether its images are the final ones; see `Estimator.is_final`."""
        return self.estimator.is_final(steps)

    def direction(
        self,
        render: Callable[[torch.Tensor], torch.Tensor],
        losses: Callable[[torch.Tensor], torch.Tensor],
        noise: torch.Tensor,
        images: torch.Tensor,
        seed: int,
    ) -> torch.Tensor:
        """Estimate the gradients of the losses with respect to the images, each normalized to 1.

        All images are perturbed in the same directions, so a result does not depend on the other
        images of its batch.

        Args:
            render: function from noise to images (batch, 3, height, width).
            losses: function from images to losses (batch,).
            noise: (batch, vectors, channel, h, w) at which the gradient is estimated.
            images: images of `noise`.
            seed: seed of the directions.

        Returns:
            directions with the shape of the images, without a graph.
        """
        from accelerate.utils import reduce

        images = images.detach()
        generator = torch.Generator().manual_seed(seed)
        offsets = torch.randn((self.samples, 1, *noise.shape[1:]), generator=generator)
        offsets = offsets[list(share(self.samples))].to(noise)
        moved = render((noise.detach() + self.mu * offsets).flatten(0, 1))
        changes = (losses(moved).unflatten(0, (-1, len(images))) - losses(images)).to(images.dtype)
        steps = moved.unflatten(0, changes.shape) - images
        # eq. (scratch-hybrid)
        total: Any = reduce(torch.einsum("sb,sbchw->bchw", changes, steps), "sum")  # a tensor
        length = torch.linalg.vector_norm(total, dim=(1, 2, 3), keepdim=True)
        return total / length.clamp_min(torch.finfo(total.dtype).tiny)


def share(samples: int) -> range:
    """Return the range of the samples of this process; all samples if there is only one.

    Raises:
        ValueError: if a process has no sample.
    """
    from accelerate import PartialState

    state = PartialState()
    if state.num_processes > samples:
        raise ValueError(f"{state.num_processes} processes need as many samples, not {samples}")
    return range(state.process_index, samples, state.num_processes)
