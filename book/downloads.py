"""Executed notebooks for readers to download, without traces of the machine they ran on."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, from_dict


def places(root: Path) -> dict[str, str]:
    """Return the folders of this machine with their replacements; ``root`` is the project's."""
    known = {
        root: "",
        Path(sys.prefix): ".venv/",
        Path.home(): "~/",
        Path(tempfile.gettempdir()): "<temporary folder>/",
    }
    return {f"{folder}/": text for folder, text in known.items() if folder != Path("/")}


def without_traces(notebook: NotebookNode, places: Mapping[str, str]) -> NotebookNode:
    """Return a copy without the error stream and papermill's metadata, with ``places`` replaced.

    The error stream has progress bars and warnings, which the pages do not show either.
    """
    notebook = from_dict(notebook)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for noted in ("papermill", "execution"):
            cell.metadata.pop(noted, None)
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if output.get("name") != "stderr"]
            cell.outputs = from_dict(_replaced(shown, places))
    return notebook


def _replaced(value: Any, places: Mapping[str, str]) -> Any:
    """Return the value with ``places`` replaced in all texts except images."""
    if isinstance(value, str):
        # No letter may precede a folder, to exclude longer paths and base64.
        longest_first = sorted(places, key=len, reverse=True)
        folders = rf"(?<![\w+/.~-])(?:{'|'.join(map(re.escape, longest_first))})"
        return re.sub(folders, lambda found: places[found[0]], value)
    if isinstance(value, list):
        return [_replaced(part, places) for part in value]
    if isinstance(value, dict):
        return {
            key: part if key.startswith("image/") else _replaced(part, places)
            for key, part in value.items()
        }
    return value
