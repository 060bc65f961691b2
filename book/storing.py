"""A record on disk that survives a kill at any moment: tables, a stamp, and one pending part.

    with opened(folder, keys, order, settings) as store:
        store.add({part: {"table.csv": rows}}, seconds)

A part is added in four steps: its rows are written to `pending.json`, then to each table, its time
is added to the stamp, and `pending.json` is removed. Each file is written to a temporary name and
renamed, so it is always complete. If a process is killed during the first step, the part is not
made. If it is killed later, the next recorder repeats the other steps, which is harmless.

The folder is locked (`dpodiff.sweeps.folders.locked`) until the process ends.
"""

import csv
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from dpodiff.results.stamp import Stamp
from dpodiff.sweeps.folders import check_same, locked
from dpodiff.toy.digests import weights_digest

Part = tuple[Any, ...]
Key = tuple[str, ...]  # a part, as in a table
Tables = Mapping[str, pd.DataFrame]  # file name -> rows
PENDING = "pending.json"


@dataclass
class Table:
    """Columns and rows of a table as text, by part."""

    columns: list[str]
    rows: dict[Key, list[list[str]]] = field(default_factory=dict)


class Store:
    """The tables and the stamp of a record under construction.

    Args:
        folder: folder of the record, locked.
        keys: columns of every table that identify the part of a row.
        order: order of the parts in the tables; other parts, recorded before, come first.
        settings: settings of all parts.

    Raises:
        ValueError: if the record has other settings or weights, there is no stamp, or a file was
            not written by a recorder.

    Warns:
        UserWarning: if a table is damaged; the message says how many parts are made again.
    """

    def __init__(
        self, folder: Path, keys: Sequence[str], order: Sequence[Part], settings: Mapping[str, Any]
    ) -> None:
        self.folder, self.keys = folder, list(keys)
        self._order = {key_of(part): place for place, part in enumerate(order)}
        for left in folder.glob(".*.part"):  # temporary files of a killed recorder
            left.unlink()
        self.tables: dict[str, Table] = {}
        doubtful: set[Key] = set()
        for path in sorted(folder.glob("*.csv")):
            self.tables[path.name], cut = read_table(path, self.keys)
            doubtful |= cut
        if (folder / PENDING).exists():
            pending = json.loads((folder / PENDING).read_text(encoding="utf-8"))
            doubtful -= {tuple(made["part"]) for made in pending["parts"]}
            self._put(pending)
        self.stamp = stamp_of(folder, settings)
        self._drop(doubtful)

    def has(self, part: Part) -> bool:
        """Return whether all rows of a part are in all tables."""
        key = key_of(part)
        return bool(self.tables) and all(key in table.rows for table in self.tables.values())

    def add(self, parts: Mapping[Part, Tables], seconds: float) -> None:
        """Add all parts, or none if the process is killed.

        Args:
            parts: parts with their rows.
            seconds: time of the record so far.

        Raises:
            ValueError: if rows are missing, or belong to another part or have other columns.
        """
        self.stamp.seconds = seconds
        made = [self._checked(part, tables) for part, tables in parts.items()]
        pending = {"stamp": asdict(self.stamp), "parts": made}
        write(self.folder / PENDING, json.dumps(pending, ensure_ascii=False))
        self._put(pending)

    def _checked(self, part: Part, tables: Tables) -> dict[str, Any]:
        """Return a part in the format of `pending.json`."""
        texts = {name: as_text(table) for name, table in tables.items()}
        for name, (columns, *rows) in texts.items():
            known = self.tables.get(name)
            if known is not None and known.columns != columns:
                raise ValueError(f"{name} has the columns {known.columns}, the new part {columns}")
            if any(len(row) != len(columns) for row in rows):
                raise ValueError(f"{name}: the part {part} holds what no CSV file can, such as \\r")
            found = {row_key(row, columns, self.keys) for row in rows}
            if found != {key_of(part)}:
                raise ValueError(f"{name}: the rows of the part {part} say they are of {found}")
        if missing := set(self.tables) - set(texts):
            raise ValueError(f"the part {part} has no rows for {', '.join(sorted(missing))}")
        return {"part": key_of(part), "tables": texts}

    def _put(self, pending: Mapping[str, Any]) -> None:
        """Update the tables and the stamp; this may be repeated."""
        for made in pending["parts"]:
            for name, (columns, *rows) in made["tables"].items():
                table = self.tables.setdefault(name, Table(columns))
                table.rows[tuple(made["part"])] = rows
        for name in self.tables:
            self._write_table(name)
        write_stamp(self.folder, Stamp(**pending["stamp"]))
        (self.folder / PENDING).unlink()

    def _drop(self, doubtful: set[Key]) -> None:
        """Remove incomplete parts, so that they are made again."""
        everything = {key for table in self.tables.values() for key in table.rows}
        doubtful = doubtful | {key for key in everything if not self.has(key)}
        if not doubtful:
            return
        listed = ", ".join(" / ".join(key) for key in sorted(doubtful)[:5])
        more = " and others" if len(doubtful) > 5 else ""
        warnings.warn(
            f"{self.folder} is damaged: {len(doubtful)} parts are not whole and will be made again "
            f"({listed}{more})",
            stacklevel=4,
        )
        for name, table in self.tables.items():
            table.rows = {key: rows for key, rows in table.rows.items() if key not in doubtful}
            self._write_table(name)

    def _write_table(self, name: str) -> None:
        table, text = self.tables[name], io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(table.columns)
        for key in sorted(table.rows, key=lambda key: self._order.get(key, -1)):
            writer.writerows(table.rows[key])
        write(self.folder / name, text.getvalue())


@contextmanager
def opened(
    folder: Path, keys: Sequence[str], order: Sequence[Part], settings: Mapping[str, Any]
) -> Iterator[Store]:
    """Open and lock the store of a record; see `Store`.

    Raises:
        RuntimeError: if another process has locked it.
    """
    with locked(folder):
        yield Store(folder, keys, order, settings)


def key_of(part: Part) -> Key:
    """Return a part in the form of the tables."""
    return tuple(map(str, part))


def row_key(row: Sequence[str], columns: Sequence[str], keys: Sequence[str]) -> Key:
    """Return the part of a row."""
    return tuple(row[columns.index(key)] for key in keys)


def as_text(table: pd.DataFrame) -> list[list[str]]:
    """Return columns and rows of a table as texts, as in a file."""
    return list(csv.reader(io.StringIO(table.to_csv(index=False), newline="")))


def read_table(path: Path, keys: Sequence[str]) -> tuple[Table, set[Key]]:
    """Read a table, and the parts that may have lost rows.

    Raises:
        ValueError: if columns are missing.
    """
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    columns, *rows = list(csv.reader(io.StringIO(text, newline=""))) or [[]]
    if missing := set(keys) - set(columns):
        raise ValueError(f"{path} has no column {', '.join(sorted(missing))}: remove the record")
    table, doubtful = Table(columns), set()
    before: Key | None = None
    cut = False
    for place, row in enumerate(rows, start=1):
        last = place == len(rows)
        if len(row) != len(columns) or (last and not text.endswith("\n")):
            cut = True
            doubtful |= {before} - {None}  # the lost row may belong to this part
            continue
        key = row_key(row, columns, keys)
        if cut:
            doubtful.add(key)
        table.rows.setdefault(key, []).append(row)
        before, cut = key, False
    if doubtful or cut:
        warnings.warn(f"{path} has rows that are cut; they are left out", stacklevel=4)
    return table, doubtful


def stamp_of(folder: Path, settings: Mapping[str, Any]) -> Stamp:
    """Return the stamp of a new record, which is written, or of a continued one with today's.

    Raises:
        ValueError: if the settings differ, or the stamp is damaged or missing.
    """
    settings = {**settings, "weights": weights_digest()}
    path, now = folder / "stamp.json", Stamp.collect(settings)
    if not path.exists():
        if tables := sorted(p.name for p in folder.glob("*.csv")):
            raise ValueError(
                f"{folder} has {tables[0]} and no stamp.json, so its settings are not known: "
                "restore the stamp, or remove the record"
            )
        write_stamp(folder, replace(now, seconds=0.0))
        return now
    try:
        stamp = Stamp(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}): restore it, or remove the record") from None
    check_same(folder, stamp.parameters, settings, "remove it")
    versions = {name: _joined(stamp.versions.get(name), new) for name, new in now.versions.items()}
    return replace(
        stamp,
        device=_joined(stamp.device, now.device),
        commit=_joined(stamp.commit, now.commit),
        versions=versions,
    )


def _joined(old: str | None, new: str) -> str:
    """Return all values that a record was made with, each once."""
    return "; ".join(dict.fromkeys([*(old.split("; ") if old else []), new]))


def write_stamp(folder: Path, stamp: Stamp) -> None:
    """Write stamp.json."""
    write(folder / "stamp.json", json.dumps(asdict(stamp), indent=1) + "\n")


def write(path: Path, text: str) -> None:
    """Write a file so that it is always the complete old or the complete new one."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
