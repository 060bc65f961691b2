"""From noise to pictures to losses, and back: gradients with respect to the noise.

With a loss that has a gradient, any estimator of `dpodiff.gradients` goes the whole way back. A
loss that is a black box is first asked by trial which way the pictures should go; only the rest of
the way, through decoder and sampler, goes by their gradient. That is DNO's `Hybrid`.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from dpodiff.gradients import Estimator, Shortcut, loss_scale
from dpodiff.gradients.hybrid import Hybrid
from dpodiff.models.base import Model
from dpodiff.models.batches import Batches
from dpodiff.models.noise import Noised
from dpodiff.names import name_of
from dpodiff.objective.images import judge
from dpodiff.objective.queries import Look, Noise
from dpodiff.spaces.space import Prompts

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss


def at_the_end(estimator: "Estimator | Hybrid", steps: int) -> bool:
    """Whether the estimator's pictures are the sampler's own, not estimates of them."""
    inner = estimator.estimator if isinstance(estimator, Hybrid) else estimator
    return not isinstance(inner, Shortcut) or inner.step + inner.k == steps


@dataclass(frozen=True)
class Landscape:
    """The losses of one pair of prompts as a function of the noise.

    Attributes:
        model: makes the pictures.
        prompts: they are made of.
        loss: judges them, asked about `asked`.
        asked: the user's own prompt.
        eta: see `dpodiff.models.noise`.
        steps: of the rollout.
        sign: of the loss in what is minimized, 1 or -1.
        batches: of pictures, and of losses.
        graphs: the batches of pictures with a graph, of which fewer fit into memory.
    """

    model: Model
    prompts: Prompts
    loss: "Loss"
    asked: str
    eta: float
    steps: int
    sign: int
    batches: Batches
    graphs: Batches

    def look(self, query: Noise) -> Look:
        """The answer to a question about noise.

        Raises:
            ValueError: if loss or estimator have no gradient, saying what would have one.
        """
        if query.estimator is None:
            images = self.pictures(query.noise)
            with torch.no_grad():
                losses, gradients = self.losses(images), None
            final = self.steps == self.model.steps
        else:
            descend = partial(self.descend, estimator=query.estimator, seed=query.seed)
            found = self.graphs.map(descend, query.noise)
            images, losses, gradients = (torch.cat(column) for column in zip(*found))
            final = self.steps == self.model.steps and at_the_end(query.estimator, self.steps)
        losses = tuple(losses.float().tolist())
        values = tuple(self.sign * loss for loss in losses)
        return Look(losses, values, gradients, images.cpu(), final)

    def pictures(self, noise: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width) of noise (batch, vectors, channel, h, w), no graph."""
        return torch.cat(list(self.batches.map(self._pictures, noise)))

    def losses(self, images: torch.Tensor) -> torch.Tensor:
        """The losses (batch,) of images.

        Raises:
            ValueError: if the loss does not give one number an image.
        """
        return torch.cat(list(self.batches.map(self._losses, images)))

    def descend(
        self, noise: torch.Tensor, estimator: "Estimator | Hybrid", seed: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images, losses (batch,), and the gradient of each value by its own noise.

        Raises:
            ValueError: if the loss or the estimator has no gradient, saying what would have one.
        """
        leaf = noise.detach().clone().requires_grad_()
        hybrid = estimator if isinstance(estimator, Hybrid) else None
        images = self._with_graph(leaf, hybrid.estimator if hybrid else estimator)
        if hybrid is None:
            losses = self._losses(images)
            check_gradient(losses, self.loss)
            way = self.sign * losses.sum()
        else:
            losses, goal = self._by_trial(hybrid, leaf, images.detach(), seed)
            way = (goal * images).sum()
        scale = loss_scale(self.model.dtype)
        (way * scale).backward()
        return images.detach(), losses.detach(), leaf.grad / scale

    @torch.no_grad()
    def _by_trial(self, hybrid: "Hybrid", noise: torch.Tensor, images: torch.Tensor, seed: int):
        direction = hybrid.direction(self.pictures, self.losses, noise, images, seed)
        return self.losses(images), self.sign * direction

    def _with_graph(self, noise: torch.Tensor, estimator: Estimator) -> torch.Tensor:
        view, count = Noised(self.model, noise, self.eta), len(noise)
        texts = [self.model.encode([text] * count) for text in self.prompts]
        rollout = {"steps": self.steps, "guidance": self.model.guidance}
        with torch.enable_grad():
            images = estimator(view, view.latents(), *texts, **rollout)
        if not images.requires_grad:
            raise ValueError(
                f"{estimator} keeps no way back to the noise at eta = {self.eta}; "
                "Checkpointed() keeps all of them"
            )
        return images

    def _pictures(self, noise: torch.Tensor) -> torch.Tensor:
        positive, negative = ([text] * len(noise) for text in self.prompts)
        view, seeds = Noised(self.model, noise, self.eta), range(len(noise))  # seeds say nothing
        return view.generate(positive, negative, seeds, steps=self.steps)

    def _losses(self, images: torch.Tensor) -> torch.Tensor:
        return judge(self.loss, images, self.asked)


def check_gradient(losses: torch.Tensor, loss: "Loss") -> None:
    """Refuse a loss that cannot be gone back through.

    Raises:
        ValueError: if the losses have no graph, naming what needs none.
    """
    if not losses.requires_grad:
        raise ValueError(
            f"the loss {name_of(loss)} has no gradient in the images; the hybrid gradient needs "
            "none, nor do zero-order search and best of N"
        )
