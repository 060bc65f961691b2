"""The wheel holds all that the package needs, and works where nothing of the project is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

import dpodiff

ROOT = Path(__file__).parents[1]
# What an import does not miss at once.
NEEDED = [
    "dpodiff/py.typed",
    "dpodiff/__init__.pyi",
    "dpodiff/toy/weights/stable-diffusion/*.safetensors",
    "dpodiff/toy/weights/clip/*",
    "dpodiff/toy/weights/clip-heldout/*",
    "dpodiff/toy/weights/model_card.json",
    "dpodiff/toy/data/prompts_*.json",
    "dpodiff/results/recorded/*/stamp.json",
    "dpodiff/results/recorded/*.csv",
    "dpodiff/spaces/lexicons/wordnet*.zip",
    "dpodiff/spaces/libraries/*.txt",
    "dpodiff/studies/page.html",
    "*.dist-info/licenses/LICENSE",
    "*.dist-info/licenses/dpodiff/spaces/lexicons/LICENSE-WordNet.txt",
]
# Run away from the project: models, words and records come out of the wheel. Printed are the places
# of the package, of its records and of all files of WordNet that are opened.
USE = """
import sys
opened = set()
sys.addaudithook(lambda event, what: event == "open" and opened.add(str(what[0])))
import dpodiff
from dpodiff.results import records
print(dpodiff.__file__, records.RESULTS, sep="\\n")
sd = dpodiff.load("toy")
sd.steps = 2
result = dpodiff.improve("a red ball in the sky", model=sd, budget=2, seeds=1, progress=False)
assert result.trace.records
dpodiff.Recorded.load("landscape")
assert dpodiff.synonym_space("a huge city", dpodiff.WordNet()).slots
data = [name for name in opened if "wordnet" in name.lower() and ".py" not in name]
assert data
print(*data, sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", folder], cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as opened:
        yield opened


@pytest.mark.parametrize("pattern", NEEDED)
def test_wheel_holds(wheel, pattern):
    assert [name for name in wheel.namelist() if fnmatch(name, pattern)]


def test_wheel_holds_every_file_of_the_package(wheel):
    files = (path for path in (ROOT / "dpodiff").rglob("*") if path.is_file())
    names = {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}
    assert names - set(wheel.namelist()) == set()


def test_wheel_holds_nothing_but_the_package(wheel):
    assert {name.split("/")[0] for name in wheel.namelist()} == {
        "dpodiff",
        f"dpodiff-{dpodiff.__version__}.dist-info",
    }


def test_package_of_the_wheel_works_away_from_the_project(wheel, tmp_path):
    wheel.extractall(tmp_path / "installed")
    settings = os.environ | {"PYTHONPATH": str(tmp_path / "installed"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", USE]
    done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(tmp_path)) for path in done.stdout.splitlines())
