"""A Sphinx extension that shows search excerpts when the book is opened from a folder.

Sphinx's search fetches each page that it finds for an excerpt, but browsers do not let pages from a
folder fetch each other. So the texts of all pages are written into one script, and
`_static/offline_search.js` passes them to the search if the address begins with "file:".
"""

import json
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

TEXTS = "page_texts.js"


def page_of(document: nodes.document) -> str:
    """Return the text of a page for the search: sections with their ids, without cell outputs.

    Args:
        document: document tree of the page.
    """
    return f'<div role="main">{"".join(map(_html, document.children))}</div>'


def _html(node: nodes.Node) -> str:
    if isinstance(node, nodes.section):
        ids = node.get("ids", [])
        inner = "".join(map(_html, node.children))
        # A section may have several ids; the search may ask for any of them.
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
    """Load the script on the search page only."""
    if name == "search":
        app.add_js_file("offline_search.js", loading_method="defer", priority=100)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    app.connect("html-page-context", add_script)
    app.connect("build-finished", write_texts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
