"""The byte-pair tokenizer in CLIP's format, trained on the captions of this world."""

import json
from pathlib import Path

import numpy as np

from dpodiff.toy.captions import training_caption
from dpodiff.toy.scenes import random_scene

LENGTH = 32  # tokens of a prompt, including start and end
MERGES = 420  # so few that rare words consist of several tokens, as in Stable Diffusion
START, END = "<|startoftext|>", "<|endoftext|>"


def train_tokenizer(folder: Path, captions: int = 20_000, seed: int = 0) -> None:
    """Learn merges from captions; write vocab.json, merges.txt and tokenizer_config.json."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    rng = np.random.default_rng(seed)
    texts = [training_caption(random_scene(rng), rng) for _ in range(captions)]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=2 * len(alphabet) + MERGES,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"][:MERGES]
    # CLIP's order: letters, letters at the end of a word, merges, the two special tokens.
    words = [*alphabet, *(f"{a}</w>" for a in alphabet), *("".join(pair) for pair in merges)]
    vocabulary = {word: i for i, word in enumerate(dict.fromkeys([*words, START, END]))}
    _write(folder, vocabulary, merges)


def load_tokenizer(folder: Path):
    """Return the `CLIPTokenizer` of a folder that `train_tokenizer` wrote."""
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder)


def _write(folder: Path, vocabulary: dict[str, int], merges: list[list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "bos_token": START,
        "eos_token": END,
        "pad_token": END,
        "unk_token": END,
        "model_max_length": LENGTH,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
