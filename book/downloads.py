"""Executed notebooks as readers download them: nothing in them tells of the machine they ran on."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, from_dict


def places(root: Path) -> dict[str, str]:
    """Folders of this machine -> what is written in their place. ``root`` is the project's."""
    known = {
        root: "",
        Path(sys.prefix): ".venv/",
        Path.home(): "~/",
        Path(tempfile.gettempdir()): "<temporary folder>/",
    }
    return {f"{folder}/": text for folder, text in known.items() if folder != Path("/")}


def without_traces(notebook: NotebookNode, places: Mapping[str, str]) -> NotebookNode:
    """A copy without the error stream, papermill's notes and times, ``places`` replaced in outputs.

    The error stream holds progress bars and warnings, which no page shows either.
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
    """The same value with ``places`` replaced in every text but images."""
    if isinstance(value, str):
        # No letter may stand before a folder: neither a longer path nor base64 is meant.
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
