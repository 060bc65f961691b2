"""Any function that makes images, taken as a model: a remote service, a pipeline of one's own.

    def generate(prompt, negative_prompt, seed): ...      # -> an image

    dpodiff.improve(prompt, model=BlackBox(generate, workers=8), loss=my_loss, solver="epo")

Random search and EPO need no more than that. What follows gradients or looks at half-done images
has to see inside, and is refused.
"""

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

import numpy as np
import torch
from PIL import Image

from dpodiff.models.base import PromptError, refusal
from dpodiff.names import name_of
from dpodiff.weighted_text import refuse_weights

ImageLike = Image.Image | np.ndarray | torch.Tensor
Job = tuple[str, str, int]  # prompt, negative prompt, seed
Generate = Callable[[str, str, int], ImageLike]


class BlackBox:
    """A model of which only the images are known; it stands where a `Model` does in a search.

    Args:
        generate: from a prompt, a negative prompt and a seed to an image, always of one size: a
            PIL image, an array (height, width, 3) or a tensor (3, height, width), either of uint8
            or of floating point in [0, 1]. Equal arguments should give equal images.
        name: for the record.
        workers: calls at the same time, each in a thread; the order of the images is kept. More
            than the search's `batch_size`, 16 if not given, find no work.

    Attributes:
        forwards, backwards: 0; what goes on inside is unknown.
        takes_negative: True; whether the negative prompt changes anything is unknown too.

    Raises:
        ValueError: if there is no worker.

    Examples:
        >>> def paint(prompt, negative_prompt, seed):
        ...     return np.full((64, 64, 3), 0.5)
        >>> model = dpodiff.BlackBox(paint, name="gray")
        >>> images = model.generate(["a red ball", "a cup"], ["", ""], [0, 1])
        >>> tuple(images.shape), images.mean().item()
        ((2, 3, 64, 64), 0.5)
    """

    device = torch.device("cpu")  # where the images lie
    forwards = backwards = 0
    takes_negative = True

    def __init__(self, generate: Generate, name: str = "black box", workers: int = 1) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self._generate, self.name, self.workers = generate, name, workers

    def __repr__(self) -> str:
        made_by = name_of(self._generate)  # no repr, which may show an API key
        return f"BlackBox({made_by}, name={self.name!r}, workers={self.workers})"

    @property
    def steps(self) -> int:
        """Unknown.

        Raises:
            ValueError: always, naming the solvers that need no steps.
        """
        raise refusal(self.name, "steps")

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        """Refuses an empty prompt, and weights of words.

        Raises:
            PromptError: if it is empty.
            ValueError: if its words are weighted.
        """
        refuse_weights(self.name, prompt, negative_prompt)
        if not prompt.strip():
            raise PromptError("the prompt is empty; say what the image shows")

    def generate(
        self, prompts: Sequence[str], negative_prompts: Sequence[str], seeds: Sequence[int]
    ) -> torch.Tensor:
        """Asks for one image a (prompt, negative prompt, seed).

        Once a call fails, or is interrupted, those that have not begun are dropped.

        Returns:
            images (batch, 3, height, width), float32 in [0, 1], on the CPU.

        Raises:
            ValueError: if what came back is no such image, or two differ in size.
            RuntimeError: if a call fails, naming prompt and seed, from the exception it raised.
        """
        jobs = list(zip(prompts, negative_prompts, seeds, strict=True))
        if self.workers == 1:
            images = [self._image(job) for job in jobs]
        else:
            images = self._images_in_threads(jobs)
        for job, image in zip(jobs, images):
            if image.shape != images[0].shape:
                sizes = " and ".join("x".join(map(str, i.shape[1:])) for i in (images[0], image))
                raise ValueError(f"{self._call(job)} gave another size than before: {sizes}")
        return torch.stack(images)

    def _images_in_threads(self, jobs: Sequence[Job]) -> list[torch.Tensor]:
        """The images in the order of the jobs; of several errors the one of the first job.

        The threads are daemons, so that neither Ctrl-C nor the end of the program waits for calls
        that hang, as it would with `concurrent.futures`.
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
        try:
            source = self._generate(*job)
        except Exception as error:
            raise RuntimeError(f"{self._call(job)} failed: {error!r}") from error
        try:
            return as_image(source)
        except ValueError as error:
            raise ValueError(f"{self._call(job)} gave no image: {error}") from None

    def _call(self, job: Job) -> str:
        prompt, negative, seed = job
        return f"{self.name}: generate({prompt!r}, {negative!r}, {seed})"


def _in_order(
    finished: "SimpleQueue[tuple[int, torch.Tensor | BaseException]]", count: int
) -> list[torch.Tensor]:
    """So many images by their numbers; an error is raised in its turn."""
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
    """An image as a tensor (3, height, width), float32 in [0, 1], on the CPU.

    Args:
        source: a PIL image of any mode, an array (height, width, 3) or a tensor (3, height,
            width), either of uint8 or of floating point in [0, 1].

    Raises:
        ValueError: if it is none of these.
    """
    if isinstance(source, Image.Image):
        source = np.asarray(source.convert("RGB"))
    if isinstance(source, torch.Tensor):
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


def _unit(image: torch.Tensor) -> torch.Tensor:
    """Values as float32 in [0, 1]."""
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
