"""From the weights of a mixture to pictures to losses, and back: gradients of the words.

    weights -> mixed embeddings -> text encoder -> two texts -> sampler -> pictures -> losses
       ^                                             |  ^                                 |
       +-------------- once, for all seeds ----------+  +------- batch by batch ----------+

The text encoder is gone through once, forth and back, however many seeds there are: the gradients
of the batches meet at the two encoded texts, and go the rest of the way together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from dpodiff.gradients import loss_scale
from dpodiff.gradients.mixing import mix
from dpodiff.models.base import Model
from dpodiff.models.batches import Batches
from dpodiff.models.noise import Noised, draw
from dpodiff.names import name_of
from dpodiff.objective.images import judge
from dpodiff.objective.queries import Slope
from dpodiff.spaces.space import Space

if TYPE_CHECKING:
    from dpodiff.gradients import Estimator
    from dpodiff.losses.base import Loss


@dataclass(frozen=True)
class Wording:
    """The mean loss over seeds as a function of the weights of a mixture.

    Attributes:
        model: makes the pictures.
        space: whose words are mixed.
        loss: judges the pictures, asked about the prompt of the space.
        seeds: of the pictures.
        eta: see `dpodiff.models.noise`.
        sign: of the loss in what is minimized, 1 or -1.
        graphs: the batches, of pictures with a graph.
    """

    model: Model
    space: Space
    loss: "Loss"
    seeds: Sequence[int]
    eta: float
    sign: int
    graphs: Batches

    def slope(
        self,
        weights: Sequence[torch.Tensor],
        estimator: "Estimator",
        noise: torch.Tensor | None = None,
    ) -> Slope:
        """The value, and its gradient by the weights; see `Objective.gradient`."""
        leaves = [weight.detach().clone().requires_grad_() for weight in weights]
        with torch.enable_grad():
            texts = [self.model.encode_mixture(side) for side in mix(self.space, leaves)]
            ends = [text.detach().requires_grad_(text.requires_grad) for text in texts]
            noise = draw(self.model, self.seeds, self.eta) if noise is None else noise.detach()
            descend = partial(self._descend, ends, estimator)
            values, found = zip(*self.graphs.map(descend, noise))
            ways = [sum(parts) for parts in zip(*found)]
            if ways:
                torch.autograd.backward([text for text in texts if text.requires_grad], ways)
        scale = loss_scale(self.model.dtype)
        return Slope(sum(values), tuple(_gradient(leaf) / scale for leaf in leaves))

    def _descend(
        self, ends: Sequence[torch.Tensor], estimator: "Estimator", noise: torch.Tensor
    ) -> tuple[float, tuple[torch.Tensor, ...]]:
        """A batch's part of the value, and of the gradient by the texts that ask for one."""
        model, count = Noised(self.model, noise, self.eta), len(noise)
        positive, negative = (text.expand(count, -1, -1) for text in ends)
        rollout = {"steps": model.steps, "guidance": model.guidance}
        images = estimator(model, model.latents(), positive, negative, **rollout)
        losses = judge(self.loss, images, self.space.prompt)
        part = self.sign * losses.double().sum() / len(self.seeds)
        if not images.requires_grad:
            return part.item(), ()
        if not part.requires_grad:
            raise ValueError(
                f"the loss {name_of(self.loss)} has no gradient in the images; "
                "the solvers 'epo' and 'random' need none"
            )
        asking = [end for end in ends if end.requires_grad]
        # Returned, not added to `.grad`: half way back, memory may run out.
        scaled = part * loss_scale(self.model.dtype)
        return part.item(), torch.autograd.grad(scaled, asking, materialize_grads=True)


def _gradient(leaf: torch.Tensor) -> torch.Tensor:
    """The gradient that reached a tensor; zero if none did, as for a word that is not shown."""
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
