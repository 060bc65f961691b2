"""The output folder of a command: trace, result and images."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dpodiff.results.folder import RESULT, TRACE

if TYPE_CHECKING:
    from dpodiff.results.result import Result


class Folder:
    """The folder for the files of one search.

    Args:
        path: path of the folder.
        overwrite: whether to replace files of an earlier search. Otherwise a search with the same
            settings continues.

    Raises:
        ValueError: if the folder has a result without its trace, and must not be replaced.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        self.path, self.overwrite = path, overwrite
        if (path / RESULT).exists() and not (path / TRACE).exists() and not overwrite:
            raise ValueError(
                f"{path} has {RESULT} of an earlier search: take another folder (--out), or "
                "replace it (--overwrite)"
            )

    def __str__(self) -> str:
        return str(self.path)

    @property
    def trace(self) -> Path:
        return self.path / TRACE

    @contextmanager
    def made(self) -> Iterator[None]:
        """Make the folder for the block; remove it if an error leaves it empty."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            yield
        except BaseException:
            with suppress(OSError):  # it is not empty
                self.path.rmdir()
            raise

    def save(self, result: "Result") -> None:
        """Write the result, and a figure of its images if matplotlib is installed."""
        result.save(self.path, overwrite=True)
        if importlib.util.find_spec("matplotlib"):
            from dpodiff import plots

            part = self.path / ".strip.png"
            plots.strip(result.found).savefig(part, format="png")
            os.replace(part, self.path / "strip.png")
