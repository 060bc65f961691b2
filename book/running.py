"""Parts of a record, made by several processes that end with the one that started them."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from storing import Part, Tables, opened
from tqdm import tqdm

# For glibc's malloc: what a step of the sampler frees is kept for the next one. Given back to the
# system and asked for again, page by page, it costs 8% of a search on a CPU. (As in the Makefile.)
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}


def record(
    folder: Path,
    parts: Sequence[Part],
    keys: Sequence[str],
    run: Callable[..., Tables],
    settings: Mapping[str, Any],
    workers: int,
    together: int = 1,
) -> None:
    """Run the parts that are missing, `workers` at a time; every file is up to date after each.

    It may be killed at any moment, and goes on where it was when it is run again.

    Args:
        folder: of the record.
        parts: arguments of `run`, in the order of the keys, and as they will stand in the tables.
        keys: the columns of every table that say which part a row belongs to.
        run: makes one part, with at least one row in each table; "table.csv" is among them.
        settings: what all parts share.
        workers: processes.
        together: parts that one process makes in a row, as they have work in common; they are
            written when all of them are done.

    Raises:
        ValueError: if the record was begun with other settings or weights, or its files are none
            that a recorder writes.
        RuntimeError: if another recorder is writing to the folder.

    Warns:
        UserWarning: if the tables are damaged, and which parts are made again.
    """
    for name, value in KEEP_MEMORY.items():
        os.environ.setdefault(name, value)  # read by a process as it starts
    started = time.monotonic()
    spawn = multiprocessing.get_context("spawn")
    with (
        opened(folder, keys, parts, settings) as store,
        ProcessPoolExecutor(workers, spawn, initializer=end_with_parent) as pool,
    ):
        before = store.stamp.seconds or 0.0
        missing = [part for part in parts if not store.has(part)]
        rows = [missing[i : i + together] for i in range(0, len(missing), together)]
        waiting = {pool.submit(_in_a_row, run, row): row for row in rows}
        try:
            with tqdm(desc=folder.name, total=len(missing)) as bar:
                for future in as_completed(waiting):
                    made = dict(zip(waiting[future], future.result(), strict=True))
                    store.add(made, before + time.monotonic() - started)
                    bar.update(len(made))
        finally:  # if one broke down, the others are left for later
            pool.shutdown(cancel_futures=True)


def _in_a_row(run: Callable[..., Tables], parts: Sequence[Part]) -> list[Tables]:
    return [run(*part) for part in parts]


def end_with_parent() -> None:
    """End this process as soon as the one that started it has ended, however that came about."""
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
