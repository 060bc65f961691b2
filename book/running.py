"""Parts of a record, made by several processes: jobs of `dpodiff.sweeps`, kept by `storing`."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from storing import Part, Tables, opened
from tqdm import tqdm

from dpodiff.sweeps import outcomes


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
        Exception: that of a part; no other one is begun then, and what is done is kept.
        ValueError: if the record was begun with other settings or weights, or its files are none
            that a recorder writes.
        RuntimeError: if another recorder is writing to the folder.

    Warns:
        UserWarning: if the tables are damaged, and which parts are made again.
    """
    started = time.monotonic()
    with opened(folder, keys, parts, settings) as store:
        before = store.stamp.seconds or 0.0
        missing = [part for part in parts if not store.has(part)]
        rows = [tuple(missing[i : i + together]) for i in range(0, len(missing), together)]
        make = partial(_in_a_row, run)
        made = outcomes(make, rows, on="processes", workers=workers, retries=0)
        with tqdm(desc=folder.name, total=len(missing)) as bar, closing(made):
            for outcome in made:
                if outcome.error is not None:
                    raise outcome.error from RuntimeError(outcome.traceback)
                tables = dict(zip(outcome.job, outcome.value, strict=True))
                store.add(tables, before + time.monotonic() - started)
                bar.update(len(tables))


def _in_a_row(run: Callable[..., Tables], *parts: Part) -> list[Tables]:
    return [run(*part) for part in parts]
