"""The page of a study: `page.html` with the data of one study inside."""

import json
from importlib import resources
from typing import Any


def page(data: dict[str, Any]) -> str:
    """One HTML file that holds everything.

    Args:
        data: as the script of `page.html` reads it.
    """
    # Inside of a script element, "<" could end it.
    text = json.dumps(data).replace("<", "\\u003c")
    template = resources.files("dpodiff.studies").joinpath("page.html").read_text("utf-8")
    return template.replace("{{data}}", text)
