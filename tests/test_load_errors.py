"""Whatever cannot be loaded is a `LoadError`, and so an `OSError` and a `ValueError`."""

import shutil
import subprocess
import sys

import pytest
import tiny

from dpodiff import LLM, LoadError, Promptist, SphericalCLIP, load, load_encoder, losses
from dpodiff.spaces.lexicons.llm import ServerError


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return tiny.stable_diffusion(tmp_path_factory.mktemp("whole") / "model")


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: load("tyo"),
        lambda: load("no/such"),
        lambda: losses.load("beauty"),
        lambda: losses.load("hpsv2.1:weights.pt"),
        lambda: losses.load("pickscore:no-such-folder"),
        lambda: SphericalCLIP("ViT-B-23", "openai"),
        lambda: SphericalCLIP("local-dir:no-such-folder"),
        lambda: Promptist("no-such-folder"),
    ],
)
def test_what_cannot_be_loaded_is_one_error(attempt):
    with pytest.raises(LoadError) as error:
        attempt()
    assert isinstance(error.value, OSError)
    assert isinstance(error.value, ValueError)
    assert len(str(error.value)) > 20


def test_an_encoder_that_cannot_be_loaded_is_one_too(tmp_path):
    pytest.importorskip("sentence_transformers", reason="needs dpodiff[similarity]")
    with pytest.raises(LoadError, match="minilm"):
        load_encoder(str(tmp_path / "none"), "cpu")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("vae/config.json", None),
        ("unet/diffusion_pytorch_model.safetensors", None),
        ("unet/diffusion_pytorch_model.safetensors", b"not one"),
        ("model_index.json", b"{"),
        ("model_index.json", b"[]"),
    ],
    ids=["missing part", "missing weights", "broken weights", "broken index", "other index"],
)
def test_a_folder_with_a_broken_part_is_named(whole, tmp_path, file, content):
    folder = tmp_path / "model"
    shutil.copytree(whole, folder)
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    with pytest.raises(LoadError, match=str(folder)):
        load(str(folder), device="cpu")


def test_a_language_model_that_cannot_be_asked_is_one_too(monkeypatch, tmp_path):
    pytest.importorskip("openai", reason="needs dpodiff[llm]")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(LoadError, match="OPENAI_API_KEY") as error:
        LLM("gpt-4o", cache=tmp_path).lexicon("a red ball")
    assert isinstance(error.value, ServerError)


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [("matplotlib", "plots", "plots"), ("ipywidgets", "panel", "panel")],
)
def test_a_missing_package_is_named_with_its_extra(module, name, extra):
    code = (
        f"import sys; sys.modules['{module}'] = None\n"
        "import dpodiff\n"
        f"try:\n    dpodiff.{name}\nexcept ImportError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert f"need {module}" in run.stdout.replace("needs", "need")
    assert f"pip install 'dpodiff[{extra}]'" in run.stdout
