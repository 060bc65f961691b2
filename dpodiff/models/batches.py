"""Batch sizes: as many images at a time as fit into memory.

An image does not depend on the other images of its batch, so the size affects only speed and
memory, and it may change during a search. The last digits of an image may change, since batches of
another size are summed in another order. A solver that follows gradients may then end elsewhere.

    batch_size          starts with    grows                               when memory runs out
    None, on a CPU      16             never: larger ones are no faster    halved
    None, on a GPU      4              doubles, up to 64                   halved, grows no more
    None, on a Mac's    4              never: it shares the CPU's memory   halved
    a number            the number     never                               halved, with a warning

A batch that runs out of memory is repeated with a smaller size, which is kept for all later
batches. Starting small wastes little: a failed size is at most twice the size that is known to fit.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dpodiff.checks import check_whole

if TYPE_CHECKING:
    import torch

    from dpodiff.models.base import TextToImage

Items = TypeVar("Items", "torch.Tensor", "Sequence[Any]")  # items that can be sliced
Made = TypeVar("Made")

ON_CPU = 16  # the size at which the toy model is fastest
FIRST, MOST = 4, 64  # on a GPU
ADVICE = (
    "Not even one image at a time fits into memory. Try smaller images (the model's "
    "image_size), half precision (dtype when it is loaded), and for gradients an estimator that "
    "keeps fewer steps, such as Checkpointed() or Shortcut(step)."
)


class Batches:
    """Split work into batches that fit into memory.

    Args:
        model: model that does the work. It determines the device and counts rows.
        size: batch size; None chooses it as in the table above.

    Attributes:
        size: maximum size of the next batch.

    Raises:
        ValueError: if the size is not a whole number of at least 1.
    """

    def __init__(self, model: "TextToImage", size: int | None = None) -> None:
        if size is not None:
            check_whole("batch_size", size, 1)
        self._model, self._asked = model, size
        by_device = {"cpu": (ON_CPU, ON_CPU), "mps": (FIRST, FIRST)}
        found = by_device.get(model.device.type, (FIRST, MOST))
        self.size, self._most = found if size is None else (size, size)

    def map(self, work: Callable[[Items], Made], items: Items) -> Iterator[Made]:
        """Yield the result of the work for each batch, in the order of the items.

        If a batch runs out of memory, its results are discarded and the rows that the model counted
        are subtracted. So the work must not change anything outside itself before it is done.
        `Tensor.backward` would, since it adds to `.grad`.

        Args:
            work: a function from a batch of at least one item to a result.
            items: a tensor or a sequence.

        Raises:
            RuntimeError: if one item alone runs out of memory: the original error with advice
                added. Other errors of the work are not caught.

        Warns:
            UserWarning: if a requested size is halved; the message gives the new size.
        """
        done = 0
        while done < len(items):
            count, made = self._fitted(work, items[done : done + self.size])
            done += count
            yield made

    def go_on(self, size: int) -> None:
        """Restore the size after earlier batches; a requested size stays the maximum."""
        if size < self.size:
            self._most = size
        self.size = size if self._asked is None else min(size, self._asked)

    def _fitted(self, work: Callable[[Items], Made], batch: Items) -> tuple[int, Made]:
        """Return the result for as many items of the batch as fit, and their number."""
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
            # Free memory after the error is gone: its traceback held the tensors of the batch.
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
                    f"{tried} images at a time ran out of memory: batches now have {fitted} images "
                    f"instead of the requested batch_size = {self._asked}",
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
    """Add advice to an error message, once: batches may be nested."""
    (message,) = error.args
    if ADVICE not in message:
        error.args = (f"{message}\n{ADVICE}",)
