"""The interface of a text-to-image model, the same for all families.

A latent diffusion model consists of four functions: texts are encoded, a denoiser predicts from
noisy latents, a closed form turns the prediction into an estimate of the clean latent, and a
decoder makes images. Solvers call `generate`. Gradient estimators combine the four functions
themselves.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, final

import torch

from dpodiff.models.sampling import Scheduler, guided, sample
from dpodiff.models.window import Window, Windowed, windowed
from dpodiff.weighted_text import refuse_weights

if TYPE_CHECKING:
    from dpodiff.models.mixture import Piece


class PromptError(ValueError):
    """A prompt that the model cannot take. The message says why, and what would be right.

    Examples:
        >>> try:
        ...     dpodiff.load("toy").check("")
        ... except dpodiff.PromptError as error:
        ...     print(error)
        the prompt is empty; say what the image shows
    """


class TextToImage(Protocol):
    """A model that makes images from prompts, negative prompts and seeds.

    This is all that a search of words needs. `Model` and `BlackBox` implement it.

    Attributes:
        name: name of the model in records.
        device: device of the images.
        forwards: rows that the denoiser has evaluated; 0 if unknown.
        backwards: rows of its backward passes; 0 if unknown.

    Examples:
        >>> gray = dpodiff.BlackBox(lambda *job: np.full((64, 64, 3), 0.5))
        >>> models = dpodiff.load("toy"), gray
        >>> [tuple(model.generate(["a red ball"], [""], [0]).shape) for model in models]
        [(1, 3, 64, 64), (1, 3, 64, 64)]
    """

    name: str
    device: torch.device
    forwards: int
    backwards: int

    @property
    def steps(self) -> int:
        """Number of steps of a rollout.

        Raises:
            ValueError: if it is unknown.
        """
        ...

    @property
    def takes_negative(self) -> bool:
        """Whether negative prompts may change the images."""
        ...

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        """Refuse prompts that the model cannot take.

        Raises:
            PromptError: if a prompt is refused; the message says why.
        """
        ...

    def generate(
        self, prompts: Sequence[str], negative_prompts: Sequence[str], seeds: Sequence[int]
    ) -> torch.Tensor:
        """Return images (batch, 3, height, width) in [0, 1], one per prompt and seed."""
        ...


class Model(ABC):
    """A text-to-image model with frozen weights.

    Attributes:
        name: name that `load` was given.
        device: device of weights, latents, encodings and images.
        dtype: dtype of the denoiser and the text encoders; images are always float32.
        steps: default number of steps of a rollout. It may be set, as the next two.
        guidance: default weight of classifier-free guidance.
        image_size: height and width in pixels.
        takes_emphasis: whether prompts may be a `WeightedText`.
        takes_window: whether negative prompts may act during some of the steps only.
        forwards: rows the denoiser has evaluated so far; a guided step of one image takes two.
        backwards: rows of its backward passes so far.

    Examples:
        >>> model = dpodiff.load("toy")
        >>> images = model.generate(["a red ball on the sea"], ["blurry"], [0])
        >>> tuple(images.shape)
        (1, 3, 64, 64)
        >>> model.forwards  # 6 steps, each with the prompt and with the negative prompt
        12
    """

    name: str
    device: torch.device
    dtype: torch.dtype
    steps: int
    guidance: float
    image_size: int
    takes_emphasis: bool = False
    takes_window: bool = True
    forwards: int = 0
    backwards: int = 0

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        steps: int | None = None,
        guidance: float | None = None,
        stop: int | None = None,
        windows: Sequence[Window | None] | None = None,
    ) -> torch.Tensor:
        """Make one batch of images without a graph.

        Args:
            prompts: one per image.
            negative_prompts: one per image.
            seeds: one per image.
            steps: number of steps; None is the model's default.
            guidance: guidance weight; None is the model's default.
            stop: number of steps to take; the clean image is then estimated from the last
                prediction. None takes all steps.
            windows: one per image: shares (start, end) of the steps between which the negative
                prompt acts. Outside of them the empty text replaces it. None is all steps.

        Returns:
            images (batch, 3, height, width), float32 in [0, 1].

        Raises:
            PromptError: if `check` refuses a prompt.
            ValueError: if the lists differ in length, `stop` is not a step of the rollout, or a
                window is not a pair of shares in order.
        """
        lengths = len(prompts), len(negative_prompts), len(seeds)
        if len(set(lengths)) > 1:
            raise ValueError(
                "one prompt, one negative prompt and one seed per image are needed, "
                "not {} prompts, {} negative prompts and {} seeds".format(*lengths)
            )
        for pair in dict.fromkeys(zip(prompts, negative_prompts, strict=True)):
            self.check(*pair)
        steps = self.steps if steps is None else steps
        guidance = self.guidance if guidance is None else guidance
        x = self.latents(seeds)
        texts = self.encode(prompts), self.encode_negative(negative_prompts, steps, windows)
        if stop is None or stop == steps:
            return self.decode(sample(self, x, *texts, steps=steps, guidance=guidance))
        if not 1 <= stop <= steps:
            raise ValueError(f"stop must be 1 to {steps}, not {stop}")
        x = sample(self, x, *texts, steps=steps, guidance=guidance, stop=stop - 1)
        t = self.scheduler(steps).timesteps[stop - 1]
        return self.decode(self.predict_x0(x, t, guided(self, x, t, *texts, guidance)))

    @property
    def takes_negative(self) -> bool:
        """Whether negative prompts change the images, which needs guidance above 1.

        Distilled models (SD-Turbo, SDXL-Turbo, Flux, Z-Image-Turbo) use no guidance.
        """
        return self.guidance > 1

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        """Refuse prompts that the model cannot take. The negative prompt may be empty.

        Raises:
            PromptError: if a prompt is refused; the message says why and what would be right.
            ValueError: if words are weighted and the model does not support weights.
        """
        if not self.takes_emphasis:
            refuse_weights(self.name, prompt, negative_prompt)
        if not prompt.strip():
            raise PromptError("the prompt is empty; say what the image shows")
        if negative_prompt and not self.takes_negative:
            raise PromptError(
                f"with guidance {self.guidance:g}, {self.name} ignores negative prompts: "
                "leave it empty, or set the model's guidance above 1, at twice the cost of a step"
            )

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Return encodings (batch, token, dim) of texts without a graph; each text is encoded once.

        If the model also uses a vector of the whole text, it is the last token.
        """

    def encode_negative(
        self,
        texts: Sequence[str],
        steps: int,
        windows: Sequence[Window | None] | None = None,
    ) -> torch.Tensor | Windowed:
        """Return encodings of negative prompts, with their windows if there are any.

        Args:
            texts: one per image.
            steps: number of steps of the rollout.
            windows: as in `generate`.

        Raises:
            ValueError: if a window is invalid, or their number differs from that of the texts.
        """
        inside = self.encode(texts)
        if windows is None or not any(windows):
            return inside
        return windowed(inside, self.encode([""]), windows, self.scheduler(steps).timesteps)

    @abstractmethod
    def encode_mixture(self, pieces: "Sequence[Piece]") -> torch.Tensor:
        """Encode a prompt with mixed words: (1, token, dim), differentiable in the weights.

        Raises:
            PromptError: if it has more tokens than the model takes.
        """

    @abstractmethod
    def latents(self, seeds: Sequence[int]) -> torch.Tensor:
        """Return initial noise (batch, channel, h, w); each row depends only on its own seed."""

    @abstractmethod
    def scheduler(self, steps: int) -> Scheduler:
        """Return a fresh scheduler for a rollout of `steps`, since schedulers may keep state.

        Raises:
            ValueError: if `steps` is below 1 or above the number of training steps.
        """

    @final
    def denoise(
        self, x: torch.Tensor, t: torch.Tensor | int, embeddings: torch.Tensor
    ) -> torch.Tensor:
        """Return the network's prediction from latents; `forwards` and `backwards` count its rows.

        Budgets depend on these counts, so they are kept here for every family.

        Args:
            x: latents (batch, channel, h, w).
            t: timestep, one for all rows, or (batch,).
            embeddings: encoded texts (batch, token, dim).

        Returns:
            prediction with the shape of `x`, differentiable in `x` and `embeddings`.
        """
        self.forwards += len(x)
        prediction = self._denoise(x, t, embeddings)
        if prediction.requires_grad:
            prediction.register_hook(self._count_backward)
        return prediction

    def _count_backward(self, gradient: torch.Tensor) -> None:
        self.backwards += len(gradient)

    @abstractmethod
    def _denoise(
        self, x: torch.Tensor, t: torch.Tensor | int, embeddings: torch.Tensor
    ) -> torch.Tensor:
        """Run the network; `denoise` calls this method with the same arguments."""

    @abstractmethod
    def predict_x0(
        self, x: torch.Tensor, t: torch.Tensor | int, prediction: torch.Tensor
    ) -> torch.Tensor:
        """Return the clean latent estimated from a `prediction` at `x` and `t`; differentiable."""

    @abstractmethod
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Decode clean latents to images (batch, 3, height, width) in [0, 1]; differentiable.

        They are float32, or float64 if the decoder is.
        """


def require_model(model: TextToImage, what: str) -> Model:
    """Return the model if it is a `Model`, which allows access to its parts.

    Args:
        model: anything that makes images.
        what: the part that is needed, for the error.

    Raises:
        ValueError: if it is a black box; the message names solvers that need no more.
    """
    if not isinstance(model, Model):
        raise refusal(model.name, what)
    return model


def refusal(name: str, what: str) -> ValueError:
    """Return the error for a part that a black box does not have."""
    return ValueError(
        f"{name} is a black box, which has no {what}; the solvers 'epo' and 'random' need none"
    )
