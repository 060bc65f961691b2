"""An append-only file of JSON lines for one writer that survives a kill at any moment.

Every line is written completely or removed. A killed process leaves complete lines, and at most one
incomplete last line, which readers ignore. The lock ends with the process that holds it.
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
SECONDS = 1.0  # between syncs to the disk; only a power failure loses more lines


class Log:
    """A file of JSON lines.

    Args:
        path: path of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        self._synced = -math.inf

    def read(self) -> tuple[list[Line], bytes]:
        """Return the complete lines, and the bytes of an incomplete last line.

        Raises:
            ValueError: if another line cannot be read; the message names it.
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
        """Append a line completely, or not at all if the disk is full.

        Args:
            line: data of the line; numbers that are not finite become null.
            sync: whether to wait until the line is on the disk. This happens every second anyway.
        """
        data = as_line(line).encode("ascii")
        with self.path.open("ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                while data:
                    data = data[file.write(data) :]
            except BaseException:  # including Ctrl-C
                with suppress(OSError):  # a device cannot be truncated
                    file.truncate(before)
                raise
            if sync or time.monotonic() - self._synced > SECONDS:
                with suppress(OSError):  # a device cannot be synced
                    os.fsync(file.fileno())
                self._synced = time.monotonic()

    def mend(self, rest: bytes) -> None:
        """Remove an incomplete last line that `read` returned, and end the line before it."""
        with self.path.open("rb+") as file:
            end = file.seek(-len(rest), os.SEEK_END)
            file.truncate()
            file.seek(max(0, end - 1))
            if file.read(1) not in (b"", b"\n"):
                file.write(b"\n")

    def clear(self) -> None:
        """Create the file, or empty it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")

    @property
    def is_empty(self) -> bool:
        """Whether the file is empty or missing."""
        return not self.path.exists() or not self.path.stat().st_size

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the file for this process; it is created if needed, and removed if unused.

        Raises:
            BlockingIOError: if another search is writing it.
        """
        if self._lock is not None:  # locked by an outer block
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
    """Return a line as ASCII text, which has no line breaks inside."""
    return json.dumps(finite(line), allow_nan=False) + "\n"
