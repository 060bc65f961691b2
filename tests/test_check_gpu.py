"""The check of published weights, on a tiny checkpoint in their format."""

import pytest
import tiny_published
from published import LAYOUTS, PUBLISHED

from book import check_gpu
from dpodiff.toy.captions import known_words


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return written(tmp_path_factory.mktemp("models") / "sd", "sd-v1-4")


def written(folder, name):
    return tiny_published.write(folder, PUBLISHED[name], sorted(known_words()))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_part_passes_on_a_model_of_the_published_layout(
    layout, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("dpodiff.spaces.constraints.SENTENCE_T5", "toy")
    monkeypatch.setattr(check_gpu, "PROMPT", "a red ball")  # tiny models read few words
    folder = written(tmp_path / layout, layout)
    size = "32" if layout == "sana" else "16"
    settings = ["--loss", "white", "--budget", "6", "--steps", "2", "--size", size]
    failed = check_gpu.main(["--models", str(folder), *settings])
    said = capsys.readouterr().out
    rows = said.split("passed  seconds", 1)[1]
    assert not failed, said
    assert rows.count(" passed ") == len(check_gpu.PARTS) and "FAILED" not in rows


def test_a_part_that_fails_is_named_and_the_others_run(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(check_gpu, "PARTS", ("load", "save", "align"))
    table = check_gpu.check(check_gpu.Model(str(folder), "white", 6, 2, 16, tmp_path))
    assert table["passed"].tolist() == ["passed", "FAILED", "passed"]
    assert table.loc["save", "remark"].startswith("AttributeError")


def test_a_model_that_is_not_there_fails_and_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_gpu, "PARTS", ("load",))
    assert check_gpu.main(["--models", str(tmp_path / "nowhere")]) == 1
    assert "there is no model or folder" in capsys.readouterr().out
