"""The quickstart with other parameters: good ones work, bad ones are answered clearly.

One run of each kind goes through real papermill and a kernel of its own, the others through a shell
in this process. That every chapter runs on another model than the toy one is in `test_gpu_path`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill
import pytest
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook
from shells import Shell, cleared, opened, run_cell
from traitlets.config import Config

from dpodiff import check_parameters
from dpodiff.toy import WEIGHTS

QUICKSTART = Path(__file__).parents[1] / "notebooks" / "01_quickstart.ipynb"
NOTEBOOKS = sorted(QUICKSTART.parent.glob("*.ipynb"))
SMALL = {"budget": 2, "seeds": 1}

pytestmark = pytest.mark.skipif(
    not (WEIGHTS / "model_card.json").is_file(), reason="the toy weights are not trained"
)


def run(folder: Path, **parameters) -> nbformat.NotebookNode:
    return papermill.execute_notebook(
        QUICKSTART,
        folder / "out.ipynb",
        parameters,
        progress_bar=False,
        cwd=folder,  # a notebook may not depend on where it is run
        start_timeout=300,
        config=Config(KernelManager={"transport": "ipc"}),
    )


def printed(done: nbformat.NotebookNode) -> str:
    outputs = (output for cell in done.cells for output in cell.get("outputs", ()))
    return "".join(output.get("text", "") for output in outputs)


def run_cells(shell: Shell, notebook: nbformat.NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            run_cell(shell, cell.source)


@pytest.fixture(scope="module")
def one_shell(tmp_path_factory) -> Iterator[Shell]:
    with opened(tmp_path_factory.mktemp("ipython")) as shell:
        yield shell


@pytest.fixture
def shell(one_shell, tmp_path, monkeypatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)  # a notebook may not depend on where it is run
    with cleared(one_shell):
        yield one_shell


def test_a_prompt_of_ones_own(tmp_path):
    text = printed(run(tmp_path, prompt="a yellow boat on the sea", **SMALL))
    assert "prompt:           a yellow boat on the sea" in text
    assert "2 evaluations" in text


@pytest.mark.parametrize(
    ("parameters", "answer"),
    [
        ({"prompt": "a red elefant in the sky"}, "does not know 'elefant'"),
        ({"prompt": "  "}, "the prompt is empty"),
        ({"prompt": "a red ball " * 20}, "with start and end; the model takes at most 32"),
        ({"model": "tyo"}, "there is no model or folder 'tyo'"),
        ({"budget": 0}, "a budget needs at least 1 evaluation, not 0"),
    ],
    ids=["unknown word", "empty prompt", "long prompt", "unknown model", "no budget"],
)
def test_a_bad_parameter_is_answered_in_one_clear_line(shell, parameters, answer):
    chapter = parameterize_notebook(load_notebook_node(str(QUICKSTART)), SMALL | parameters)
    with pytest.raises(ValueError, match=re.escape(answer)):  # a PromptError is one, too
        run_cells(shell, chapter)


@pytest.mark.parametrize("missing", [False, True], ids=["installed", "missing"])
def test_the_package_is_installed_where_it_is_missing_only(shell, monkeypatch, missing):
    asked = []
    shell.register_magic_function(asked.append, magic_name="pip")
    if missing:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    run_cell(shell, nbformat.read(QUICKSTART, as_version=4).cells[1].source)
    assert asked == ['install --quiet "dpodiff[plots,panel]"'] * missing


def test_papermill_passes_the_answer_to_a_parameter_that_is_not_declared_on(tmp_path):
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        run(tmp_path, promt="a red ball")
    assert caught.value.ename == "ValueError"
    answer = "the notebook has no parameter 'promt'; did you mean 'prompt'? It has prompt, model"
    assert caught.value.evalue.startswith(answer)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_checks_its_parameters_right_after_it_declares_them(path):
    cells = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    tags = [cell.metadata.get("tags", []) for cell in cells]
    (declared,) = [place for place, tag in enumerate(tags) if "parameters" in tag]
    assert cells[declared + 1].source.removeprefix("default = ") == "dpodiff.check_parameters(In)"
    known = {name for name, _ in papermill.inspect_notebook(str(path)).items()}
    given = "# Parameters\n" + "\n".join(f"{name} = 1" for name in known)
    check_parameters(["", cells[declared].source, given])
    with pytest.raises(ValueError, match="has no parameter 'other'"):
        check_parameters(["", cells[declared].source, f"{given}\nother = 1"])
