"""Text-to-image models behind one interface, one file a family.

`load` finds the family of a model by the pipeline class its folder names, and imports that family
alone.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dpodiff.models.base import Model, PromptError

if TYPE_CHECKING:
    import torch

__all__ = ["Model", "PromptError", "load"]

CHOICES = (
    "'toy', the folder of a Stable Diffusion pipeline as diffusers saves it (it holds a "
    "model_index.json), or the hub id of one, such as 'stable-diffusion-v1-5/stable-diffusion-v1-5'"
)


def load(
    name: str = "toy",
    device: "str | torch.device | None" = None,
    dtype: "torch.dtype | None" = None,
) -> Model:
    """Loads a text-to-image model.

    Args:
        name: "toy", a folder in the diffusers format, or a hub id, which may be downloaded.
        device: None is a GPU if there is one, else the CPU.
        dtype: of the denoiser and the text encoder; None is float16 on a GPU, float32 on a CPU.

    Raises:
        ValueError: if there is no such model, or it is of a family not supported.
        FileNotFoundError: if the weights of the toy model have not been trained.
    """
    if name == "toy":
        from dpodiff.models.toy import FOLDER, Toy

        if not (FOLDER / "model_index.json").is_file():
            raise FileNotFoundError(
                f"no toy model in {FOLDER}; train it with `python -m dpodiff.toy.train`"
            )
        return Toy.from_pretrained(FOLDER, name=name, device=device, dtype=dtype)
    match pipeline := _pipeline_class(name):
        case "StableDiffusionPipeline":
            from dpodiff.models.stable_diffusion import StableDiffusion

            return StableDiffusion.from_pretrained(name, device=device, dtype=dtype)
        case _:
            raise ValueError(
                f"{name} is a {pipeline}, which is not supported; a StableDiffusionPipeline is"
            )


def _pipeline_class(name: str) -> str | None:
    """The diffusers class that a folder or a hub repository says it is loaded with."""
    index = Path(name) / "model_index.json"
    if Path(name).is_dir():
        if not index.is_file():
            raise ValueError(f"the folder {name} holds no model_index.json; give {CHOICES}")
    elif re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name):
        index = _fetch_index(name)
    else:
        raise ValueError(f"there is no model or folder {name!r}; give {CHOICES}")
    return json.loads(index.read_text()).get("_class_name")


def _fetch_index(name: str) -> Path:
    """The local copy of a hub repository's model_index.json."""
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(huggingface_hub.hf_hub_download(name, "model_index.json"))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise ValueError(
            f"{name!r} is no folder here, and the hub did not give its model_index.json "
            f"({type(error).__name__}); give {CHOICES}"
        ) from error
