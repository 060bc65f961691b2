"""Output folders of long runs: one writer at a time, and one set of settings."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dpodiff.results.locks import lock


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Create a folder if needed, and lock it for this process; see `lock`.

    The lock ends with the process, even if it is killed.

    Raises:
        RuntimeError: if another process has locked it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock(descriptor)
        yield
    except BlockingIOError:
        raise RuntimeError(f"another process is writing {folder}; wait for it, or end it") from None
    finally:
        os.close(descriptor)


def check_same(where: Path, begun: Mapping[str, Any], now: Mapping[str, Any], advice: str) -> None:
    """Refuse to continue a run with other settings.

    Raises:
        ValueError: if settings differ; the message names them and gives the advice.
    """
    names = [name for name in {**begun, **now} if begun.get(name) != now.get(name)]
    if names:
        differ = ", ".join(f"{name}={begun.get(name)!r}, not {now.get(name)!r}" for name in names)
        raise ValueError(f"{where} was started with {differ}: {advice}")
