"""The files around the package agree with each other and hold nothing that they should not."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import dpodiff

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Written in parts, so that this file passes its own test.
HOSTS = ["pypi" + ".org", "pythonhosted" + ".org", "anaconda" + ".org", "npmjs" + ".org"]
HOSTS += ["download.pytorch" + ".org"]

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def bounds(lines: list[str]) -> dict[str, str]:
    """Package name -> its bounds, both in normal form, the package itself left out."""
    parsed = [Requirement(line) for line in lines]
    named = {re.sub(r"[-_.]+", "-", one.name).lower(): str(one.specifier) for one in parsed}
    return {name: bound for name, bound in named.items() if name != "dpodiff"}


def project_files() -> list[Path]:
    """What git tracks, or would when added."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def is_plain(node: ast.expr) -> bool:
    """Whether an expression is a number, a string, a bool, None, or a list of these."""
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return False
    parts = value if isinstance(value, list) else [value]
    return all(isinstance(part, (bool, int, float, str, type(None))) for part in parts)


def test_conda_environment_agrees_with_pyproject():
    extras = PROJECT["optional-dependencies"].values()
    wanted = bounds(PROJECT["dependencies"] + [line for extra in extras for line in extra])
    python, _, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    found = bounds([line for line in pip["pip"] if not line.startswith("--editable")])
    assert python == f"python{PROJECT['requires-python']}"
    assert found == wanted


def test_every_pinned_requirement_has_hashes_and_no_address():
    text = (ROOT / "requirements.txt").read_text()
    entries = re.findall(r"^[^\s#].*(?:\n[ \t]+--hash=.*)*", text, flags=re.MULTILINE)
    assert len(entries) > 100
    for entry in entries:
        assert re.match(r"[\w.-]+==\S+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in text
    assert "--find-links" not in text


def test_every_license_in_the_package_is_stated():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = {path for pattern in project["license-files"] for path in ROOT.glob(pattern)}
    found = set((ROOT / "dpodiff").rglob("LICENSE*"))
    assert len(found) == 1
    assert stated == found | {ROOT / "LICENSE"}


def test_every_direct_dependency_is_pinned():
    extras = PROJECT["optional-dependencies"].values()
    direct = bounds(PROJECT["dependencies"] + [line for extra in extras for line in extra])
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert direct.keys() <= set(pinned)


def test_no_file_names_a_package_host():
    named = []
    for path in project_files():
        text = path.read_bytes()
        named += [(path.name, host) for host in HOSTS if host.encode() in text]
    assert named == []


def test_every_file_gives_the_same_address_of_the_repository():
    configured = PROJECT["urls"]["Repository"]
    assert yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"] == configured
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["repository-code"] == configured
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff"):
        found = re.findall(r"https://github\.com/[\w.-]+/[\w.-]+", (ROOT / name).read_text())
        assert set(found) <= {configured}, name


def test_every_file_gives_the_same_version():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == dpodiff.__version__
    released = re.findall(r"^## \[(\d.*?)\] - \d{4}-\d\d-\d\d$", CHANGELOG, re.MULTILINE)
    assert released[0] == dpodiff.__version__


def test_every_version_of_the_changelog_has_a_link():
    headings = re.findall(r"^## \[(.+?)\]", CHANGELOG, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert re.findall(r"^\[(.+?)\]: https://", CHANGELOG, re.MULTILINE) == headings


def test_readme_shows_a_small_figure_that_is_there():
    shown = re.findall(r"!\[.+?\]\((.+?)\)", (ROOT / "README.md").read_text())
    assert shown
    for name in shown:
        assert (ROOT / name).stat().st_size <= 150_000


def test_the_numbers_of_the_readme_are_those_of_the_record():
    found = dpodiff.Recorded.load("verified").verified().changes("judge, all and clean")
    search = found.loc["matcher and CLIP: epo"]
    fixed = found.loc["fixed modifiers, negative prompt"]
    clip = found.loc["spherical: epo, negative space, not verified"]
    assert search["fallen"] == 0  # "none loses as much"
    text = " ".join((ROOT / "README.md").read_text().split())
    for said in (
        f"On {search['prompts']:.0f} other prompts",
        f"good in {search['before']:.0%} of the cases",
        f"by {search['mean']:.2f} [{search['low']:.2f}, {search['high']:.2f}]",
        f"{search['risen']:.0%} of the prompts gain more than 0.1, and none loses as much",
        f"without a search, gain {fixed['mean']:.2f},",
        f"gains {clip['mean']:.2f} [{clip['low']:.2f}, {clip['high']:.2f}]",
        f"makes {clip['fallen']:.0%} of the prompts worse",
    ):
        assert said in text


def test_links_of_the_text_files_lead_to_files_that_are_there():
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?://)(.+?)\)", (ROOT / name).read_text()):
            assert (ROOT / target).exists(), f"{name} leads to {target}"


def test_no_module_searches_the_system_for_words():
    text = {path: path.read_text() for path in (ROOT / "dpodiff").rglob("*.py")}
    searching = re.compile(r"nltk\.downloader|nltk\.data\.(find|path|load)|nltk\.download\(")
    assert [path.name for path, source in text.items() if searching.search(source)] == []


@each_notebook
def test_notebook_holds_no_outputs(path: Path):
    code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@each_notebook
def test_notebook_begins_with_its_title_and_the_same_install_cell(path: Path):
    title, install = json.loads(path.read_text())["cells"][:2]
    first = json.loads(NOTEBOOKS[0].read_text())["cells"][1]
    assert "".join(title["source"]).startswith("# ")
    assert install["source"] == first["source"]
    assert install["metadata"]["tags"] == ["remove-cell"]


@each_notebook
def test_notebook_has_one_cell_of_plain_parameters(path: Path):
    cells = json.loads(path.read_text())["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    statements = ast.parse("".join(tagged[0]["source"])).body
    assert statements
    for statement in statements:
        assert isinstance(statement, (ast.Assign, ast.AnnAssign)), ast.unparse(statement)
        assert is_plain(statement.value), ast.unparse(statement)


@each_notebook
def test_formulas_are_not_escaped_twice(path: Path):
    cells = json.loads(path.read_text())["cells"]
    text = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    # MathJax reads it as the end of a line and a plain word, and reports nothing.
    assert re.findall(r"\\\\[a-zA-Z]+", text) == []


def test_every_chapter_is_in_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    chapters = [name for name in listed if name.startswith("notebooks/")]
    assert chapters == [f"notebooks/{path.stem}" for path in NOTEBOOKS]


def test_configurations_of_weights_name_no_path_of_a_machine():
    configs = list((ROOT / "dpodiff" / "toy" / "weights").rglob("*.json"))
    assert len(configs) > 5
    assert [path for path in configs if "_name_or_path" in path.read_text()] == []
