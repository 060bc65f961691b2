"""Slides of some chapters for teachers, made from the executed notebooks with nbconvert.

The slides have no text of their own. A heading of the second level begins a slide. It shows
equations, lists, figures, tables and checked conclusions; what does not fit continues on a slide
below. Other text becomes speaker notes. Code is left out, except short cells with the tag `slide`.
"""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from math import ceil
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from book.myst_blocks import Block, References, blocks

CHAPTERS = ("06_the_shortcut_gradient", "11_improving_prompts")
TEMPLATE = Path(__file__).parent / "templates" / "slides.html.j2"
# Parts of reveal.js that a presentation needs.
FONTS = "dist/theme/fonts/source-sans-pro"
ASSETS = ("LICENSE", "dist/reveal.css", "dist/reveal.js", "dist/theme/white.css")
ASSETS += ("plugin/notes/notes.js", f"{FONTS}/LICENSE", f"{FONTS}/*.css", f"{FONTS}/*.woff")
ROOM = 15  # lines of text on a slide, below its heading
WIDE = 95  # characters per line
FIGURE = 10  # least number of lines of a figure, which fills the remaining space
LONG = 14  # rows of a table that needs small type
KINDS = ("text/html", "image/png", "text/markdown")  # outputs that are shown
LONGEST = 8  # largest number of lines of code that are shown


@dataclass
class Deck:
    """Slides under construction: cells with nbconvert's slide types."""

    references: References
    cells: list[NotebookNode] = field(default_factory=list)
    title: str = ""
    lead: str = ""  # a sentence that is shown with the next block
    used: float = 0  # lines of the current slide

    def add(self, cell: NotebookNode) -> None:
        """Add the visible content of an executed cell, and the rest as notes."""
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            for block in blocks(cell.source, self.references):
                self._block(block)
        elif cell.cell_type == "code" and "remove-cell" not in tags:
            code = cell.source.splitlines()
            if "slide" in tags and len(code) <= LONGEST:
                self._show(_markdown(f"```python\n{cell.source}\n```", "-"), len(code))
            self._outputs(cell)

    def finish(self) -> None:
        """End the slides; a waiting lead sentence becomes a note."""
        if self.lead:
            self.cells.append(_markdown(self.lead, "notes"))
        self.lead = ""

    def _block(self, block: Block) -> None:
        if block.kind not in ("shown", "h3"):
            self.finish()
        if block.kind in ("h1", "h2"):
            self.title = block.text
            self._begin("slide")
        elif block.kind == "lead":
            self.lead = block.text
        elif block.kind == "note":
            self.cells.append(_markdown(block.text, "notes"))
        else:
            self._show(_markdown(block.text, "-"), lines(block.text))

    def _outputs(self, cell: NotebookNode) -> None:
        shown = [output for output in map(_shown, cell.outputs) if output]
        caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        caption = self.references.resolve(caption)
        for output in shown:
            metadata = {**cell.metadata, "tags": ["long"] if rows(output) > LONG else []}
            made = new_code_cell(outputs=[output], metadata=metadata)
            self._show(made, height(output) + lines(caption))
        if shown and caption:
            self.cells.append(_markdown(caption, "-", tags=["caption"]))

    def _show(self, cell: NotebookNode, taken: float) -> None:
        taken += lines(self.lead)
        if self.used and self.used + taken > ROOM:
            self._begin("subslide")
        self.used += taken
        self.cells += [_markdown(self.lead, "-"), cell] if self.lead else [cell]
        self.lead = ""

    def _begin(self, kind: str) -> None:
        self.cells.append(_markdown(self.title, kind))
        self.used = 0


def lines(text: str) -> float:
    """Estimate the number of lines of a text on a slide."""
    if text.startswith("$$"):
        return 3 * (1 + text.count(r"\\"))
    return sum(ceil(len(line) / WIDE) for line in text.splitlines())


def rows(output: NotebookNode) -> int:
    """Count the rows of the tables in an output."""
    return output.data.get("text/html", "").count("<tr")


def height(output: NotebookNode) -> float:
    """Estimate the least number of lines of an output on a slide."""
    if "text/markdown" in output.data:
        return lines(output.data["text/markdown"])
    if "image/png" in output.data or "<img" in output.data["text/html"]:
        return FIGURE
    return 1 + rows(output) * (0.9 if rows(output) <= LONG else 0.6)


def _shown(output: NotebookNode) -> NotebookNode | None:
    data = {kind: value for kind, value in output.get("data", {}).items() if kind in KINDS}
    return NotebookNode(output, data=NotebookNode(data)) if data else None


def _markdown(text: str, kind: str, **metadata: list[str]) -> NotebookNode:
    return new_markdown_cell(text, metadata={"slideshow": {"slide_type": kind}, **metadata})


def presentation(notebook: NotebookNode, references: References) -> NotebookNode:
    """Return the notebook of a presentation, ready for nbconvert.

    Args:
        notebook: an executed chapter.
        references: targets of the chapter's roles.
    """
    deck = Deck(references)
    for cell in notebook.cells:
        deck.add(cell)
    deck.finish()
    title = deck.cells[0].source.lstrip("# ")
    return new_notebook(cells=deck.cells, metadata={"title": title})


def export(staged: Path, html: Path, chapters: Iterable[str]) -> list[Path]:
    """Write `slides/<chapter>.html` for the chapters that have slides; return the paths.

    Args:
        staged: folder of the sources of the build, with the executed chapters in `notebooks`.
        html: folder of the built pages, whose `_static` contains MathJax.
        chapters: stems of the built chapters.
    """
    wanted = sorted(set(CHAPTERS) & set(chapters))
    if not wanted:
        return []
    folder = html / "slides"
    _copy_reveal(folder / "reveal.js")
    references = References.read(html, staged / "book" / "references.bib")
    exporter = SlidesExporter(
        template_file=str(TEMPLATE),
        reveal_theme="white",
        reveal_url_prefix="reveal.js",
        exclude_input=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    notebooks = (staged / "notebooks" / f"{stem}.ipynb" for stem in wanted)
    return [_write(exporter, notebook, folder, references) for notebook in notebooks]


def _write(exporter: SlidesExporter, chapter: Path, folder: Path, references: References) -> Path:
    notebook = nbformat.read(chapter, as_version=4)
    page, _ = exporter.from_notebook_node(presentation(notebook, references))
    target = folder / f"{chapter.stem}.html"
    part = target.with_suffix(".part")
    part.write_text(page)
    os.replace(part, target)
    return target


def _copy_reveal(folder: Path) -> None:
    with as_file(files("sphinx_revealjs") / "_static" / "revealjs") as reveal:
        for asset in (path for pattern in ASSETS for path in reveal.glob(pattern)):
            target = folder / asset.relative_to(reveal)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(asset, target)
