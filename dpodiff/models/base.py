"""What a search needs of a text-to-image model, whatever its family.

A latent diffusion model is four functions: texts are encoded, a denoiser predicts from noisy
latents, a closed form turns that prediction into an estimate of the clean latent, and a decoder
makes images of it. Solvers call `generate`; gradients put the four together themselves.
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
    """A prompt the model cannot take; says why, and what would be right.

    Examples:
        >>> try:
        ...     dpodiff.load("toy").check("")
        ... except dpodiff.PromptError as error:
        ...     print(error)
        the prompt is empty; say what the image shows
    """


class TextToImage(Protocol):
    """Makes images from prompts, negative prompts and seeds: all that a search of words needs.

    A `Model` does, and so does a `BlackBox`, of which no more is known.

    Attributes:
        name: for the record.
        device: of the images.
        forwards, backwards: rows of the denoiser so far; 0 where they are not known.

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
        """Steps of a rollout.

        Raises:
            ValueError: if they are not known.
        """
        ...

    @property
    def takes_negative(self) -> bool:
        """Whether negative prompts may change anything."""
        ...

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        """Refuses prompts the model cannot take.

        Raises:
            PromptError: naming what is wrong.
        """
        ...

    def generate(
        self, prompts: Sequence[str], negative_prompts: Sequence[str], seeds: Sequence[int]
    ) -> torch.Tensor:
        """Images (batch, 3, height, width) in [0, 1], one a (prompt, negative prompt, seed)."""
        ...


class Model(ABC):
    """A text-to-image model, frozen.

    Attributes:
        name: what `load` was given.
        device: of weights, latents, encodings and images.
        dtype: of the denoiser and the text encoder; images are always float32.
        steps: of a rollout, unless told otherwise.
        guidance: weight of classifier-free guidance, unless told otherwise.
        image_size: height and width in pixels. These three may be set.
        takes_emphasis: whether prompts may be a `WeightedText`.
        takes_window: whether negative prompts may act in a part of the steps only.
        forwards: rows the denoiser has evaluated so far; a guided step of one image is two.
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
        """Makes one batch of images, one a (prompt, negative prompt, seed), without a graph.

        Args:
            prompts: one an image.
            negative_prompts: one an image.
            seeds: one an image.
            steps: of the rollout; None is the model's own number.
            guidance: weight; None is the model's own.
            stop: after this many steps, the clean image is estimated from the last of them; None
                takes all steps.
            windows: one an image: shares (start, end) of the steps between which its negative
                prompt acts; the empty text takes its place before and after. None is all steps.

        Returns:
            images (batch, 3, height, width), float32 in [0, 1].

        Raises:
            PromptError: if `check` refuses a prompt.
            ValueError: if the lists differ in length, `stop` is no step of the rollout, or a window
                is no pair of shares in order.
        """
        lengths = len(prompts), len(negative_prompts), len(seeds)
        if len(set(lengths)) > 1:
            raise ValueError(
                "one prompt, one negative prompt and one seed an image are needed, "
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
        """Whether negative prompts change anything, as they do with guidance above 1.

        Distilled models (SD-Turbo, SDXL-Turbo, Flux, Z-Image-Turbo) do without.
        """
        return self.guidance > 1

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        """Refuses prompts the model cannot take. Only the negative one may be empty.

        Raises:
            PromptError: naming what is wrong and what would be right.
            ValueError: if words are weighted, and the model takes no weights.
        """
        if not self.takes_emphasis:
            refuse_weights(self.name, prompt, negative_prompt)
        if not prompt.strip():
            raise PromptError("the prompt is empty; say what the image shows")
        if negative_prompt and not self.takes_negative:
            raise PromptError(
                f"with guidance {self.guidance:g}, {self.name} does not look at negative prompts: "
                "leave it empty, or set the model's guidance above 1, at twice the cost of a step"
            )

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Encodings (batch, token, dim) of the texts, without a graph, each made once.

        If the model also wants a vector of the whole text, that is the last of the tokens.
        """

    def encode_negative(
        self,
        texts: Sequence[str],
        steps: int,
        windows: Sequence[Window | None] | None = None,
    ) -> torch.Tensor | Windowed:
        """Encodings of negative prompts, with the windows in which they act, if there are any.

        Args:
            texts: one an image.
            steps: of the rollout.
            windows: as in `generate`.

        Raises:
            ValueError: if a window is none, or there is not one an image.
        """
        inside = self.encode(texts)
        if windows is None or not any(windows):
            return inside
        return windowed(inside, self.encode([""]), windows, self.scheduler(steps).timesteps)

    @abstractmethod
    def encode_mixture(self, pieces: "Sequence[Piece]") -> torch.Tensor:
        """Encoding (1, token, dim) of a prompt with mixed words; differentiable in the weights.

        Raises:
            PromptError: if it takes more tokens than the model does.
        """

    @abstractmethod
    def latents(self, seeds: Sequence[int]) -> torch.Tensor:
        """Noise (batch, channel, h, w) to start from; a row depends on its own seed only."""

    @abstractmethod
    def scheduler(self, steps: int) -> Scheduler:
        """A fresh scheduler for one rollout of `steps`; it may keep state from step to step.

        Raises:
            ValueError: if there are fewer than one, or more than the model was trained with.
        """

    @final
    def denoise(
        self, x: torch.Tensor, t: torch.Tensor | int, embeddings: torch.Tensor
    ) -> torch.Tensor:
        """What the network predicts from latents, counted in `forwards` and `backwards`.

        Budgets rest on these counts, so they are kept here, for every family alike.

        Args:
            x: latents (batch, channel, h, w).
            t: timestep, one for all rows or (batch,).
            embeddings: encoded texts (batch, token, dim).

        Returns:
            prediction of the shape of `x`, differentiable in `x` and `embeddings`.
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
        """The network itself, called by `denoise`, with the same arguments."""

    @abstractmethod
    def predict_x0(
        self, x: torch.Tensor, t: torch.Tensor | int, prediction: torch.Tensor
    ) -> torch.Tensor:
        """The clean latent that `prediction`, made from `x` at `t`, points to; differentiable."""

    @abstractmethod
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Images (batch, 3, height, width) in [0, 1] of clean latents; differentiable.

        They are float32, or float64 if the decoder is.
        """


def require_model(model: TextToImage, what: str) -> Model:
    """The same model, if it can be looked into.

    Args:
        model: anything that makes images.
        what: is to be looked at, for the error.

    Raises:
        ValueError: if it is a black box, naming the solvers that need no more.
    """
    if not isinstance(model, Model):
        raise refusal(model.name, what)
    return model


def refusal(name: str, what: str) -> ValueError:
    """The error that says what a black box does not have."""
    return ValueError(
        f"{name} is a black box, which has no {what}; the solvers 'epo' and 'random' need none"
    )
