"""The folders of the package import in one direction, and none of its modules in a circle."""

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "dpodiff"
# Each imports from those before it only.
ORDER = (
    "names",
    "checks",
    "weighted_text",
    "models",
    "losses",
    "spaces",
    "gradients",
    "objective",
    "results",
    "patches",
    "solvers",
    "studies",
    "plots",
    "api",
    "sweeps",
    "widgets",
    "cli",
    "toy",
)
FRONT = ("__init__", "__main__", "toy")  # may import from anywhere; nothing imports from them


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(["dpodiff", *(part for part in parts if part != "__init__")])] = path
    return found


MODULES = modules()


def imports(name: str) -> Iterator[str]:
    """Modules of the package that a module imports, for types too."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            if node.module.split(".")[0] == "dpodiff":
                inner = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from (one if one in MODULES else node.module for one in inner)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] == "dpodiff")


def folder(name: str) -> str:
    return [*name.split("."), "__init__"][1]


def test_every_folder_has_its_place():
    assert {folder(name) for name in MODULES} == {*ORDER, "__init__", "__main__"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_go_one_way(name):
    if folder(name) in FRONT:
        return
    later = ORDER[ORDER.index(folder(name)) + 1 :]
    wrong = sorted({other for other in imports(name) if folder(other) in later})
    assert not wrong, f"{name} imports {wrong[0]}, which comes after it"


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter({name: set(imports(name)) - {name} for name in MODULES}).prepare()


def test_equations_that_the_code_cites_are_in_the_book():
    chapters = (PACKAGE.parent / "notebooks").glob("*.ipynb")
    book = "".join(chapter.read_text() for chapter in chapters)
    labels = {*re.findall(r":label: ([\w-]+)", book), *re.findall(r"\$\$ \(([\w-]+)\)", book)}
    cited = {
        label
        for path in MODULES.values()
        for label in re.findall(r"eq\. \(([a-z][\w-]+)\)", path.read_text())
    }
    assert len(cited) > 15
    assert cited <= labels, f"no chapter has {sorted(cited - labels)}"
