"""Parts of a record, in a module that a process of its own imports fast."""

import os
import threading
from pathlib import Path

import pandas as pd


def squares(name: str, number: int) -> dict[str, pd.DataFrame]:
    """Two tables about a number; part 3 cannot be made."""
    if number == 3:
        raise ValueError("part 3 breaks down")
    who = {"name": name, "number": number}
    return {
        "table.csv": pd.DataFrame([who | {"square": number**2}]),
        "more.csv": pd.DataFrame([who]),
    }


def marked(folder: str, number: int) -> dict[str, pd.DataFrame]:
    """The same, leaving a file that says it was begun."""
    (Path(folder) / f"{number}.begun").touch()
    return squares(folder, number)


def endless(name: str, number: int) -> dict[str, pd.DataFrame]:
    """Says which process makes it, and never ends."""
    print(os.getpid(), flush=True)
    threading.Event().wait()
    return {}


def mistaken(name: str, number: int) -> dict[str, pd.DataFrame]:
    """Says that it is another part."""
    return squares(name, number + 1)
