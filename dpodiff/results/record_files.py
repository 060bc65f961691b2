"""The files of a recorded experiment, and whether its toy weights are the installed ones."""

from pathlib import Path
from typing import TYPE_CHECKING

from dpodiff import names
from dpodiff.checks import check_finite, check_kind
from dpodiff.results.stamp import Stamp
from dpodiff.spaces.json_file import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

OTHER = "Made with other {} of the toy world than the installed ones."


def read_stamp(path: Path) -> Stamp:
    """Read a stamp; ValueError names a file without one."""
    data, _ = read_json(path)
    try:
        stamp = Stamp(**data)
    except TypeError as error:
        raise ValueError(f"{path}: not a stamp: {error}") from None
    kinds = {"parameters": dict, "versions": dict, "commit": str, "device": str, "time": str}
    for name, kind in kinds.items():
        check_kind(f"{path}: {name}", getattr(stamp, name), kind, f"a {kind.__name__}")
    if stamp.seconds is not None:
        check_finite(f"{path}: seconds", stamp.seconds, 0)
    return stamp


def read_table(path: Path, columns: "Sequence[str]" = ()) -> "pd.DataFrame":
    """Read a table; ValueError names a file that is not a table or lacks one of the columns."""
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as error:  # also an empty file, or not UTF-8
        raise ValueError(f"{path}: not a table: {error}") from None
    if missing := [name for name in columns if name not in table]:
        raise ValueError(f"{path}: lacks the column {missing[0]!r}")
    return table


def other_weights(stamp: Stamp) -> list[str]:
    """Return a line for each part of the toy world that has changed since the recording.

    A stamp without a digest gives no line.
    """
    lines, recorded = [], stamp.parameters
    if any(
        key in recorded and recorded[key] != names.toy("weights digest")(model)
        for model, key in names.TOYS.items()
    ):
        lines.append(OTHER.format("weights"))
    if "scorers" in recorded and recorded["scorers"] != names.toy("scorers digest")():
        lines.append(OTHER.format("scorers (judge, matcher or CLIP)"))
    return lines
