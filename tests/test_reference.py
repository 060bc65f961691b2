"""The reference shows every public name once, and each name has an example that runs."""

import ast
import doctest
import inspect
import pkgutil
import re
import typing
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

import dpodiff
from book import reference_links

ROOT = Path(__file__).parents[1]
PAGES = {page.stem: page.read_text() for page in (ROOT / "book" / "reference").glob("*.md")}
# "autoclass:: NAME", or "py:type:: NAME" for what has no docstring but a text on the page.
ENTRY = re.compile(r"^\.\. (auto|py:)\w+:: ([\w.]+)", re.MULTILINE)
GIVEN = {"dpodiff": dpodiff, "np": np, "torch": torch, "typing": typing}


def entries(kind: str) -> list[str]:
    return [name for text in PAGES.values() for found, name in ENTRY.findall(text) if found == kind]


def public() -> set[str]:
    """Every public name under its shortest path, without the folders, which are pages."""
    stub = ast.parse((ROOT / "dpodiff" / "__init__.pyi").read_text())
    imports = (node for node in stub.body if isinstance(node, ast.ImportFrom))
    top = {alias.name for node in imports for alias in node.names}
    folders = {name for name in top if inspect.ismodule(getattr(dpodiff, name))}
    found = {f"dpodiff.{name}" for name in top - folders}
    for folder in [*folders, "api"]:
        module = pkgutil.resolve_name(f"dpodiff.{folder}")
        inner = set(getattr(module, "__all__", ())) - top
        found |= {f"dpodiff.{folder}.{name}" for name in inner}
    return found


def examples(name: str) -> list[doctest.DocTest]:
    """The examples in the docstrings of a documented name and of its methods."""
    thing = pkgutil.resolve_name(name)
    return doctest.DocTestFinder().find(thing, name, module=False, globs=dict(GIVEN))


def run(test: doctest.DocTest) -> None:
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    failed = runner.run(test, out=report.append).failed
    assert not failed, "".join(report)


def test_every_public_name_is_on_one_page():
    shown = Counter(entries("auto") + entries("py:"))
    assert [name for name, count in shown.items() if count > 1] == []
    assert sorted(public() - shown.keys()) == []


def test_every_folder_has_its_page():
    folders = {path.parent.name for path in (ROOT / "dpodiff").glob("*/__init__.py")}
    assert folders == PAGES.keys() - {"index"}


@pytest.mark.parametrize("name", entries("auto"))
def test_example_of_a_name_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = examples(name)
    assert any(test.name == name and test.examples for test in found), f"{name} has no example"
    for test in found:
        run(test)


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page_run(page):
    text = re.sub(r"^```.*", "", PAGES[page], flags=re.MULTILINE)
    run(doctest.DocTestParser().get_doctest(text, dict(GIVEN), page, None, None))


@pytest.mark.parametrize("name", sorted(public() - set(entries("auto"))))
def test_public_name_without_docstring_has_an_example_on_its_page(name):
    (text,) = (text for text in PAGES.values() if f":: {name}\n" in text)
    assert ">>> " in text.partition(f":: {name}\n")[2].partition("\n.. ")[0]


def test_examples_use_only_what_an_import_of_the_package_gives():
    """Submodules that another example has imported are there by chance."""
    tests = [test for name in entries("auto") for test in examples(name)]
    lines = [example.source for test in tests for example in test.examples]
    lines += re.findall(r">>> (.*)", "".join(PAGES.values()))
    used = re.findall(r"^(?!from ).*\bdpodiff\.(\w+)(?:\.(\w+))?", "\n".join(lines), re.MULTILINE)
    assert {first for first, _ in used} <= set(dpodiff.__all__)
    for folder, name in used:
        if name and inspect.ismodule(module := getattr(dpodiff, folder)):
            assert name in module.__all__


def test_paragraphs_of_docstrings_have_one_indentation():
    """Sphinx shows one whose second line is further in as a bold term and its definition."""
    further_in = re.compile(r"^( *)(?![ *-]).+\n\1 +\S", re.MULTILINE)
    section = re.compile(
        r"^ *(Args|Attributes|Returns|Raises|Warns|Yields|Examples):$", re.MULTILINE
    )
    for path in (ROOT / "dpodiff").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                text = section.split(ast.get_docstring(node) or "")[0]
                assert not further_in.search(text), f"{path}: {node.name}"


def test_short_names_find_the_entry_they_stand_for():
    documented = ["dpodiff.load", "dpodiff.losses.load", "dpodiff.Objective.noise", "dpodiff.Space"]
    entry_of = reference_links.entry_of
    assert entry_of("load", documented) == "dpodiff.load"
    assert entry_of("losses.load", documented) == "dpodiff.losses.load"
    assert entry_of("Objective.noise()", documented) == "dpodiff.Objective.noise"
    assert entry_of("pace", documented) is None


def test_docstring_entries_of_several_names_become_one_each():
    lines = [":param low, high: of the logits", "    in nats", ":param lr: of Adam"]
    assert list(reference_links.one_field_each(lines)) == [
        ":param low: of the logits",
        "    in nats",
        ":param high: of the logits",
        "    in nats",
        ":param lr: of Adam",
    ]


def test_text_before_a_colon_is_no_type():
    lines = [":returns: the worst first.", ":rtype: one row per prompt", ":raises ValueError: if"]
    assert reference_links.without_types(lines) == [
        ":returns: one row per prompt: the worst first.",
        ":raises ValueError: if",
    ]
    lines = ["only guidance above 1 does.", "", ":type: Whether it is read"]
    assert reference_links.without_types(lines) == [
        "Whether it is read: only guidance above 1 does.",
        "",
    ]
