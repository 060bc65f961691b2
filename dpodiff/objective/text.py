"""The loss as a function of mixed words, with its gradient.

    weights -> mixed embeddings -> text encoder -> two encodings -> sampler -> images -> losses
       ^                                             |  ^                                |
       +----- one backward pass for all seeds -------+  +------ batch by batch ----------+

The text encoder runs once, forward and backward, for any number of seeds. The gradients of the
batches are summed at the two encodings, and the sum is backpropagated through the encoder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import TYPE_CHECKING

import torch

from dpodiff.gradients import loss_scale, mix
from dpodiff.models.base import Model
from dpodiff.models.batches import Batches
from dpodiff.models.noise import FixedNoise, draw
from dpodiff.names import name_of
from dpodiff.objective.images import score
from dpodiff.objective.queries import ValueAndGradient
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    from dpodiff.gradients import Estimator
    from dpodiff.losses.base import Loss


@dataclass(frozen=True)
class TextObjective:
    """The mean loss over seeds as a function of the weights of a mixture.

    Attributes:
        model: model that makes the images.
        space: space whose words are mixed.
        loss: loss of the images for the prompt of the space.
        seeds: seeds of the images.
        eta: see `dpodiff.models.noise`.
        sign: sign of the loss in the minimized value, 1 or -1.
        batches: batches of images with a graph.
    """

    model: Model
    space: Space
    loss: "Loss"
    seeds: Sequence[int]
    eta: float
    sign: int
    batches: Batches

    def value_and_gradient(
        self,
        weights: Sequence[torch.Tensor],
        estimator: "Estimator",
        noise: torch.Tensor | None = None,
    ) -> ValueAndGradient:
        """Return the value and its gradient in the weights; see `Objective.gradient`."""
        leaves = [weight.detach().clone().requires_grad_() for weight in weights]
        with torch.enable_grad():
            texts = [self.model.encode_mixture(side) for side in mix(self.space, leaves)]
            encodings = [text.detach().requires_grad_(text.requires_grad) for text in texts]
            noise = draw(self.model, self.seeds, self.eta) if noise is None else noise.detach()
            work = partial(self._batch, encodings, estimator)
            values, parts = zip(*self.batches.map(work, noise))
            # d value / d encodings
            gradients = [reduce(torch.add, same) for same in zip(*parts)]
            if gradients:
                torch.autograd.backward([t for t in texts if t.requires_grad], gradients)
        scale = loss_scale(self.model.dtype)
        return ValueAndGradient(sum(values), tuple(_gradient(leaf) / scale for leaf in leaves))

    def _batch(
        self, encodings: Sequence[torch.Tensor], estimator: "Estimator", noise: torch.Tensor
    ) -> tuple[float, tuple[torch.Tensor, ...]]:
        """Return the share of a batch in the value and in the gradients of the encodings."""
        model, count = FixedNoise(self.model, noise, self.eta), len(noise)
        positive, negative = (text.expand(count, -1, -1) for text in encodings)
        images = estimator(
            model,
            model.latents(),
            positive,
            negative,
            steps=model.steps,
            guidance=model.guidance,
        )
        losses = score(self.loss, images, self.space.prompt)
        value = self.sign * losses.cpu().double().sum() / len(self.seeds)  # "mps" has no float64
        if not images.requires_grad:
            return value.item(), ()
        if not value.requires_grad:
            raise ValueError(
                f"the loss {name_of(self.loss)} has no gradient in the images; "
                "the solvers 'epo' and 'random' need none"
            )
        inputs = [text for text in encodings if text.requires_grad]
        # Returned, not added to `.grad`: memory may run out during a backward pass.
        scaled = value * loss_scale(self.model.dtype)
        return value.item(), torch.autograd.grad(scaled, inputs, materialize_grads=True)


def _gradient(leaf: torch.Tensor) -> torch.Tensor:
    """Return the gradient of a tensor; zero if there is none, as for a word that is not shown."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
