"""Kills a recorder before every line that writes, and looks at what the next one makes of it.

    python tests/killed_recorder.py FOLDER

Run as a program, since it forks, which a process with threads should not. Prints the number of
kills, and the lines after which the record was not as an undisturbed run leaves it.
"""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd

BOOK = Path(__file__).parents[1] / "book"
sys.path.insert(0, str(BOOK))
import storing  # noqa: E402

from dpodiff.results.stamp import Stamp  # noqa: E402

WRITING = ("write", "_put")  # what changes files; a kill elsewhere is no other
STAMP = Stamp({}, "a commit", "a device", {"torch": "2"}, "2026-01-01")
PARTS = [("a", 2), ('b, "x"', 1), ("c\nd", 3)]


def rows(name: str, number: int) -> dict[str, pd.DataFrame]:
    """Two tables about a part, one of several rows."""
    who = {"name": name, "number": number}
    return {
        "table.csv": pd.DataFrame([who | {"power": number**k, "empty": ""} for k in range(3)]),
        "curves.csv": pd.DataFrame([who | {"share": 1 / number}]),
    }


def record(folder: Path) -> None:
    """What is missing, made part by part; the first two parts together."""
    storing.Stamp.collect = staticmethod(lambda settings: replace(STAMP, parameters=settings))
    with storing.opened(folder, ("name", "number"), PARTS, {"budget": 4}) as store:
        for parts in (PARTS[:2], PARTS[2:]):
            if missing := [part for part in parts if not store.has(part)]:
                store.add({part: rows(*part) for part in missing}, 1.0)


def killed_at(line: int, folder: Path) -> bool:
    """Record in a process that is killed before it comes to its line number `line`."""
    child = os.fork()
    if not child:
        count = 0

        def trace(frame, event, argument):
            nonlocal count
            code = frame.f_code
            if code.co_filename != storing.__file__ or code.co_name not in WRITING:
                return None
            count += 1
            if count == line:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        record(folder)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def main(folder: Path) -> None:
    os.fsync = lambda descriptor: None  # slow, and for a loss of power alone
    record(folder / "undisturbed")
    expected, wrong, line = contents(folder / "undisturbed"), [], 0
    killed = True
    while killed:
        line += 1
        place = folder / str(line)
        killed = killed_at(line, place)
        record(place)
        if contents(place) != expected:
            wrong.append(line)
        else:
            shutil.rmtree(place)
    print(json.dumps({"kills": line - 1, "wrong": wrong, "files": list(expected)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
