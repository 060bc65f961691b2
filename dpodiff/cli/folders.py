"""The folder that a command writes: trace, result and images."""

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
    """Where the files of one search go.

    Args:
        path: of the folder.
        overwrite: whether files of an earlier search in it may be replaced. If not, a search of the
            same settings goes on there.

    Raises:
        ValueError: if it has a result whose trace is gone, and it may not be replaced.
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
        """The folder is there; it is removed again if an error leaves it empty."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            yield
        except BaseException:
            with suppress(OSError):  # it has files
                self.path.rmdir()
            raise

    def save(self, result: "Result") -> None:
        """Write the result, and a figure of its images if matplotlib is there."""
        result.save(self.path, overwrite=True)
        if importlib.util.find_spec("matplotlib"):
            from dpodiff import plots

            part = self.path / ".strip.png"
            plots.strip(result.found).savefig(part, format="png")
            os.replace(part, self.path / "strip.png")
