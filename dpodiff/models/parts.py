"""The parts of a stock model, from a folder or from a loaded pipeline.

The stock pipelines include a safety checker, and their calls allow no gradients, so models are
built from parts. The parts of a folder are placed on a device. Those of a pipeline stay on their
device and are shared with it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, AutoencoderKL, DDIMScheduler, DiffusionPipeline
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dpodiff.models.hub import asking
from dpodiff.models.offloading import offload
from dpodiff.models.progress import hidden_bars
from dpodiff.names import LoadError

DENOISERS = ("unet", "transformer")  # names of the part that is never offloaded


@dataclass
class Parts:
    """The parts of a model.

    Attributes:
        by_name: tokenizers and networks, by their names in pipelines.
        index: content of the folder's model_index.json, or the pipeline's `config`.
        schedule: configuration of the scheduler, with the name of its class.
        name: name of the model.
        device: device of the computation.
    """

    by_name: dict[str, Any]
    index: Mapping[str, Any]
    schedule: Mapping[str, Any]
    name: str
    device: torch.device

    def offload(self) -> None:
        """Keep all networks except the denoiser in the memory of the CPU."""
        for name, part in self.by_name.items():
            if isinstance(part, nn.Module) and name not in DENOISERS:
                offload(part, self.device)


def parts_of_folder(
    kinds: Mapping[str, type],
    folder: str | Path,
    *,
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    offloaded: bool,
) -> Parts:
    """Load the parts of a stock folder or hub repository with safetensors weights.

    Args:
        kinds: classes of the parts; parts that the folder does not have are left out.
        folder: path of the folder, or its hub id.
        name: name of the model.
        device: device of the computation.
        dtype: dtype of the denoiser and the text encoders.
        offloaded: whether all networks except the denoiser stay in the memory of the CPU.

    Raises:
        LoadError: if a part is broken, or not stored as safetensors.
    """
    with hidden_bars(Path(folder).is_dir()), _one_error(folder), asking(str(folder), name=name):
        index = _read_config(DiffusionPipeline, folder)
        here = {k: kind for k, kind in kinds.items() if index.get(k) != [None, None]}
        by_name = {k: _load(kind, folder, k, dtype) for k, kind in here.items()}
        schedule = _read_config(DDIMScheduler, folder, subfolder="scheduler")
    for k, part in by_name.items():
        if isinstance(part, nn.Module):
            stays = offloaded and k not in DENOISERS
            place(part, torch.device("cpu") if stays else device)
    return Parts(by_name, index, schedule, name, device)


def parts_of_pipeline(kinds: Mapping[str, type], pipeline: DiffusionPipeline) -> Parts:
    """Return the parts of a loaded pipeline; a decoder in float16 is copied to float32.

    Args:
        kinds: classes by the names of the parts; parts that the pipeline lacks are left out.
        pipeline: pipeline of a class with such parts.

    Raises:
        LoadError: if the decoder is in float16 and cannot be read.
    """
    given: Any = pipeline  # its attributes depend on its class
    by_name = {k: part for k in kinds if (part := given.components.get(k)) is not None}
    name, device = str(given.name_or_path or type(pipeline).__name__), given._execution_device
    if "vae" in by_name and by_name["vae"].dtype == torch.float16:
        by_name["vae"] = _in_float32(by_name["vae"], device)
    schedule = {**given.scheduler.config, "_class_name": type(given.scheduler).__name__}
    return Parts(by_name, given.config, schedule, name, device)


def place(network: nn.Module, device: torch.device) -> None:
    """Move a network with convolutions in channels last, which saves the toy U-Net 12% on a CPU."""
    network.to(device)
    network.to(memory_format=torch.channels_last)


def _in_float32(vae: Any, device: torch.device) -> nn.Module:
    """Return a copy in float32, without hooks of the original."""
    if any(p.is_meta for p in vae.parameters()):
        raise LoadError(
            "the pipeline's decoder is in float16, which is too narrow for it, and offloaded: "
            "call pipeline.vae.to(torch.float32) before it is offloaded"
        )
    copied = type(vae).from_config(vae.config)
    copied.load_state_dict(vae.state_dict())
    return copied.to(device)


@contextmanager
def _one_error(folder: str | Path) -> Iterator[None]:
    """Turn errors of diffusers and transformers about missing or broken parts into `LoadError`."""
    try:
        yield
    except LoadError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise LoadError(f"the model {folder} cannot be loaded: {reason}") from error


def _read_config(kind: Any, folder: str | Path, **where: str) -> dict[str, Any]:
    return kind.load_config(folder, **where)


def _load(kind: type, folder: str | Path, subfolder: str, dtype: torch.dtype) -> Any:
    if issubclass(kind, PreTrainedTokenizerBase):
        return kind.from_pretrained(folder, subfolder=subfolder)
    if issubclass(kind, PreTrainedModel):
        return kind.from_pretrained(folder, subfolder=subfolder, use_safetensors=True, dtype=dtype)
    if issubclass(kind, AutoencoderKL | AutoencoderDC):
        # In float16 decoders and their gradients overflow on some latents, SDXL's on most.
        dtype = torch.float32
    part: Any = kind  # a class of diffusers
    return part.from_pretrained(
        folder, subfolder=subfolder, use_safetensors=True, torch_dtype=dtype
    )
