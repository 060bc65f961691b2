"""The quickstart through real papermill: other parameters work, bad ones are answered clearly."""

from pathlib import Path

import nbformat
import papermill
import pytest
from traitlets.config import Config

from dpodiff.toy import WEIGHTS

QUICKSTART = Path(__file__).parents[1] / "notebooks" / "01_quickstart.ipynb"
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


def test_a_prompt_of_ones_own(tmp_path):
    done = run(tmp_path, prompt="a yellow boat on the sea", **SMALL)
    text = "".join(
        output.get("text", "") for cell in done.cells for output in cell.get("outputs", ())
    )
    assert "prompt:           a yellow boat on the sea" in text
    assert "2 evaluations" in text


@pytest.mark.parametrize(
    ("parameters", "answer"),
    [
        ({"prompt": "a red elefant in the sky"}, "does not know 'elefant'"),
        ({"prompt": "  "}, "the prompt is empty"),
        ({"prompt": "a red ball " * 20}, "its start and end counted; the model takes at most 32"),
        ({"model": "tyo"}, "there is no model or folder 'tyo'"),
        ({"budget": 0}, "a budget needs at least 1 evaluation, not 0"),
    ],
    ids=["unknown word", "empty prompt", "long prompt", "unknown model", "no budget"],
)
def test_a_bad_parameter_is_answered_in_one_clear_line(tmp_path, parameters, answer):
    with pytest.raises(papermill.PapermillExecutionError) as caught:
        run(tmp_path, **SMALL | parameters)
    assert caught.value.ename in ("ValueError", "PromptError")
    assert answer in caught.value.evalue
