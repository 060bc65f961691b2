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
from dpodiff.models import load

PROMPT = "a red ball on the sea"
SMALL = ["--loss", "white", "--lexicon", "toy", "--budget", "3", "--seeds", "1", "--verify", "0"]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder, and a model of flat images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dpodiff.models.load", lambda *given: FakeModel())
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
    assert result["cost"]["images"] == 3


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
    told = [json.loads(done.stdout) | {"cost": 0, "stamp": 0} for done in (whole, again)]
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

    monkeypatch.setattr("dpodiff.models.load", lambda *given: Failing())
    done = improve("--space", "nplib")
    assert done.exit_code == 1
    assert "RuntimeError: the lamp is broken" in done.stdout


def test_words_come_from_files_and_key_words_from_the_prompt(elsewhere):
    (elsewhere / "mine.txt").write_text("grainy\ntilted\n")
    found = improve("--space", "nplib", "--nplib", "mine.txt")
    lines = (elsewhere / "runs/a-red-ball-on-the-sea/trace.jsonl").read_text()
    assert found.exit_code == 0 and ("grainy" in lines or "tilted" in lines)
    refused = improve("--space", "synonym", "--keywords", "red,boat", "--out", "b")
    assert refused.exit_code == 2 and "'boat'" in refused.stderr
    chosen = improve("--space", "synonym", "--keywords", "auto", "--out", "c")
    assert chosen.exit_code == 0


def test_an_attack_is_a_command_too():
    done = run("attack", "a blue car", *SMALL, "--similarity", "2")
    assert done.exit_code == 2 and "cosine" in done.stderr


def test_noise_is_searched_by_a_command_with_settings_of_the_method(elsewhere, monkeypatch):
    monkeypatch.setattr("dpodiff.models.load", load)
    small = ["--loss", "white", "--budget", "3", "--seeds", "1", "--json", "--out", "noise"]
    done = run("align", "a red ball", *small, "--method", "zero-order", "--setting", "radius=0.5")
    assert done.exit_code == 0, done.stderr
    stamp = json.loads((elsewhere / "noise" / "trace.jsonl").read_text().splitlines()[0])["stamp"]
    assert stamp["parameters"]["solver"]["radius"] == 0.5
    assert json.loads(done.stdout)["prompt"] == "a red ball"


@pytest.mark.parametrize(
    ("setting", "message"), [("gamma", "NAME=NUMBER"), ("gama=1", "did you mean 'gamma'?")]
)
def test_a_wrong_setting_of_the_method_is_named(setting, message):
    done = run("align", "a red ball", "--setting", setting)
    assert done.exit_code == 2 and message in done.stderr


def test_spaces_of_a_file_are_printed_and_written(elsewhere):
    (elsewhere / "prompts.txt").write_text("a red ball\na blue car\na green tree\n")
    options = ["--prompts", "prompts.txt", "--ids", "0,2", "--lexicon", "toy"]
    done = run("spaces", *options, "--out", "spaces.json")
    assert done.exit_code == 0, done.stderr
    assert "'a red ball': " in done.stdout and "a blue car" not in done.stdout
    assert list(dpodiff.read_spaces("spaces.json")) == ["a red ball", "a green tree"]
    again = run("spaces", *options, "--out", "spaces.json")
    assert again.exit_code == 2 and "exists already" in again.stderr
    (found,) = json.loads(run("spaces", "a red ball", "--lexicon", "toy", "--json").stdout)
    assert found["prompt"] == "a red ball"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a prompt"),
        (["a red ball", "--space", "nplib"], "space"),
        (["a red ball", "--lexicon", "thesaurus"], "wordnet"),
    ],
)
def test_wrong_arguments_of_spaces_are_named(arguments, message):
    done = run("spaces", *arguments)
    assert done.exit_code == 2 and message in done.stderr


def test_info_names_versions_extras_and_what_options_take():
    found = json.loads(run("info", "--json").stdout)
    assert found["versions"]["dpodiff"] == dpodiff.__version__
    assert found["extras"]["plots"] == []
    assert {"toy", "toy-small"} <= set(found["models"])
    assert "epo" in found["solvers"] and "dno" in found["methods"]
    assert "extra:     plots, installed" in run("info").stdout


def test_a_missing_extra_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr("dpodiff.cli.info._installed", lambda package: package != "optuna")
    assert "optuna, missing optuna: pip install 'dpodiff[optuna]'" in run("info").stdout


@pytest.mark.parametrize("name", ["improve", "attack", "align"])
def test_defaults_are_those_of_the_function(name):
    command = next(c.callback for c in app.registered_commands if c.callback.__name__ == name)
    own = inspect.signature(command).parameters
    given = inspect.signature(getattr(dpodiff, name)).parameters
    shared = (own.keys() & given.keys()) - {"prompt", "keywords"}
    assert len(shared) > 8
    assert {k: own[k].default for k in shared} == {k: given[k].default for k in shared}


def test_help_imports_nothing_heavy():
    code = "import sys; from dpodiff.cli.app import app; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert run("--help").exit_code == run("improve", "--help").exit_code == 0


def test_the_version_is_that_of_the_package():
    assert run("--version").stdout == f"{dpodiff.__version__}\n"


@pytest.fixture
def prompts(elsewhere):
    """A file of three prompts."""
    (elsewhere / "three.txt").write_text("a red ball\na blue car\na green cup\n")
    return "three.txt"


def test_a_sweep_prints_its_table_and_goes_on(prompts, elsewhere):
    many = [prompts, *SMALL, "--quiet", "--solver", "epo", "--solver", "random", "--ids", "0,2"]
    done = run("sweep", *many)
    assert done.exit_code == 0
    assert "random: 2 jobs; 0 of 0 verified results accepted; mean change" in done.stdout
    assert done.stdout.endswith("files: runs/three\n")
    written = {path: path.read_bytes() for path in (elsewhere / "runs" / "three").glob("jobs-*")}
    assert run("sweep", *many).stdout == done.stdout
    assert written == {
        path: path.read_bytes() for path in (elsewhere / "runs/three").glob("jobs-*")
    }
    rows = json.loads(run("report", "runs/three", "--json").stdout)["jobs"]
    assert [(row["prompt"], row["solver"]) for row in rows] == [
        (prompt, solver) for prompt in ("a red ball", "a green cup") for solver in ("epo", "random")
    ]


@pytest.mark.parametrize("command", ["improve", "attack"])
def test_a_search_takes_a_file_of_prompts(prompts, command, elsewhere, monkeypatch):
    monkeypatch.setattr("dpodiff.spaces.constraints.SENTENCE_T5", "toy")
    done = run(command, "--prompts", prompts, "--ids", "1-2", *SMALL, "--quiet", "--json")
    assert done.exit_code == 0
    assert [row["prompt_id"] for row in json.loads(done.stdout)["jobs"]] == [1, 2]
    (log,) = (elsewhere / "runs" / "three").glob("jobs-*.jsonl")
    stamp = json.loads(log.read_text().splitlines()[0])["stamp"]
    assert (stamp["parameters"]["task"], stamp["parameters"]["budget"]) == (command, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["improve"], "give a prompt, or a file"),
        (["improve", PROMPT, "--prompts", "three.txt"], "not both"),
        (["attack", PROMPT, "--ids", "0"], "--ids chooses from the file"),
        (["sweep", "three.txt", "--ids", "3"], "there is no prompt 3; they are 0, 1, 2"),
        (["sweep", "three.txt", "--solver", "eop"], "did you mean 'epo'"),
        (["sweep", "none.txt"], "there is no file none.txt"),
        (["report", "nowhere"], "nowhere has neither a sweep"),
    ],
)
def test_wrong_arguments_for_many_prompts_leave_no_folder(prompts, elsewhere, arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not (elsewhere / "runs").exists()


def test_a_report_of_one_search_is_its_result(elsewhere):
    printed = improve("--out", "here").stdout
    assert run("report", "here").stdout.splitlines()[0] == printed.splitlines()[0]
    written = json.loads((elsewhere / "here" / "result.json").read_text())
    assert json.loads(run("report", "here", "--json").stdout) == written
    (elsewhere / "here" / "result.json").unlink()
    unfinished = run("report", "here")
    assert unfinished.exit_code == 2 and "Trace(3 records" in unfinished.stderr


def test_a_sweep_with_a_failed_job_says_so_by_its_exit_code(prompts, monkeypatch):
    class Failing(FakeModel):
        def generate(self, prompts, negative_prompts, seeds):
            raise RuntimeError("the lamp is broken")

    monkeypatch.setattr("dpodiff.models.load", lambda *given: Failing())
    done = run("sweep", prompts, *SMALL, "--quiet", "--ids", "1")
    assert done.exit_code == 1
    assert "failed: prompt 1, epo, seed 0: RuntimeError: the lamp is broken" in done.stdout
