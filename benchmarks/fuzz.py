"""Call public functions with arbitrary arguments and classify the outcomes.

Each call gets valid values of all parameters except at most two, which are arbitrary. A call may
return, or raise an error of the package: one raised by its own `raise`, or an `OSError` for a path.
Any other error is a raw traceback. A call that returns although a value is out of the documented
range is a silent acceptance. The goal is to have neither.

    python benchmarks/fuzz.py --calls 10000
"""

import argparse
import linecache
import os
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr
from typing import Any

from fuzz_entries import Entry, entries
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from tqdm import tqdm

import dpodiff

PACKAGE = str(Path(dpodiff.__file__).parent)
COLUMNS = ("accepted", "clear", "raw", "silent")


@dataclass
class Tally:
    """The outcomes of the calls of an entry, and the first call for each defect."""

    counts: Counter = field(default_factory=Counter)
    defects: dict[str, str] = field(default_factory=dict)


@st.composite
def calls(draw: Any, entry: Entry) -> tuple[dict[str, Any], list[str]]:
    """Draw the arguments of a call, and the names of those that are out of range."""
    names = list(entry.parameters)
    odd = draw(st.lists(st.sampled_from(names), max_size=2, unique=True))
    arguments, bad = {}, []
    for name, kind in entry.parameters.items():
        arguments[name] = draw(kind.others if name in odd else kind.good)
        if name in odd and not kind.is_good(arguments[name]):
            bad.append(name)
    return arguments, bad


def fuzz(entry: Entry, count: int, *, derandomize: bool = False) -> Tally:
    """Call an entry several times."""
    tally = Tally()

    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=derandomize,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(calls(entry))
    def call(drawn: tuple[dict[str, Any], list[str]]) -> None:
        arguments, bad = drawn
        kind, what = outcome(entry, arguments, bad)
        tally.counts[kind] += 1
        if kind in ("raw", "silent"):
            shown = {name: repr(arguments[name]) for name in bad or arguments}
            tally.defects.setdefault(what, f"{entry.name}: {what}: {shown}")

    call()
    return tally


def outcome(entry: Entry, arguments: Mapping[str, Any], bad: Sequence[str]) -> tuple[str, str]:
    """Return one of `COLUMNS`, and a text that identifies the defect."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            entry.call(**arguments)
    except Exception as error:
        if is_clear(error):
            return "clear", ""
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        return "raw", f"{type(error).__name__} at {place}"
    return ("silent", f"{', '.join(bad)} out of range") if bad else ("accepted", "")


def is_clear(error: Exception) -> bool:
    """Return whether the package raised the error itself, or the system refused a path."""
    if isinstance(error, OSError):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    line = linecache.getline(last.filename, last.lineno or 0).strip()
    return last.filename.startswith(PACKAGE) and line.startswith("raise ")


def rows(found: Mapping[str, Tally]) -> Iterator[str]:
    """Yield one line per entry, and the sums."""
    width = max(map(len, found))
    yield "  ".join([f"{'entry':{width}}", "calls", *(f"{name:>8}" for name in COLUMNS)])
    total = sum((tally.counts for tally in found.values()), Counter())
    for name, counts in [*((n, t.counts) for n, t in found.items()), ("all", total)]:
        cells = (f"{counts[column]:8}" for column in COLUMNS)
        yield "  ".join([f"{name:{width}}", f"{sum(counts.values()):5}", *cells])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=10_000, help="calls of all entries together")
    parser.add_argument("--only", default="", help="prefix of the names of entries to call")
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # since any text is also a path
        chosen = [one for one in entries(Path(folder)) if one.name.startswith(options.only)]
        count = -(-options.calls // len(chosen))
        found = {entry.name: fuzz(entry, count) for entry in tqdm(chosen, "fuzz", disable=None)}
    print("\n".join(rows(found)))
    print(f"{time.monotonic() - start:.0f} s")
    for tally in found.values():
        print(*tally.defects.values(), sep="\n", end="\n" if tally.defects else "")


if __name__ == "__main__":
    main()
