"""The command line: what it prints, what it writes, and how it ends."""

import inspect
import json
import subprocess
import sys

import pytest
from helpers import FakeModel
from typer.testing import CliRunner

import dpodiff
from dpodiff.cli.app import app

PROMPT = "a red ball on the sea"
SMALL = ["--loss", "white", "--lexicon", "toy", "--budget", "3", "--seeds", "1", "--verify", "0"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder, and a model of flat images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dpodiff.models.load", lambda name: FakeModel())
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, [*arguments])


def improve(*arguments):
    return run("improve", PROMPT, *SMALL, *arguments)


def test_a_search_prints_its_verdict_and_writes_a_folder(elsewhere):
    done = improve()
    folder = elsewhere / "runs" / "a-red-ball-on-the-sea"
    assert done.exit_code == 0
    assert done.stdout.startswith("not verified: verification was turned off")
    assert done.stdout.endswith("files:            runs/a-red-ball-on-the-sea\n")
    files = {path.name for path in folder.iterdir()}
    assert files == {"before-0.png", "found-0.png", "result.json", "strip.png", "trace.jsonl"}
    result = json.loads((folder / "result.json").read_text())
    assert result["prompt"].startswith(PROMPT)
    assert result["images"] == 3


def test_json_is_all_that_stands_on_stdout(elsewhere):
    done = improve("--json", "--out", "here")
    assert json.loads(done.stdout) == json.loads((elsewhere / "here" / "result.json").read_text())


def test_files_are_replaced_only_on_request(elsewhere):
    improve("--out", "here")
    before = (elsewhere / "here" / "result.json").read_text()
    refused = improve("--out", "here", "--budget", "2")
    assert refused.exit_code == 2
    assert "budget.evaluations is 3 there and 2 here" in refused.stderr
    assert (elsewhere / "here" / "result.json").read_text() == before
    assert improve("--out", "here", "--budget", "2", "--overwrite").exit_code == 0
    assert (elsewhere / "here" / "result.json").read_text() != before
    (elsewhere / "here" / "trace.jsonl").unlink()
    assert "here has result.json of an earlier search" in improve("--out", "here").stderr


def test_an_interrupted_search_goes_on(elsewhere):
    whole = improve("--out", "here", "--json")
    trace = elsewhere / "here" / "trace.jsonl"
    trace.write_text("".join(trace.read_text().splitlines(keepends=True)[:3]))
    (elsewhere / "here" / "result.json").unlink()
    again = improve("--out", "here", "--json")
    assert "1 candidates (1.0 evaluations) are read back from here/trace.jsonl" in again.stderr
    told = [json.loads(done.stdout) | {"seconds": 0} for done in (whole, again)]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "0"], "budget"),
        (["--solver", "eop"], "'epo'"),
        (["--space", "nplib+nowhere"], "nowhere"),
        (["--loss", "no-such-loss"], "no-such-loss"),
    ],
)
def test_wrong_arguments_are_one_line_and_leave_no_folder(elsewhere, arguments, message):
    done = improve(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("dpodiff: ") and message in done.stderr
    assert not list(elsewhere.glob("runs/*"))


def test_a_search_that_fails_says_so_by_its_exit_code(elsewhere, monkeypatch):
    class Failing(FakeModel):
        def generate(self, prompts, negative_prompts, seeds):
            if any(negative_prompts):
                raise RuntimeError("the lamp is broken")
            return super().generate(prompts, negative_prompts, seeds)

    monkeypatch.setattr("dpodiff.models.load", lambda name: Failing())
    done = improve("--space", "nplib")
    assert done.exit_code == 1
    assert "RuntimeError: the lamp is broken" in done.stdout


def test_an_attack_is_a_command_too():
    done = run("attack", "a blue car", *SMALL, "--similarity", "2")
    assert done.exit_code == 2 and "cosine" in done.stderr


@pytest.mark.parametrize("name", ["improve", "attack"])
def test_defaults_are_those_of_the_function(name):
    command = next(c.callback for c in app.registered_commands if c.callback.__name__ == name)
    own = inspect.signature(command).parameters
    given = inspect.signature(getattr(dpodiff, name)).parameters
    shared = (own.keys() & given.keys()) - {"prompt"}
    assert len(shared) > 8
    assert {k: own[k].default for k in shared} == {k: given[k].default for k in shared}


def test_help_imports_nothing_heavy():
    code = "import sys; from dpodiff.cli.app import app; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert run("--help").exit_code == run("improve", "--help").exit_code == 0


def test_the_version_is_that_of_the_package():
    assert run("--version").stdout == f"{dpodiff.__version__}\n"
