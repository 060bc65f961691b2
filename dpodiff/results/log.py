"""An append-only file of JSON lines that survives a kill at any moment, with one writer.

Every line is written whole, or taken back. A process that is killed leaves whole lines, and at most
a last one that is cut short, which readers leave out. The lock ends with the process that holds it.
"""

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dpodiff.results.locks import lock
from dpodiff.spaces.json_file import finite

Line = dict[str, Any]
SECONDS = 1.0  # between two waits for the disk; only a loss of power costs more lines


class Log:
    """A file of JSON lines.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._synced = -math.inf

    def read(self) -> tuple[list[Line], bytes]:
        """The whole lines, and what is left of a last one that is cut short.

        Raises:
            ValueError: naming the line, if any other one cannot be read.
        """
        lines: list[Line] = []
        parts = self.path.read_bytes().split(b"\n")
        for number, part in enumerate(parts, start=1):
            try:
                line = json.loads(part.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                if number == len(parts):
                    return lines, part
                raise ValueError(f"{self.path}, line {number}: not JSON: {error}") from None
            if not isinstance(line, dict):
                raise ValueError(f"{self.path}, line {number}: not of a trace: {part[:40]!r}")
            lines.append(line)
        return lines, b""

    def append(self, line: Mapping[str, Any], *, sync: bool = False) -> None:
        """Add a line, all of it or, where the disk is full, none of it.

        Args:
            line: numbers that are not finite become null.
            sync: whether to wait until it is on the disk, as is done every second anyway.
        """
        data = as_line(line).encode("ascii")
        with self.path.open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                while data:
                    data = data[file.write(data) :]
            except BaseException:  # Ctrl-C too
                with suppress(OSError):  # a device has no length
                    file.truncate(before)
                raise
            if sync or time.monotonic() - self._synced > SECONDS:
                with suppress(OSError):  # nor does it wait
                    os.fsync(file.fileno())
                self._synced = time.monotonic()

    def mend(self, rest: bytes) -> None:
        """Drop what `read` found of a last line that is cut short, and end the one before it."""
        with self.path.open("rb+") as file:
            end = file.seek(-len(rest), os.SEEK_END)
            file.truncate()
            file.seek(max(0, end - 1))
            if file.read(1) not in (b"", b"\n"):
                file.write(b"\n")

    def clear(self) -> None:
        """Make the file, or empty it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, or is not there."""
        return not self.path.exists() or not self.path.stat().st_size

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing; the file is made if needed, and removed if unused.

        Raises:
            BlockingIOError: if another search is writing it.
        """
        if self._lock is not None:  # by this log, further out
            yield
            return
        made = not self.path.exists()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            self._take(self._lock)
            yield
        finally:
            if made and self.is_empty:
                with suppress(OSError):
                    self.path.unlink()
            os.close(self._lock)
            self._lock = None

    def _take(self, descriptor: int) -> None:
        try:
            lock(descriptor)
        except BlockingIOError:
            raise BlockingIOError(
                f"another search is writing {self.path}: wait for it, or give each its own trace"
            ) from None


def as_line(line: Mapping[str, Any]) -> str:
    """A line as text; ASCII, so that no odd line break is inside."""
    return json.dumps(finite(line), allow_nan=False) + "\n"
