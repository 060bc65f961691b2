"""Models given as a function that makes images, such as a remote service or a custom pipeline.

    def generate(prompt, negative_prompt, seed): ...      # -> an image

    dpodiff.improve(prompt, model=BlackBox(generate, workers=8), loss=my_loss, solver="epo")

Random search and EPO need no more than images. Solvers that follow gradients or use partly denoised
images need a `Model`, and refuse a black box.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import numpy as np
import torch
from PIL import Image

from dpodiff.checks import check_callable, check_finite, check_text, check_whole
from dpodiff.models.base import PromptError, refusal
from dpodiff.names import name_of
from dpodiff.weighted_text import refuse_weights

MOST_WORKERS = 1000  # threads
ImageLike = Image.Image | np.ndarray | torch.Tensor
Job = tuple[str, str, int]  # prompt, negative prompt, seed
Generate = Callable[[str, str, int], ImageLike]


class BlackBox:
    """A model given as a function from prompts and a seed to an image.

    Args:
        generate: a function from a prompt, a negative prompt and a seed to an image of constant
            size: a PIL image, an array (height, width, 3) or a tensor (3, height, width), of uint8
            or of floating point in [0, 1]. Equal arguments should give equal images.
        name: name of the model in records.
        retries: how often a failed call is repeated.
        pause: seconds before the first retry; each pause is twice as long as the one before.
        workers: number of concurrent calls, each in a thread; the order of the images is kept. More
            workers than the search's `batch_size` (default 16) stay idle.

    Attributes:
        forwards, backwards: 0, since the denoiser is unknown.
        takes_negative: True, although the negative prompt may have no effect.

    Raises:
        ValueError: if an argument is out of its range.

    Examples:
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((64, 64, 3), 0.5)
        >>> model = dpodiff.BlackBox(paint, name="gray")
        >>> images = model.generate(["a red ball", "a cup"], ["", ""], [0, 1])
        >>> tuple(images.shape), images.mean().item()
        ((2, 3, 64, 64), 0.5)
    """

    device = torch.device("cpu")  # device of the images
    forwards = backwards = 0
    takes_negative = True

    def __init__(
        self,
        generate: Generate,
        name: str = "black box",
        workers: int = 1,
        *,
        retries: int = 0,
        pause: float = 1.0,
    ) -> None:
        meant = "a callable from prompt, negative prompt and seed to an image"
        check_callable("generate", generate, meant)
        check_text("name", name)
        check_whole("workers", workers, 1, MOST_WORKERS)
        check_whole("retries", retries, 0)
        check_finite("pause", pause, 0)
        self._generate, self.name, self.workers = generate, name, workers
        self.retries, self.pause = retries, pause

    def __repr__(self) -> str:
        made_by = name_of(self._generate)  # not its repr, which may show an API key
        return f"BlackBox({made_by}, name={self.name!r}, workers={self.workers})"

    @property
    def steps(self) -> int:
        """The number of steps is unknown.

        Raises:
            ValueError: always; the message names solvers that need no steps.
        """
        raise refusal(self.name, "steps")

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        """Refuse an empty prompt and weighted words.

        Raises:
            PromptError: if the prompt is empty.
            ValueError: if words are weighted.
        """
        refuse_weights(self.name, prompt, negative_prompt)
        if not prompt.strip():
            raise PromptError("the prompt is empty; say what the image shows")

    def generate(
        self, prompts: Sequence[str], negative_prompts: Sequence[str], seeds: Sequence[int]
    ) -> torch.Tensor:
        """Call the function for each prompt, negative prompt and seed.

        If a call fails or is interrupted, calls that have not begun are dropped.

        Returns:
            images (batch, 3, height, width), float32 in [0, 1], on the CPU.

        Raises:
            ValueError: if a result is not such an image, or two results differ in size.
            RuntimeError: if a call and its retries fail; the message names prompt and seed, and the
                cause is the last exception.
        """
        jobs = list(zip(prompts, negative_prompts, seeds, strict=True))
        if self.workers == 1:
            images = [self._image(job) for job in jobs]
        else:
            images = self._images_in_threads(jobs)
        for job, image in zip(jobs, images):
            if image.shape != images[0].shape:
                raise other_size(self._call(job), images[0], image)
        return torch.stack(images)

    def _images_in_threads(self, jobs: Sequence[Job]) -> list[torch.Tensor]:
        """Return the images in the order of the jobs, or raise the error of the first failed job.

        The threads are daemons, so that neither Ctrl-C nor the end of the program waits for hanging
        calls. With `concurrent.futures` both would wait.
        """
        waiting: SimpleQueue[tuple[int, Job]] = SimpleQueue()
        finished: SimpleQueue[tuple[int, torch.Tensor | BaseException]] = SimpleQueue()
        over = threading.Event()
        for numbered in enumerate(jobs):
            waiting.put(numbered)

        def work() -> None:
            while not over.is_set():
                try:
                    place, job = waiting.get_nowait()
                except Empty:
                    return
                try:
                    finished.put((place, self._image(job)))
                except BaseException as error:
                    over.set()
                    finished.put((place, error))

        for _ in range(min(self.workers, len(jobs))):
            threading.Thread(target=work, daemon=True).start()
        try:
            return _in_order(finished, len(jobs))
        finally:
            over.set()

    def _image(self, job: Job) -> torch.Tensor:  # (3, height, width)
        source = self._asked(job)
        try:
            return as_image(source)
        except ValueError as error:
            raise ValueError(f"{self._call(job)} returned no image: {error}") from None

    def _asked(self, job: Job) -> ImageLike:
        """Call the function, and repeat the call if it raises."""
        for retry in itertools.count():
            try:
                return self._generate(*job)
            except Exception as error:
                if retry == self.retries:
                    tries = f" {retry + 1} times" if retry else ""
                    raise RuntimeError(f"{self._call(job)} failed{tries}: {error!r}") from error
            time.sleep(self.pause * 2**retry)
        raise AssertionError  # not reached

    def _call(self, job: Job) -> str:
        prompt, negative, seed = job
        return f"{self.name}: generate({prompt!r}, {negative!r}, {seed})"


def _in_order(
    finished: "SimpleQueue[tuple[int, torch.Tensor | BaseException]]", count: int
) -> list[torch.Tensor]:
    """Return `count` images ordered by their numbers; an error is raised at its place."""
    came: dict[int, torch.Tensor | BaseException] = {}
    images = []
    for place in range(count):
        while place not in came:
            number, made = finished.get()
            came[number] = made
        made = came.pop(place)
        if isinstance(made, BaseException):
            raise made
        images.append(made)
    return images


def as_image(source: ImageLike) -> torch.Tensor:
    """Return an image as a tensor (3, height, width), float32 in [0, 1], on the CPU.

    Args:
        source: a PIL image, an array (height, width, 3) or a tensor (3, height, width), of uint8 or
            of floating point in [0, 1]. Transparent pixels are shown on white. A PIL image of mode
            "I" is refused, since it does not define the value of white.

    Raises:
        ValueError: if it is something else.
    """
    if isinstance(source, Image.Image):
        source = _pixels(source)
    if isinstance(source, torch.Tensor):
        if source.is_meta:
            raise ValueError("a tensor with values is needed, not one on the device meta")
        layout, image = "(3, height, width)", source.detach().cpu()
    elif isinstance(source, np.ndarray) and source.dtype.kind in "uif":
        dtype = np.float32 if source.dtype.kind == "f" else source.dtype
        layout, image = "(height, width, 3)", torch.from_numpy(source.astype(dtype))
        image = image.movedim(-1, 0) if image.ndim == 3 else image
    else:
        kind = f"{getattr(source, 'dtype', '')} {type(source).__name__}".strip()
        raise ValueError(f"a PIL image, an array or a tensor of numbers is needed, not {kind}")
    if image.ndim != 3 or image.shape[0] != 3 or 0 in image.shape:
        raise ValueError(f"{layout} is needed, not {tuple(source.shape)}")
    return _unit(image)


def other_size(call: str, first: torch.Tensor, image: torch.Tensor) -> ValueError:
    """Return the error for an image whose size differs from the first one's."""
    sizes = " and ".join("x".join(map(str, one.shape[1:])) for one in (first, image))
    return ValueError(f"{call} returned another size than before: {sizes}")


def _pixels(image: Image.Image) -> np.ndarray:  # (height, width, 3)
    """Return the pixels of a PIL image, as uint8 or in [0, 1]."""
    if image.mode == "I":
        raise ValueError("a PIL image of mode I does not say which value is white: convert it")
    if image.mode == "F" or image.mode.startswith("I;16"):
        gray = np.asarray(image).astype(np.float32)
        gray = gray if image.mode == "F" else gray / 65535
        return np.repeat(gray[..., None], 3, axis=2)
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _unit(image: torch.Tensor) -> torch.Tensor:
    """Return values as float32 in [0, 1]."""
    if image.dtype == torch.uint8:
        return image.float() / 255
    if not image.is_floating_point():
        raise ValueError(f"uint8, or floating point in [0, 1], is needed, not {image.dtype}")
    low, high = image.aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            f"floating point must lie in [0, 1], not in [{low:.3g}, {high:.3g}]; "
            "values up to 255 should be uint8"
        )
    return image.float()
