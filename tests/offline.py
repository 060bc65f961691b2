"""What chapters on Stable Diffusion download, as tiny random weights that are there already.

`replace` is pytest's `monkeypatch.setitem`, or `dict.__setitem__` where nothing is to be undone.
"""

from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from open_clip import factory, pretrained
from safetensors.torch import save_file

# Architecture -> weights: DPO-Diff's loss, and the second opinion of the quickstart.
CLIPS = {"ViT-B-32-quickgelu": "openai", "ViT-B-16": "laion2b_s34b_b88k"}


def have_clips(folder: Path, replace: Callable[[dict, str, object], None]) -> None:
    """Makes open_clip find the weights of `CLIPS` in the folder, and their networks small."""
    for seed, (name, tag) in enumerate(CLIPS.items()):
        config = open_clip.get_model_config(name) | {"embed_dim": 16}
        small = {"width": 32, "layers": 1}
        config["vision_cfg"] |= small | {"image_size": 16, "patch_size": 8, "head_width": 16}
        config["text_cfg"] |= small | {"heads": 2}
        replace(factory._MODEL_CONFIGS, name, config)
        file = folder / f"{name}.safetensors"
        if not file.exists():
            torch.manual_seed(seed)
            save_file(open_clip.CLIP(**config).half().state_dict(), file)
        known = pretrained._PRETRAINED[name]
        replace(known, tag, known[tag] | {"file": str(file)})
