"""Words that image models often see: single tokens of CLIP's tokenizer.

The tokenizer of CLIP, which Stable Diffusion and SDXL use, was trained on image captions, so rare
words consist of several tokens. Its vocabulary comes with open_clip in the order of frequency, and
is read without importing it.
"""

import functools
import gzip
import re
from importlib.util import find_spec
from pathlib import Path

VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
MERGES = 49152 - 256 - 2  # number of merges that CLIP uses
END = "</w>"  # end of a word


def is_familiar(word: str) -> bool:
    """Return whether each part of a word or phrase is one token of CLIP.

    Examples:
        >>> from dpodiff.spaces.lexicons.familiar import is_familiar
        >>> is_familiar("automobile"), is_familiar("charabanc")
        (True, False)
    """
    return all(part in _ranks() for part in re.split(r"[-_ ']", word))


def rank(word: str) -> int:
    """Return the rank of a word by frequency, the most frequent first."""
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
