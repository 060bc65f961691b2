"""Pipelines of diffusers: the supported families, and loaded pipelines.

A loaded pipeline keeps its LoRA adapters, its textual inversions, the weights of a single file, its
dtype and its device. This module inspects pipelines without importing diffusers.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

from dpodiff.names import LoadError

if TYPE_CHECKING:
    import diffusers
    from typing_extensions import TypeIs

    from dpodiff.models.latent import LatentDiffusion

# Pipeline class that a folder names -> module and class here.
FAMILIES = {
    "StableDiffusionPipeline": ("stable_diffusion", "StableDiffusion"),
    "StableDiffusionXLPipeline": ("sdxl", "StableDiffusionXL"),
    "StableDiffusion3Pipeline": ("flow", "StableDiffusion3"),
    "FluxPipeline": ("flow", "Flux"),
    "PixArtSigmaPipeline": ("pixart", "PixArtSigma"),
    "SanaPipeline": ("sana", "Sana"),
    "ZImagePipeline": ("z_image", "ZImage"),
}


def is_pipeline(value: Any) -> "TypeIs[diffusers.DiffusionPipeline]":
    """Return whether a value is a loaded pipeline of diffusers, of any class."""
    # A pipeline exists only if this module of diffusers is imported.
    module = sys.modules.get("diffusers.pipelines.pipeline_utils")
    return module is not None and isinstance(value, module.DiffusionPipeline)


def check_pipeline(pipeline: Any) -> None:
    """Refuse a loaded pipeline of a class that is not supported.

    Raises:
        LoadError: if it is not, naming the supported classes.
    """
    kind = type(pipeline).__name__
    if kind not in FAMILIES:
        raise LoadError(
            f"{_not_supported(f'the model is a {kind}')}. Some may be made of its parts, as by "
            "StableDiffusionPipeline.from_pipe(pipeline); a dpodiff.BlackBox takes any function "
            "that makes images"
        )


def family(pipeline_class: str | None, name: str) -> "type[LatentDiffusion]":
    """Return the class of this package for a pipeline class of diffusers.

    Args:
        pipeline_class: name of the pipeline class.
        name: name of the model, for the error.

    Raises:
        LoadError: if the class is not supported, naming those that are.
    """
    if pipeline_class not in FAMILIES:
        raise LoadError(_not_supported(f"{name} is a {pipeline_class}"))
    module, kind = FAMILIES[pipeline_class]
    return getattr(importlib.import_module(f"dpodiff.models.{module}"), kind)


def _not_supported(what: str) -> str:
    return f"{what}, which is not supported; these are: {', '.join(FAMILIES)}"
