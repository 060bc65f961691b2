"""Parts of a record as jobs of `dpodiff.sweeps` in several processes, stored by `storing`."""

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
    """Run the missing parts, `workers` at a time; every file is up to date after each.

    It can be killed at any moment, and continues when it is called again.

    Args:
        folder: folder of the record.
        parts: arguments of `run`, in the order of the keys, as they appear in the tables.
        keys: columns of every table that identify the part of a row.
        run: function that makes one part, with at least one row for each table, one of which is
            "table.csv".
        settings: settings of all parts.
        workers: number of processes.
        together: number of successive parts that one process makes, since they share work; they are
            written when all of them are done.

    Raises:
        Exception: the error of a part; no other part is started then, and finished ones are kept.
        ValueError: if the record has other settings or weights, or files that a recorder did not
            write.
        RuntimeError: if another recorder is writing to the folder.

    Warns:
        UserWarning: if tables are damaged; the message names the parts that are made again.
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
