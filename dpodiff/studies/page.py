"""The HTML page of a study: `page.html` with its data."""

import json
from importlib import resources
from typing import Any


def page(data: dict[str, Any]) -> str:
    """Return one HTML file with all data and images.

    Args:
        data: data for the script of `page.html`.
    """
    # Inside a script element, "<" could end it.
    text = json.dumps(data).replace("<", "\\u003c")
    template = resources.files("dpodiff.studies").joinpath("page.html").read_text("utf-8")
    return template.replace("{{data}}", text)
