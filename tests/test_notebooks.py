"""The quickstart through real papermill: other parameters work, bad ones are answered clearly.

That every chapter runs on another model than the toy one is in `test_gpu_path`.
"""

from pathlib import Path

import nbformat
import papermill
import pytest
import tiny
from traitlets.config import Config

from dpodiff.toy import WEIGHTS
from dpodiff.toy.captions import known_words

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


def printed(done: nbformat.NotebookNode) -> str:
    outputs = (output for cell in done.cells for output in cell.get("outputs", ()))
    return "".join(output.get("text", "") for output in outputs)


def shown(done: nbformat.NotebookNode, figure: str) -> list:
    named = [
        c
        for c in done.cells
        if c.metadata.get("mystnb", {}).get("figure", {}).get("name") == figure
    ]
    return named[0].outputs


def test_a_prompt_of_ones_own(tmp_path):
    text = printed(run(tmp_path, prompt="a yellow boat on the sea", **SMALL))
    assert "prompt:           a yellow boat on the sea" in text
    assert "2 evaluations" in text


def test_a_model_of_ones_own(tmp_path, monkeypatch):
    folder = tiny.stable_diffusion_v1_4(tmp_path / "sd", sorted(known_words()))
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    # What IPython runs before a notebook: two CLIPs that need no download.
    (startup / "clips.py").write_text(
        f"import sys\nfrom pathlib import Path\nsys.path.append({str(Path(__file__).parent)!r})\n"
        f"import offline\noffline.have_clips(Path({str(tmp_path)!r}), dict.__setitem__)\n"
    )
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    done = run(tmp_path, model=str(folder), **SMALL)
    assert "2 evaluations" in printed(done)
    assert any("image/png" in output.get("data", ()) for output in shown(done, "quickstart-strip"))


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
