"""What all folders of long runs share: one writer at a time, and one set of settings."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dpodiff.results.locks import lock


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder, made if it is missing, for this process alone, see `lock`.

    The lock ends with the process, however that comes about.

    Raises:
        RuntimeError: if another process has it.
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
    """Refuse to go on with other settings than those that a run was begun with.

    Raises:
        ValueError: naming the settings that differ, and the advice.
    """
    names = [name for name in {**begun, **now} if begun.get(name) != now.get(name)]
    if names:
        differ = ", ".join(f"{name}={begun.get(name)!r}, not {now.get(name)!r}" for name in names)
        raise ValueError(f"{where} was begun with {differ}: {advice}")
