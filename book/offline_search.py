"""A Sphinx extension: the search shows excerpts where the book is opened from a folder, too.

A browser does not let pages that come from a folder fetch each other, and Sphinx's search fetches
each page that it found for its excerpt. So the texts of all pages are written into one script, and
`_static/offline_search.js` hands them to the search where the address begins with "file:".
"""

import json
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

TEXTS = "page_texts.js"


def page_of(document: nodes.document) -> str:
    """The text of a page as the search reads it: sections with their ids, without outputs of cells.

    Args:
        document: the page.
    """
    return f'<div role="main">{"".join(map(_html, document.children))}</div>'


def _html(node: nodes.Node) -> str:
    if isinstance(node, nodes.section):
        ids = node.get("ids", [])
        inner = "".join(map(_html, node.children))
        # A section may go by several ids; the search may ask for any of them.
        return (
            "".join(f'<section id="{escape(name)}">' for name in ids)
            + inner
            + "</section>" * len(ids)
        )
    if isinstance(node, nodes.Element) and "cell" in node.get("classes", []):
        return ""
    text = node.astext() if isinstance(node, nodes.Element | nodes.Text) else ""
    return f"<p>{escape(text)}</p>"


def write_texts(app: Sphinx, error: Exception | None) -> None:
    """Write the texts of all pages beside the other scripts."""
    if error or app.builder.format != "html":
        return
    texts = {name: page_of(app.env.get_doctree(name)) for name in sorted(app.env.found_docs)}
    script = f"window.pageTexts = {json.dumps(texts, ensure_ascii=False)};\n"
    (Path(app.outdir) / "_static" / TEXTS).write_text(script, encoding="utf-8")


def add_script(
    app: Sphinx, name: str, template: str, context: dict[str, Any], document: nodes.document | None
) -> None:
    """Load the script on the page of the search alone."""
    if name == "search":
        app.add_js_file("offline_search.js", loading_method="defer", priority=100)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", add_script)
    app.connect("build-finished", write_texts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
