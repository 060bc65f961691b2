"""Words that an image model has often seen: those that CLIP's tokenizer keeps in one piece.

The tokenizer of CLIP, which Stable Diffusion and SDXL share, was fitted to image captions. Rare
words fall into pieces there. Its vocabulary comes with open_clip, in the order of frequency, and is
read without an import of it.
"""

import functools
import gzip
import re
from importlib.util import find_spec
from pathlib import Path

VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
MERGES = 49152 - 256 - 2  # those that CLIP uses
END = "</w>"  # of a word


def is_familiar(word: str) -> bool:
    """Whether each part of a word or phrase is one token of CLIP.

    Examples:
        >>> from dpodiff.spaces.lexicons.familiar import is_familiar
        >>> is_familiar("automobile"), is_familiar("charabanc")
        (True, False)
    """
    return all(part in _ranks() for part in re.split(r"[-_ ']", word))


def rank(word: str) -> int:
    """The place of a word in the order of frequency, the most frequent first."""
    return max(_ranks().get(part, MERGES) for part in re.split(r"[-_ ']", word))


@functools.cache
def _ranks() -> dict[str, int]:
    package = find_spec("open_clip")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "open_clip, whose vocabulary tells common words, is not installed"
        )
    lines = gzip.decompress(Path(package.origin).with_name(VOCABULARY).read_bytes()).decode()
    merged = ["".join(line.split()) for line in lines.splitlines()[1 : MERGES + 1]]
    return {word.removesuffix(END): n for n, word in enumerate(merged) if word.endswith(END)}
