"""The written layouts of published models: right in size, and loaded at tiny width."""

import json
from pathlib import Path

import diffusers
import pytest
import tiny
import tiny_published
from accelerate import init_empty_weights
from published import FILES, LAYOUTS, PUBLISHED, TOKENIZER_FILES

from dpodiff.models import NAMES, load

DENOISERS = ("unet", "transformer")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder of a layout, written once."""
    folders = {}

    def folder(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name) / "model"
            tiny_published.write(folders[name], PUBLISHED[name], tiny.WORDS)
        return folders[name]

    return folder


def full_network(published, name):
    """A network at its published size, without memory for its weights."""
    part = published.parts[name]
    kind = tiny_published.OLD_NAMES.get(part.kind, part.kind)
    with init_empty_weights(include_buffers=True):
        return getattr(diffusers, kind)(**part.settings, **part.sizes)


def test_every_name_has_its_layout_written_down():
    assert set(PUBLISHED) == set(NAMES)


def test_names_on_the_hub_are_those_of_the_examples_in_diffusers():
    # The others stand in its documentation, which is not installed.
    documented = {"sd-v2-base", "sd-v2-1", "sd-turbo", "sdxl-turbo", "sd3.5-medium", "sd3.5-large"}
    sources = (Path(diffusers.__file__).parent / "pipelines").rglob("pipeline_*.py")
    examples = "".join(path.read_text() for path in sources)
    assert {name for name, hub in NAMES.items() if f'"{hub}"' not in examples} == documented


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # of size, of age
@pytest.mark.parametrize("name", LAYOUTS)
def test_at_full_size_the_model_has_the_published_weights_and_makes_the_published_image(
    name, written
):
    published = PUBLISHED[name]
    denoiser = next(part for part in DENOISERS if part in published.parts)
    networks = {part: full_network(published, part) for part in (denoiser, "vae")}
    tensors = [*networks[denoiser].parameters(), *networks[denoiser].buffers()]
    assert sum(x.numel() for x in tensors) / 1e9 == pytest.approx(published.parameters, rel=0.05)
    pipeline = getattr(diffusers, published.pipeline)
    unused = {"safety_checker": None, "feature_extractor": None}
    model = load(pipeline.from_pretrained(written(name), **networks, **unused))
    assert (model.image_size, model.steps) == (published.image_size, published.steps)
    assert tuple(model.latents([0]).shape[1:]) == published.latent


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_tiny_checkpoint_has_the_files_classes_and_settings_of_the_published_one(name, written):
    published, folder = PUBLISHED[name], written(name)
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == published.pipeline
    assert {key: index[key] for key in published.index} == json.loads(json.dumps(published.index))
    for part, layout in published.parts.items():
        assert index[part][1] == layout.kind
        assert {path.name for path in (folder / part).iterdir()} == FILES[part.rstrip("_23")]
        config = "scheduler_config.json" if part == "scheduler" else "config.json"
        found = json.loads((folder / part / config).read_text())
        assert {key: found.get(key) for key in layout.settings} == json.loads(
            json.dumps(layout.settings)
        )
    for number, kind in enumerate(published.tokenizers, 1):
        part = "tokenizer" if number == 1 else f"tokenizer_{number}"
        assert index[part][1] == kind
        assert TOKENIZER_FILES[kind] <= {path.name for path in (folder / part).iterdir()}
