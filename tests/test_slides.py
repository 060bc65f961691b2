"""Slides of a small chapter: what is shown, what becomes notes, and that nothing is fetched."""

from __future__ import annotations

import shutil
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from book import slides
from book.myst_blocks import References, blocks

ROOT = Path(__file__).parents[1]
CHAPTER = slides.CHAPTERS[0]
# One pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwAD"
PNG += "hgGAWjR9awAAAABJRU5ErkJggg=="
TEXT = r"""## Noise and {term}`signal <signals>`

Noise is *added* first {cite}`ho2020denoising,sohl2015deep`. One step shrinks the latent,

```{math}
:label: small-noise
x_t = \sqrt{\alpha_t}\, x_{t-1}
```

By {eq}`small-noise` it shrinks; {cite:t}`wang2024discrete` say more in [spaces](05_spaces.ipynb).

```{admonition} Proof
:class: dropdown
Insert {eq}`small-noise`.

    for t in range(3):
        print(t)

$$
a = b
$$
```

```{admonition} Proposition
:class: note
It holds.
```

- a list with {eq}`small-noise`

**1.** An exercise.

This sentence leads to nothing:

The text goes on.
"""
NOTES = (
    "Noise is <em>added</em> first (Ho et al., 2020; Sohl-Dickstein et al., 2015).",
    "By (1.1) it shrinks; Wang et al. (2024) say more",
    "<strong>Proof.</strong>",
    "Insert (1.1).",
    "This sentence leads to nothing:",
)
SHOWN = (
    "Noise and signal",
    "One step shrinks the latent,",
    r"\tag{1.1}",
    "<strong>Proposition.</strong>",
    "It holds.",
    "a list with (1.1)",
    "<strong>1.</strong> An exercise.",
    "A <b>bold</b> cell",
    "The loss falls by 0.02.",
    "One point at 0.5.",
    '"shown"',
)


class Presentation(HTMLParser):
    """Texts of slides and of notes, the number of parts a section has, and every address."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.inside, self.slides, self.notes = [], "", ""
        self.parts, self.images, self.addresses = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "section":
            self.inside.append(tag)
            if len(self.inside) == 1:
                self.parts.append(0)
            else:
                self.parts[-1] += 1
        elif tag == "aside":
            self.inside.append(tag)
        elif tag == "img":
            self.images.append(given)
        self.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag in ("em", "strong", "b"):
            self.handle_data(f"<{tag}>")

    def handle_endtag(self, tag):
        if tag in ("section", "aside"):
            self.inside.pop()
        if tag in ("em", "strong", "b"):
            self.handle_data(f"</{tag}>")

    def handle_data(self, data):
        if "aside" in self.inside:
            self.notes += data
        elif self.inside:
            self.slides += data


def output(kind: str, data: str) -> nbformat.NotebookNode:
    return new_output("execute_result", data={kind: data, "text/plain": "raw text"})


def chapter() -> nbformat.NotebookNode:
    """A chapter with every kind of block and output."""
    table = "<table><tr><td>A <b>bold</b> cell</td></tr></table>"
    figure = {"figure": {"caption": "One point at 0.5."}, "image": {"alt": "A point & a line"}}
    cells = [
        new_markdown_cell("# A small chapter\n\nIn this chapter we\n\n- look"),
        new_code_cell("hidden = 1", metadata={"tags": ["remove-cell"]}),
        new_markdown_cell(TEXT),
        new_code_cell("long = 1\n" * 9, metadata={"tags": ["slide"]}),
        new_code_cell('print("shown")', metadata={"tags": ["slide"]}),
        new_code_cell("table", outputs=[output("text/html", table)]),
        new_code_cell("draw()", metadata={"mystnb": figure}, outputs=[output("image/png", PNG)]),
        new_code_cell("said", outputs=[output("text/markdown", "The loss falls by 0.02.")]),
        new_code_cell("print()", outputs=[new_output("stream", text="printed")]),
    ]
    return new_notebook(cells=cells)


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> Path:
    """The built pages of a book with slides of one chapter."""
    root = tmp_path_factory.mktemp("slides")
    staged, html = root / "staged", root / "html"
    for folder in (staged / "notebooks", staged / "book", html / "notebooks"):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / "book" / "references.bib", staged / "book")
    shutil.copytree(ROOT / "book" / "_static", html / "_static")
    numbered = '<div id="equation-small-noise">\n<span class="eqno">(1.1)<a></a></span></div>'
    (html / "notebooks" / "01_small.html").write_text(numbered)
    (html / "notebooks" / "05_spaces.html").write_text("<p>Spaces</p>")
    nbformat.write(chapter(), staged / "notebooks" / f"{CHAPTER}.ipynb")
    written = slides.export(staged, html, [CHAPTER, "99_without_slides"])
    assert written == [html / "slides" / f"{CHAPTER}.html"]
    return html


@pytest.fixture(scope="module")
def shown(html) -> Presentation:
    return Presentation((html / "slides" / f"{CHAPTER}.html").read_text())


@pytest.mark.parametrize("text", SHOWN)
def test_slide_shows_what_the_chapter_sets_apart(shown, text):
    assert text in shown.slides
    assert text not in shown.notes


@pytest.mark.parametrize("text", NOTES)
def test_running_text_and_proofs_are_speaker_notes(shown, text):
    assert text in " ".join(shown.notes.split())
    assert text not in shown.slides


def test_code_of_a_proof_keeps_its_lines(shown):
    assert "for t in range(3):\n    print(t)" in shown.notes


def test_nothing_raw_is_left_of_the_markup(shown):
    for raw in ("{eq}", "{cite", "{term}", "{math}", "{admonition}", ":label:", ":class:"):
        assert raw not in shown.slides + shown.notes


def test_code_and_printed_text_are_left_out(shown):
    for text in ("hidden", "long", "draw", "said", "printed", "raw text"):
        assert text not in shown.slides + shown.notes


def test_a_heading_begins_a_slide_and_what_does_not_fit_goes_below_it(shown):
    title, section = shown.parts
    assert title == 1
    assert section > 1
    assert shown.slides.count("Noise and signal") == section


def test_figure_keeps_its_alt_text(shown):
    assert [image["alt"] for image in shown.images] == ["A point & a line"]


def test_every_address_is_a_file_beside_the_slides(html, shown):
    linked = [address for address in shown.addresses if not address.startswith("data:")]
    assert "../notebooks/05_spaces.html" in linked
    for address in linked:
        assert (html / "slides" / address).is_file(), address


def test_chapters_without_slides_leave_no_folder(tmp_path):
    assert slides.export(tmp_path, tmp_path, ["99_without_slides"]) == []
    assert list(tmp_path.iterdir()) == []


def test_slides_are_made_of_chapters_of_the_book_and_linked_for_teachers():
    teaching = (ROOT / "book" / "teaching.md").read_text()
    for stem in slides.CHAPTERS:
        assert (ROOT / "notebooks" / f"{stem}.ipynb").is_file()
        assert f'href="../slides/{stem}.html"' in teaching


def test_sentence_that_leads_on_is_apart_from_those_before_it():
    text = "The first ends. The second goes on,\nover two lines:"
    found = [(block.kind, block.text) for block in blocks(text, References({}, {}))]
    assert found == [("note", "The first ends."), ("lead", "The second goes on, over two lines:")]
