"""The check of published weights, on a tiny checkpoint in their format."""

import pytest
import tiny

from book import check_gpu
from dpodiff.toy.captions import known_words

# Layout -> what writes a tiny checkpoint of it.
LAYOUTS = {
    "sd-v1-4": lambda folder: tiny.stable_diffusion_v1_4(folder, sorted(known_words())),
    "sdxl": tiny.sdxl,
    "sd3": tiny.sd3,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return LAYOUTS["sd-v1-4"](tmp_path_factory.mktemp("models") / "sd")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_part_passes_on_a_model_of_the_published_layout(
    layout, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("dpodiff.spaces.constraints.SENTENCE_T5", "toy")
    monkeypatch.setattr(check_gpu, "PROMPT", "a red ball")  # tiny models read few words
    folder = LAYOUTS[layout](tmp_path / layout)
    assert (
        check_gpu.main(
            ["--models", str(folder), "--loss", "white", "--budget", "6", "--steps", "2"]
        )
        == 0
    )
    rows = capsys.readouterr().out.split("passed  seconds", 1)[1]
    assert rows.count(" passed ") == len(check_gpu.PARTS) and "FAILED" not in rows


def test_a_part_that_fails_is_named_and_the_others_run(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(check_gpu, "PARTS", ("load", "save", "align"))
    table = check_gpu.check(check_gpu.Model(str(folder), "white", 6, 2, tmp_path))
    assert table["passed"].tolist() == ["passed", "FAILED", "passed"]
    assert table.loc["save", "remark"].startswith("AttributeError")


def test_a_model_that_is_not_there_fails_and_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_gpu, "PARTS", ("load",))
    assert check_gpu.main(["--models", str(tmp_path / "nowhere")]) == 1
    assert "there is no model or folder" in capsys.readouterr().out
