"""The workflows call what is there, on the versions of Python that the project names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
VERSION = "Programming Language :: Python :: "
PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")

each_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every step of every job."""
    for job in workflow["jobs"].values():
        yield from job["steps"]


def commands(workflow: dict[str, Any]) -> str:
    """The shell commands of all steps, a line each."""
    return "\n".join(step.get("run", "") for step in steps(workflow))


def classified() -> list[str]:
    """The versions of Python in the classifiers of pyproject.toml, in their order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = (line.removeprefix(VERSION) for line in project["classifiers"] if VERSION in line)
    return [name for name in named if re.fullmatch(r"3\.\d+", name)]


def test_linux_runs_the_versions_of_the_classifiers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = WORKFLOWS["tests"]["jobs"]["linux"]["strategy"]["matrix"]["python"]
    assert versions == classified()
    assert project["requires-python"] == f">={versions[0]}"


@each_workflow
def test_other_jobs_run_one_of_these_versions(name):
    given = [step.get("with", {}).get("python-version") for step in steps(WORKFLOWS[name])]
    fixed = {version for version in given if version and "matrix" not in version}
    assert fixed <= set(classified())


def test_targets_and_files_that_are_called_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    called = "\n".join([*map(commands, WORKFLOWS.values()), (ROOT / ".ci" / "run").read_text()])
    made = re.findall(r"\bmake ([a-z-]+)", called)
    files = re.findall(r"\b(?:tests|book)/\w+\.py|\.ci/run", called)
    assert {"test", "lint", "book", "check-wheel"} <= set(made) <= set(targets)
    assert files
    assert all((ROOT / file).is_file() for file in files)


@each_workflow
def test_every_action_is_pinned_to_a_commit_and_named_with_its_version(name):
    lines = (ROOT / ".github" / "workflows" / f"{name}.yml").read_text().splitlines()
    used = [line for line in lines if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.search(line)] == []


@each_workflow
def test_a_job_may_only_read_unless_it_deploys(name):
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {"contents": "read"}
    more = {
        key: job["permissions"] for key, job in workflow["jobs"].items() if "permissions" in job
    }
    deploys = {"deploy": {"pages": "write", "id-token": "write"}}
    assert more == (deploys if name == "publish" else {})


@each_workflow
def test_every_workflow_has_limits_of_time_and_of_runs_at_once(name):
    assert WORKFLOWS[name]["concurrency"]["group"]
    assert all(job["timeout-minutes"] <= 95 for job in WORKFLOWS[name]["jobs"].values())
