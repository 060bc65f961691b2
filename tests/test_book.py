"""The builder on a book of two pages, and the check of pages on good and bad ones."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from book import build, check_pages
from book.downloads import places, without_traces

ROOT = Path(__file__).parents[1]
BROWSER = next(filter(None, map(shutil.which, check_pages.BROWSERS)), None)

# A chapter that shows a prompt in every way.
PROMPT = "a <script>alert(7)</script> <b>ball</b> & $x$ _cup_"
PROMPTS_SHOWN = """
import numpy as np, pandas as pd, torch, dpodiff
from IPython.display import HTML, display

def paint(prompt, negative_prompt, seed):
    return np.full((8, 8, 3), (seed % 7 + len(negative_prompt)) / 100)

model = dpodiff.BlackBox(paint, name=prompt)
settings = {"loss": "white", "space": "nplib", "budget": 4, "seeds": 1, "verify": 0}
result = dpodiff.improve(prompt, model=model, progress=False, **settings)
print(result)
frame = pd.DataFrame({prompt: [prompt], "loss": [0.12345]}, index=[prompt])
display(dpodiff.plots.table(frame, caption=prompt), frame)
display(dpodiff.plots.slider([result.images], [prompt]), dpodiff.plots.strip(result))
panel = dpodiff.panel(prompt, model=model, **settings)
panel.run()
panel.wait()
display(panel)
display(HTML(panel.status.value))
assert panel.result is not None
"""

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")


def write_notebook(path: Path, *code: str) -> None:
    """A chapter with a title, a formula, a cell of parameters and the cells of ``code``."""
    cells = [
        new_markdown_cell("# A chapter\n\n$$\\hat x_0 = \\frac{a}{\\boldsymbol b}$$"),
        new_code_cell("word = 'plane'\nbudget = 4", metadata={"tags": ["parameters"]}),
        *map(new_code_cell, code),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def write_book(root: Path, *code: str) -> build.Book:
    """A book with the project's own settings and assets, and one chapter."""
    for folder in ("book/profiles", "dpodiff", "notebooks"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "_config.yml", root)
    for name in ("references.bib", "offline_search.py", "reference_links.py"):
        shutil.copy(ROOT / "book" / name, root / "book")
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    (root / "requirements.txt").touch()
    cited = "# Intro\n\n{cite:t}`wang2024discrete` say so.\n\n```{bibliography}\n```\n"
    (root / "book" / "intro.md").write_text(cited)
    (root / "book" / "profiles" / "toy.yaml").write_text("common: {budget: 3, model: toy}\n")
    toc = {"format": "jb-book", "root": "book/intro"}
    toc["parts"] = [{"caption": "All", "chapters": [{"file": "notebooks/01_chapter"}]}]
    (root / "_toc.yml").write_text(yaml.safe_dump(toc))
    write_notebook(root / "notebooks" / "01_chapter.ipynb", *code)
    return build.Book(root)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> build.Book:
    """The small book, built once."""
    shown = "import sys, ipywidgets\nprint(word, budget)\nprint('progress', file=sys.stderr)"
    prompts = f"prompt = {PROMPT!r}\n{PROMPTS_SHOWN}"
    named = "from pathlib import Path\nprint(sys.executable)\nPath('dpodiff').resolve()"
    cells = [shown, named, "ipywidgets.IntSlider()", prompts]
    book = write_book(tmp_path_factory.mktemp("book"), *cells)
    build.main(["--root", str(book.root)])
    return book


@pytest.fixture(scope="module")
def downloaded(built) -> dict:
    """The notebook that the built page offers for download."""
    page = (built.index.parent / "notebooks" / "01_chapter.html").read_text()
    offered = re.search(r'href="(\.\./_sources/notebooks/01_chapter\.ipynb)"', page)
    return json.loads((built.index.parent / "notebooks" / offered[1]).read_text())


def test_page_shows_what_the_chapter_printed_under_the_profile(built):
    page = (built.index.parent / "notebooks" / "01_chapter.html").read_text()
    assert "plane 3" in page
    assert ">progress\n" not in page


class Page(HTMLParser):
    """What a browser reads: the text of each kind of element, and the attributes that are shown."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.texts, self.attributes, self.ignored = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("br", "img", "input", "link", "meta", "hr", "source", "wbr"):
            self.open.append((tag, dict(attrs).get("class") or ""))
        self.attributes += [value or "" for name, value in attrs if name in ("alt", "title")]

    def handle_endtag(self, tag):
        if tag in (tags := [tag for tag, _ in self.open]):
            del self.open[len(tags) - 1 - tags[::-1].index(tag) :]

    def handle_data(self, data):
        self.texts.append(([tag for tag, _ in self.open], data))
        if any("mathjax_ignore" in kinds for _, kinds in self.open):
            self.ignored.append(data)


def test_a_prompt_is_shown_as_it_is_written(built):
    page = Page((built.index.parent / "notebooks" / "01_chapter.html").read_text())
    shown = [tags for tags, text in page.texts if PROMPT in text and "script" not in tags]
    assert {"td", "th", "caption", "figcaption"} <= {tags[-1] for tags in shown}
    assert sum(PROMPT in text for text in page.attributes) >= 2  # of the slider and the panel
    within = [tags[-1] for tags, text in page.texts if text == "alert(7)"]
    assert within == []  # no element of the prompt's own
    # Tables, captions and the panel are left alone by MathJax.
    assert sum(PROMPT in text for text in page.ignored) >= 5


def test_buttons_lead_to_the_notebook_in_the_repository(built):
    page = (built.index.parent / "notebooks" / "01_chapter.html").read_text()
    repository = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    named = repository["url"].removeprefix("https://github.com/")
    notebook = f"{repository['branch']}/notebooks/01_chapter.ipynb"
    assert f'"https://colab.research.google.com/github/{named}/blob/{notebook}"' in page
    assert f'"https://mybinder.org/v2/gh/{named}/' in page
    assert f'"{repository["url"]}"' in page
    assert "thebe" not in page


def test_pages_load_no_script_from_elsewhere(built):
    for page in check_pages.pages(built.index.parent):
        assert 'src="http' not in (built.index.parent / page).read_text()


def test_sources_stay_without_outputs(built):
    chapter = nbformat.read(built.root / "notebooks" / "01_chapter.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in chapter.cells)


def test_downloaded_notebook_names_no_folder_of_this_machine(built, downloaded):
    text = json.dumps(downloaded)
    for folder in (built.root, ROOT, sys.prefix, Path.home(), tempfile.gettempdir()):
        assert f"{folder}/" not in text
    assert "PosixPath('dpodiff')" in text
    assert ".venv/bin/python" in text


def test_downloaded_notebook_keeps_what_the_chapter_printed_and_nothing_of_its_run(downloaded):
    assert "plane 3" in json.dumps(downloaded["cells"])
    assert "papermill" not in downloaded["metadata"]
    for cell in downloaded["cells"]:
        assert cell["metadata"].keys() <= {"tags"}
        assert all(output.get("name") != "stderr" for output in cell.get("outputs", ()))


def test_only_a_folder_at_its_beginning_is_replaced():
    text = "in /home/me/book/a, /home/me/x and https://example.org/home/me/x"
    image = "iVBORw0KGgo/home/me/A="
    shown = [
        new_output("stream", text=text),
        new_output("display_data", {"image/png": "/home/me/", "text/html": f"base64,{image}"}),
    ]
    notebook = new_notebook(cells=[new_code_cell("1", outputs=shown)])
    tidy = without_traces(notebook, {"/home/me/": "~/", "/home/me/book/": ""})
    stream, display = tidy.cells[0].outputs
    assert stream.text == "in a, ~/x and https://example.org/home/me/x"
    assert display.data == {"image/png": "/home/me/", "text/html": f"base64,{image}"}
    assert notebook.cells[0].outputs[0].text == text


def test_places_are_those_of_this_machine():
    assert places(Path("/srv/book"))["/srv/book/"] == ""
    assert places(Path("/"))[f"{sys.prefix}/"] == ".venv/"
    assert "//" not in places(Path("/"))


def test_seconds_are_told_slowest_chapter_first(capsys):
    build.report({"01_fast": 2.0, "02_slow": 30.4}, rendering=10, total=27)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["30", "2", "32", "10", "27"]
    assert "02_slow" in lines[0]


def test_path_of_the_first_page_is_all_that_is_printed(built, capfd):
    build.main(["--root", str(built.root)])
    out, err = capfd.readouterr()
    assert out == f"{built.index}\n"
    assert "0 of 1 chapters to execute" in err


@needs_browser
def test_search_shows_excerpts_where_the_book_is_opened_from_a_folder(built):
    address = f"{(built.index.parent / 'search.html').as_uri()}?q=chapter"
    excerpt = """(async () => {
        for (let tries = 0; tries < 100; tries++) {
            const found = document.querySelector("#search-results p.context");
            if (found) return [found.textContent];
            await new Promise(resolve => setTimeout(resolve, 100));
        }
        return [];
    })()"""
    with check_pages.launched(BROWSER) as browser:
        tab = check_pages.Tab(browser)
        tab.open(address)
        assert "hat x_0" in " ".join(tab.evaluate(excerpt))


@needs_browser
def test_built_book_passes_the_check(built, tmp_path):
    problems = check_pages.check(built.index.parent, BROWSER, shots=tmp_path)
    assert Path("notebooks/01_chapter.html") in problems
    assert not any(problems.values()), problems
    assert (tmp_path / "notebooks" / "01_chapter.png").stat().st_size > 10_000


def test_chapter_is_stale_when_it_or_the_package_changes(tmp_path):
    book = write_book(tmp_path)
    profile = build.Profile()

    def digest() -> str:
        return build.plan(book, book.chapters(), profile)[0].digest

    first = digest()
    assert digest() == first
    (tmp_path / "dpodiff" / "space.py").write_text("size = 1\n")
    second = digest()
    write_notebook(tmp_path / "notebooks" / "01_chapter.ipynb", "1 + 1")
    assert len({first, second, digest()}) == 3


def test_failing_chapter_is_named_with_its_cell(tmp_path, capsys):
    write_book(tmp_path, "1 / 0")
    with pytest.raises(SystemExit) as stopped:
        build.main(["--root", str(tmp_path)])
    assert "01_chapter.ipynb, cell 3" in str(stopped.value)
    assert "ZeroDivisionError" in str(stopped.value)
    assert capsys.readouterr().out == ""


def test_profile_passes_only_what_a_chapter_declares_and_does_not_have(tmp_path):
    chapter = write_book(tmp_path).chapters()[0]
    profile = build.Profile({"budget": 4, "word": "boat", "model": "toy"})
    assert profile.parameters(chapter) == {"word": "boat"}
    assert build.Profile(notebooks={"01_chapter": {"budget": 9}}).parameters(chapter) == {
        "budget": 9
    }


def test_unknown_names_are_answered_with_the_known_ones(tmp_path):
    book = write_book(tmp_path)
    with pytest.raises(build.BuildError, match="no chapter named '07'; there are 01_chapter"):
        book.chapters(["07"])
    with pytest.raises(build.BuildError, match="no profile named 'tpu'; there are toy"):
        build.Profile.load(tmp_path / "book" / "profiles" / "tpu.yaml")
    with pytest.raises(build.BuildError, match="declares no parameter 'budgets'"):
        build.Profile(notebooks={"01_chapter": {"budgets": 9}}).parameters(book.chapters()[0])


@pytest.mark.parametrize("name", ["toy", "gpu"])
def test_profiles_of_the_book_fit_its_chapters(name):
    profile = build.Profile.load(ROOT / "book" / "profiles" / f"{name}.yaml")
    chapters = build.Book(ROOT).chapters()
    assert set(profile.notebooks) <= {path.stem for path in chapters}
    for chapter in chapters:
        profile.parameters(chapter)


@needs_browser
def test_check_tells_good_pages_from_bad_ones(tmp_path):
    head = '<!doctype html><title>Page</title><link rel="icon" href="data:,">'
    bodies = {
        "clean": "<p>Nothing to see.</p>",
        "image": '<img src="http://images.example/plane.png">',
        "hint": '<link rel="preconnect" href="http://fonts.example">',
        "missing": '<img src="plane.png">',
        "thrown": "<script>throw new Error('oh')</script>",
        "logged": "<script>console.error('ah')</script>",
        "widget": '<script type="application/vnd.jupyter.widget-view+json">{}</script>',
    }
    for name, body in bodies.items():
        (tmp_path / f"{name}.html").write_text(head + body)
    problems = check_pages.check(tmp_path, BROWSER)
    found = {page.stem: " ".join(seen) for page, seen in problems.items()}
    assert found.pop("clean") == ""
    assert "leaves the machine: http://images.example/plane.png" in found["image"]
    assert "outside host announced: http://fonts.example" in found["hint"]
    assert "404" in found["missing"]
    assert "Error: oh" in found["thrown"]
    assert "console: ah" in found["logged"]
    assert "widget without a kernel" in found["widget"]


def test_only_requests_to_other_machines_are_outside():
    assert check_pages.outside("https://example.com/style.css")
    assert check_pages.outside("ws://example.com")
    assert not check_pages.outside("http://127.0.0.1:8000/index.html")
    assert not check_pages.outside("data:image/png;base64,AA")
