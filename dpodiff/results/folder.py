"""The folder of one result: `result.json`, the trace, and the images of the search.

The images `before-SEED.png` and `found-SEED.png` have metadata that common tools read
(`dpodiff.results.metadata`). If noise was searched, `noise.safetensors` holds it. Each file is
written to a temporary name and renamed, `result.json` last.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL.PngImagePlugin import PngInfo

from dpodiff.results.html import pixels
from dpodiff.results.metadata import Rollout, chunks, web_text
from dpodiff.spaces.json_file import write_json
from dpodiff.spaces.prompts import Prompts
from dpodiff.weighted_text import WeightedText

if TYPE_CHECKING:
    import torch

RESULT, TRACE, NOISE = "result.json", "trace.jsonl", "noise.safetensors"
FORMAT = 1  # version of result.json


def check_folder(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds a result, unless its files may be replaced.

    Raises:
        ValueError: if so; the message names the folder.
    """
    if (folder / RESULT).exists() and not overwrite:
        raise ValueError(
            f"{folder} has {RESULT} of another search: give another folder, or overwrite=True"
        )


def write_folder(
    folder: Path,
    data: Mapping[str, Any],
    images: "Mapping[str, tuple[Prompts, torch.Tensor]]",
    seeds: Sequence[int],
    rollout: Rollout,
    noise: "torch.Tensor | None",
) -> None:
    """Write all files of a result except its trace.

    Args:
        folder: path of the folder, which is made if it is missing.
        data: content of `result.json`.
        images: name -> prompts, and their images (seeds, 3, height, width) in [0, 1].
        seeds: seeds of the images.
        rollout: settings of the model.
        noise: the found noise, if noise was searched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (prompts, batch) in images.items():
        for seed, image in zip(seeds, batch, strict=True):
            _write_image(folder / f"{name}-{seed}.png", image, prompts, seed, rollout)
    if noise is not None:
        _write_noise(folder / NOISE, noise)
    write_json(folder / RESULT, data)


def prompts_to_json(prompts: Prompts) -> dict[str, Any]:
    """Return texts in compel's notation, and weighted ones in that of the web UI too."""
    texts = {"prompt": str(prompts.positive), "negative_prompt": str(prompts.negative)}
    if isinstance(prompts.positive, WeightedText):
        texts["web_prompt"] = web_text(prompts.positive)
    return texts | {"guidance": prompts.guidance, "window": prompts.window}


def _write_image(
    path: Path, image: "torch.Tensor", prompts: Prompts, seed: int, rollout: Rollout
) -> None:
    drawn, texts = pixels(image), PngInfo()
    for key, text in chunks(prompts, seed, drawn.size, rollout).items():
        texts.add_text(key, text)
    part = path.with_name(f".{path.name}")
    drawn.save(part, format="png", pnginfo=texts)
    os.replace(part, path)


def _write_noise(path: Path, noise: "torch.Tensor") -> None:
    from safetensors.torch import save_file

    part = path.with_name(f".{path.name}")
    save_file({"noise": noise.contiguous().cpu()}, part)
    os.replace(part, path)
