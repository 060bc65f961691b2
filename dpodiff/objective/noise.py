"""The loss as a function of the noise, with its gradient.

If the loss has a gradient, any estimator of `dpodiff.gradients` backpropagates through the loss,
the decoder and the sampler. If it has none, DNO's `Hybrid` first estimates the gradient with
respect to the images by random perturbations, and only the decoder and the sampler are
backpropagated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from dpodiff.gradients import Estimator, Hybrid, loss_scale
from dpodiff.models.base import Model
from dpodiff.models.batches import Batches
from dpodiff.models.noise import FixedNoise
from dpodiff.names import name_of
from dpodiff.objective.evaluation import Evaluation, mean_value
from dpodiff.objective.images import score
from dpodiff.objective.journal import Answer
from dpodiff.objective.queries import NoiseEvaluation, NoiseQuery
from dpodiff.spaces.space import Prompts

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss


@dataclass(frozen=True)
class NoiseObjective:
    """The losses of one pair of prompts as a function of the noise.

    Attributes:
        model: model that makes the images.
        prompts: prompts of the images.
        loss: loss of the images for `prompt`.
        prompt: the user's own prompt.
        eta: see `dpodiff.models.noise`.
        steps: number of steps of the rollout.
        sign: sign of the loss in the minimized value, 1 or -1.
        batches: batches of images without a graph, and of losses.
        graph_batches: batches of images with a graph, which take more memory.
    """

    model: Model
    prompts: Prompts
    loss: "Loss"
    prompt: str
    eta: float
    steps: int
    sign: int
    batches: Batches
    graph_batches: Batches

    @property
    def guidance(self) -> float:
        """Guidance of the prompts, or else the model's default."""
        chosen = self.prompts.guidance
        return self.model.guidance if chosen is None else chosen

    def evaluate(self, query: NoiseQuery) -> NoiseEvaluation:
        """Return the answer to a query about noise.

        Raises:
            ValueError: if the loss or the estimator has no gradient; the message says what would.
        """
        final = self.steps == self.model.steps
        if query.estimator is None:
            images, gradients = self.images(query.noise), None
            with torch.no_grad():
                losses = self.losses(images)
        else:
            work = partial(self.value_and_gradient, estimator=query.estimator, seed=query.seed)
            parts = self.graph_batches.map(work, query.noise)
            images, losses, gradients = (torch.cat(column) for column in zip(*parts))
            final = final and query.estimator.is_final(self.steps)
        row = tuple(losses.float().tolist())
        evaluation = Evaluation(
            candidate=query.candidate,
            prompts=self.prompts,
            losses=row,
            value=mean_value(self.sign, row, query.penalties),
            noise=query.noise,
            penalties=query.penalties,
            images=images.cpu(),
        )
        values = tuple(self.sign * loss for loss in row)
        return NoiseEvaluation(evaluation, values, gradients, evaluation.images, final)

    def images(self, noise: torch.Tensor) -> torch.Tensor:
        """Make images (batch, 3, height, width) of noise (batch, vectors, channel, h, w)."""
        return torch.cat(list(self.batches.map(self._images, noise)))

    def losses(self, images: torch.Tensor) -> torch.Tensor:
        """Return the losses (batch,) of images.

        Raises:
            ValueError: if the loss does not return one number per image.
        """
        return torch.cat(list(self.batches.map(self._losses, images)))

    def value_and_gradient(
        self, noise: torch.Tensor, estimator: "Estimator | Hybrid", seed: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return images, losses (batch,), and the gradients with respect to each image's own noise.

        Raises:
            ValueError: if the loss or the estimator has no gradient; the message says what would.
        """
        leaf = noise.detach().clone().requires_grad_()
        if isinstance(estimator, Hybrid):
            images = self._with_graph(leaf, estimator.estimator)
            losses, direction = self._by_perturbation(estimator, leaf, images.detach(), seed)
            total = (direction * images).sum()
        else:
            images = self._with_graph(leaf, estimator)
            losses = self._losses(images)
            check_gradient(losses, self.loss)
            total = self.sign * losses.sum()
        scale = loss_scale(self.model.dtype)
        (gradient,) = torch.autograd.grad(total * scale, leaf)
        return images.detach(), losses.detach(), gradient / scale

    @torch.no_grad()
    def _by_perturbation(
        self, hybrid: Hybrid, noise: torch.Tensor, images: torch.Tensor, seed: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return losses (batch,), and for each image the direction in which its value grows."""
        direction = hybrid.direction(self.images, self.losses, noise, images, seed)
        return self.losses(images), self.sign * direction

    def _with_graph(self, noise: torch.Tensor, estimator: Estimator) -> torch.Tensor:
        model, count = FixedNoise(self.model, noise, self.eta), len(noise)
        positive = self.model.encode([self.prompts.positive] * count)
        negative = self.model.encode_negative(
            [self.prompts.negative] * count, self.steps, [self.prompts.window] * count
        )
        with torch.enable_grad():
            images = estimator(
                model,
                model.latents(),
                positive,
                negative,
                steps=self.steps,
                guidance=self.guidance,
            )
        if not images.requires_grad:
            raise ValueError(
                f"{estimator} keeps no graph to the noise at eta = {self.eta}; "
                "Checkpointed() keeps all of it"
            )
        return images

    def _images(self, noise: torch.Tensor) -> torch.Tensor:
        count = len(noise)
        positive, negative = ([text] * count for text in self.prompts)
        model = FixedNoise(self.model, noise, self.eta)
        seeds = range(count)  # unused, since the noise is given
        return model.generate(
            positive,
            negative,
            seeds,
            steps=self.steps,
            guidance=self.guidance,
            windows=[self.prompts.window] * count,
        )

    def _losses(self, images: torch.Tensor) -> torch.Tensor:
        return score(self.loss, images, self.prompt)


def to_keep(answer: NoiseEvaluation, work: Mapping[str, Any]) -> Answer:
    """Return an answer for a journal, with its work and without noise and images."""
    data = {"losses": answer.losses, "final": answer.final, **work}
    gradients = answer.gradients
    return Answer(data, {} if gradients is None else {"gradients": gradients})


def read_back(kept: Answer, query: NoiseQuery, prompts: Prompts, sign: int) -> NoiseEvaluation:
    """Return a stored answer about noise; it has no images."""
    row = tuple(kept.data["losses"])
    evaluation = Evaluation(
        candidate=query.candidate,
        prompts=prompts,
        losses=row,
        value=mean_value(sign, row, query.penalties),
        noise=query.noise,
        penalties=query.penalties,
    )
    values, gradients = tuple(sign * loss for loss in row), kept.tensors.get("gradients")
    if gradients is not None:
        gradients = gradients.to(query.noise.device)
    return NoiseEvaluation(evaluation, values, gradients, None, kept.data["final"])


def check_gradient(losses: torch.Tensor, loss: "Loss") -> None:
    """Refuse losses without a graph.

    Raises:
        ValueError: if the losses have no graph; the message names methods that need none.
    """
    if not losses.requires_grad:
        raise ValueError(
            f"the loss {name_of(loss)} has no gradient in the images; the hybrid gradient needs "
            "none, nor do zero-order search and best of N"
        )
