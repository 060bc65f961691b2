"""Images of results, folders and other programs, by method, prompt and seed."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np

from dpodiff.results.folder import RESULT
from dpodiff.results.result import Result
from dpodiff.results.saved import SavedResult, load_result

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    Source = Union[Result, SavedResult, str, os.PathLike]  # noqa: UP007  (a type is not needed at run time)
    Method = Union[Source, Sequence[Source], Mapping[str, ArrayLike]]  # noqa: UP007

Seeds = dict[int, np.ndarray]  # seed -> image (height, width, 3), bytes
Prompts = dict[str, Seeds]  # the user's own prompt -> its images


def collect(methods: "Mapping[str, Method]", baseline: str) -> dict[str, Prompts]:
    """Return all images by method, the baseline first.

    Raises:
        ValueError: if a method has no images, two images have the same method, prompt and seed, or
            a source is not a result, a folder or images.
    """
    found: dict[str, Prompts] = {baseline: {}}
    for name, sources in methods.items():
        own = found.setdefault(name, {})
        if isinstance(sources, Mapping):
            for prompt, images in sources.items():
                _add(own, name, prompt, dict(enumerate(_as_bytes(images, name, prompt))))
            continue
        if name == baseline:
            raise ValueError(
                f"{baseline!r} is the name of the baseline, whose images come with those of a "
                "search: give the method another name, or `baseline` another one"
            )
        one = isinstance(sources, Result | SavedResult | str | os.PathLike)
        for source in [sources] if one else sources:
            for prompt, before, after in _read(source):
                _add(found[baseline], baseline, prompt, before)
                _add(own, name, prompt, after)
    for name, prompts in found.items():
        if not prompts:
            raise ValueError(f"there is no image of {name!r}")
    return found


def _add(prompts: Prompts, name: str, prompt: str, images: Seeds) -> None:
    """Add images of a prompt; equal duplicates, such as the baseline's, are allowed."""
    own = prompts.setdefault(prompt, {})
    for seed, image in images.items():
        if not np.array_equal(own.setdefault(seed, image), image):
            raise ValueError(
                f"{name!r} has two different images of {prompt!r} and seed {seed}: compare "
                "searches of one model with the same settings, and name each method once"
            )


def _read(source: "Source") -> Iterator[tuple[str, Seeds, Seeds]]:
    """Yield the prompt, its images before and the found ones, for each result of a source."""
    for result in [source] if isinstance(source, Result | SavedResult) else _loaded(source):
        prompt, found = result.user_prompts.positive, result.found
        before, after = (
            dict(zip(result.seeds, _as_bytes(images, "a result", prompt), strict=True))
            for images in (result.before, found.images)
        )
        yield prompt, before, after


def _loaded(source: "str | os.PathLike") -> list[SavedResult]:
    """Return the results of a folder, or of its subfolders."""
    if not isinstance(source, str | os.PathLike):
        raise ValueError(f"a result, a folder or images are needed, not {str(source)[:60]!r}")
    path = Path(source)
    own = (path / RESULT).exists()
    folders = [path] if own else sorted(p.parent for p in path.glob(f"*/{RESULT}"))
    if not folders:
        raise ValueError(f"{path} holds no {RESULT}, as `dpodiff improve` writes it")
    return [load_result(folder) for folder in folders]


def _as_bytes(images: "ArrayLike", name: str, prompt: str) -> np.ndarray:
    """Convert images (n, 3, height, width) in [0, 1] to bytes (n, height, width, 3)."""
    values = np.asarray(images, dtype=np.float32)
    if values.ndim != 4 or values.shape[1] != 3 or not len(values):
        raise ValueError(
            f"images of {name!r}, {prompt!r} must be (n, 3, height, width), not {values.shape}"
        )
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"images of {name!r}, {prompt!r} must have values from 0 to 1")
    return (255 * values.transpose(0, 2, 3, 1)).round().astype(np.uint8)
