"""A checkpoint of exactly the layout of a published model, but tiny and random."""

from pathlib import Path
from typing import Any

import diffusers
import tiny
import transformers
from published import Part, Published

OLD_NAMES = {"Transformer2DModel": "PixArtTransformer2DModel"}
T5_WIDTH = ("joint_attention_dim", "caption_channels")  # of its denoiser, what T5's width must be


def write(folder: Path, published: Published, known: list[str], tokens: int = 77) -> Path:
    """Writes the layout at tiny width.

    Args:
        folder: that is made.
        published: the layout.
        known: words that are one token for CLIP.
        tokens: of a prompt for CLIP.
    """
    words = [
        _tokenizer(folder / _numbered("tokenizer", index), kind, known, tokens)
        for index, kind in enumerate(published.tokenizers)
    ]
    parts = {}
    for name, part in published.parts.items():
        if name.startswith("text_encoder"):
            index = int(name.removeprefix("text_encoder").removeprefix("_") or 1) - 1
            parts[name] = _encoder(part, words[index], published, index)
        elif name == "scheduler":
            parts[name] = getattr(diffusers, part.kind)(**part.settings)
        else:
            parts[name] = _network(part)
    tiny.save(folder, published.pipeline, parts, published.index, list(published.tokenizers))
    _with_old_names(folder, published)
    return folder


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index + 1}" if index else name


def _tokenizer(folder: Path, kind: str, known: list[str], tokens: int) -> Any:
    if kind == "CLIPTokenizer":
        return tiny.tokenizer(folder, known, tokens)
    if kind == "T5Tokenizer":
        return tiny.sentencepiece_tokenizer(folder)
    return {
        "T5TokenizerFast": tiny.t5_tokenizer,
        "GemmaTokenizerFast": tiny.gemma_tokenizer,
        "Qwen2Tokenizer": tiny.qwen_tokenizer,
    }[kind](folder)


def _encoder(part: Part, words: Any, published: Published, index: int) -> Any:
    if part.kind.startswith("CLIP"):
        kind = getattr(transformers, part.kind)
        return tiny.clip_text(words, kind, seed=4 * index, **part.settings)
    if part.kind == "T5EncoderModel":
        sizes = tiny.SIZES[_kind(published.parts["transformer"])]
        return tiny.t5_encoder(words, next(sizes[name] for name in T5_WIDTH if name in sizes))
    return {"Gemma2Model": tiny.gemma_encoder, "Qwen3Model": tiny.qwen_encoder}[part.kind](words)


def _network(part: Part) -> Any:
    more = tiny.SDXL_SIZES if part.settings.get("addition_embed_type") else {}
    if part.sizes.get("dual_attention_layers"):
        more = {"dual_attention_layers": (0,)}
    return tiny.network(_kind(part), **part.settings, **more)


def _kind(part: Part) -> str:
    return OLD_NAMES.get(part.kind, part.kind)


def _with_old_names(folder: Path, published: Published) -> None:
    """Name classes as the published files do, which are older than the classes' new names."""
    for name, part in published.parts.items():
        if part.kind in OLD_NAMES:
            for file in (folder / "model_index.json", folder / name / "config.json"):
                file.write_text(file.read_text().replace(OLD_NAMES[part.kind], part.kind))
