"""The check of prose finds what it should, and nothing else."""

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from book import style

WORDS = {"picture": "image", "way back": "backward pass"}


def found(path: Path) -> list[tuple[int, str]]:
    return [(finding.line, finding.found) for finding in style.listed(path, WORDS)]


def test_the_word_list_is_read_from_the_page():
    words = style.word_list(style.LIST.read_text())
    assert words["picture"] == "image" and words["ways forth"] == "forward pass"
    assert len(words) > 20


def test_phrases_are_found_in_prose_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Two pictures.\n\n    a picture in code\n\n`picture` and $picture$\n"
        "```python\npicture = 1\n```\nThe way\nback. [a](picture.md) depicture\n"
    )
    assert found(page) == [(1, "pictures"), (9, "way\nback")]


def test_comments_docstrings_and_messages_are_prose(tmp_path):
    code = tmp_path / "code.py"
    code.write_text(
        '"""A picture."""\npicture = 1  # a picture\nprint(f"no picture of {picture}")\n'
    )
    assert [line for line, _ in found(code)] == [1, 2, 3]


def test_the_body_of_a_docstring_is_prose_but_for_its_examples(tmp_path):
    code = tmp_path / "code.py"
    body = ["Args:", "    a: a picture.", "Examples:", "    >>> picture", "    ... picture"]
    code.write_text("def f(a):\n    " + "\n    ".join(['"""Do it.', "", *body, '"""']) + "\n")
    assert found(code) == [(5, "picture")]


def test_cells_with_code_are_no_prose(tmp_path):
    path = tmp_path / "chapter.ipynb"
    cells = [new_code_cell("picture = 1"), new_markdown_cell("Look at the picture.")]
    nbformat.write(new_notebook(cells=cells), path)
    assert found(path) == [(1, "picture")]


@pytest.mark.parametrize("text", ["It is at this point in time.", "This is very unique."])
def test_proselint_is_asked_too(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n{text}\n")
    assert {finding.line for finding in style.linted(page)} == {3}


def test_figures_are_of_each_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"One two three four. A picture is here.\n\n{'word ' * 40}.\n")
    row = style.figures([page], WORDS).iloc[0]
    assert (row["sentences"], row["median words"]) == (3, 4)
    assert row["over 30 words"] == row["listed words"] == pytest.approx(1 / 3)


def test_the_project_keeps_to_the_list():
    words = style.word_list(style.LIST.read_text())
    paths = [*style.files(style.PAGES), *style.files(style.CODE)]
    assert [str(finding) for path in paths for finding in style.listed(path, words)] == []
