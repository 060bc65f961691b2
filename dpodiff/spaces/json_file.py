"""JSON files: errors name the file, and files are written completely or not at all."""

import json
import math
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_json(path: str | os.PathLike) -> tuple[dict[str, Any], list[str]]:
    """Return the object in a JSON file, and its repeated names, of which the first one counts.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it does not hold a JSON object; the message names the file.
    """
    twice: list[str] = []

    def first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                twice.append(name)
            found.setdefault(name, value)
        return found

    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        data = json.loads(text, object_pairs_hook=first_of_each)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not a JSON file: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(f"{path}: must hold an object {{...}}, not {str(data)[:40]!r}")
    return data, twice


def finite(data: Any) -> Any:
    """Return data for JSON with every number that is not finite replaced by None."""
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def write_json(path: str | os.PathLike, data: Any) -> None:
    """Write a JSON file completely or not at all; numbers that are not finite become null."""
    write_text(path, json.dumps(finite(data), indent=2, allow_nan=False))


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write a file so that a crash leaves the old or the new file, never an incomplete one.

    Several threads and processes may write to one file: the last one counts. A symbolic link is
    kept, and a file keeps its permissions.
    """
    given, path = Path(path), Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(8)}.part")  # the name itself may be long
    try:
        part.write_text(text, encoding="utf-8")
        if path.exists():
            part.chmod(stat.S_IMODE(path.stat().st_mode))
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return given
