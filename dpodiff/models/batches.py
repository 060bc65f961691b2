"""How many images are made at a time: as many as memory holds.

An image does not depend on those beside it, so the size of a batch is a matter of speed and memory
alone, and may change on the way. Only the last digits of an image may change with it, as a batch of
another size is added up in another order; a solver that follows gradients may then end elsewhere.

    asked for           begins with    grows                               when memory runs out
    None, on a CPU      16             never: larger ones are no faster    halved
    None, on a GPU      4              twofold, up to 64                   halved, grows no more
    None, on a Mac's    4              never: it shares the CPU's memory   halved
    a number            that           never                               halved, with a warning

A batch that runs out of memory is made again, smaller, and what fits is kept for all that follow.
To begin with few wastes little: what fails is at most twice as large as what is known to fit.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dpodiff.checks import check_whole

if TYPE_CHECKING:
    import torch

    from dpodiff.models.base import TextToImage

Items = TypeVar("Items", "torch.Tensor", "Sequence[Any]")  # what can be cut
Made = TypeVar("Made")

ON_CPU = 16  # where the toy model makes the most images a second
FIRST, MOST = 4, 64  # on a GPU
ADVICE = (
    "Not even one image at a time fits into memory. What helps: smaller images (the model's "
    "image_size), half precision (dtype when it is loaded), and for gradients an estimator that "
    "keeps fewer steps, such as Checkpointed() or Shortcut(step)."
)


class Batches:
    """Cuts work into batches that fit into memory.

    Args:
        model: does the work; it says which device that is, and counts its rows.
        size: of a batch; None is found, as above.

    Attributes:
        size: the most that the next batch may have.

    Raises:
        ValueError: if the size is no whole number from 1 on.
    """

    def __init__(self, model: "TextToImage", size: int | None = None) -> None:
        if size is not None:
            check_whole("batch_size", size, 1)
        self._model, self._asked = model, size
        by_device = {"cpu": (ON_CPU, ON_CPU), "mps": (FIRST, FIRST)}
        found = by_device.get(model.device.type, (FIRST, MOST))
        self.size, self._most = found if size is None else (size, size)

    def map(self, work: Callable[[Items], Made], items: Items) -> Iterator[Made]:
        """Yield what the work makes of each batch, in the order of the items.

        It is as if a batch that ran out of memory had never been tried: its results are lost with
        it, and the rows that the model counted are taken back. So the work must change nothing
        outside itself before it is done, as `Tensor.backward` would, which adds to `.grad`.

        Args:
            work: from a batch of the items, at least one, to a result.
            items: anything that can be cut.

        Raises:
            RuntimeError: if one item runs out of memory: the original error, its message followed
                by what would help. Any other error of the work passes through at once.

        Warns:
            UserWarning: if a size that was asked for is halved, to what.
        """
        done = 0
        while done < len(items):
            count, made = self._fitted(work, items[done : done + self.size])
            done += count
            yield made

    def go_on(self, size: int) -> None:
        """Come to the size after batches that were made before; a size asked for stays the most."""
        if size < self.size:
            self._most = size
        self.size = size if self._asked is None else min(size, self._asked)

    def _fitted(self, work: Callable[[Items], Made], batch: Items) -> tuple[int, Made]:
        """What the work makes of as much of the batch as fits, and how much that is."""
        model, tried = self._model, len(batch)
        counted = model.forwards, model.backwards
        while True:
            try:
                made = work(batch)
                break
            except RuntimeError as error:
                if not _ran_out(error):
                    raise
                if len(batch) == 1:
                    _advise(error)
                    raise
            # Not before the error is gone: its traceback held the tensors of the batch.
            _free()
            model.forwards, model.backwards = counted
            batch = batch[: (len(batch) + 1) // 2]
        self._learn(tried, len(batch))
        return len(batch), made

    def _learn(self, tried: int, fitted: int) -> None:
        if fitted < tried:
            self.size = self._most = fitted
            if self._asked is not None:
                warnings.warn(
                    f"{tried} images at a time ran out of memory: from here on it is {fitted}, "
                    f"where batch_size = {self._asked} was asked for",
                    stacklevel=2,
                )
        elif tried == self.size:
            self.size = min(2 * self.size, self._most)


def _ran_out(error: RuntimeError) -> bool:
    from accelerate.utils.memory import should_reduce_batch_size

    return should_reduce_batch_size(error)


def _free() -> None:
    from accelerate.utils.memory import release_memory

    release_memory()


def _advise(error: RuntimeError) -> None:
    """Add what would help to an error's message, once: work in batches may be part of another."""
    (message,) = error.args
    if ADVICE not in message:
        error.args = (f"{message}\n{ADVICE}",)
