"""Hashes of the weights of the toy world, by which a record says what it was made with."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from dpodiff.toy import FOLDERS, WEIGHTS

DIGITS = 12  # of a hash: enough to tell the weights of a few versions apart


@cache
def weights_digest(model: str = "toy") -> str:
    """A hash of the denoiser of a toy model, 12 hexadecimal digits.

    It stands for the whole model: the other parts change together with the denoiser.

    Args:
        model: "toy" or "toy-small".
    """
    return _digest(sorted((FOLDERS[model] / "unet").glob("*.safetensors")))


@cache
def scorers_digest() -> str:
    """A hash of what scores images, 12 hexadecimal digits: judge, matcher and both CLIPs."""
    files = [WEIGHTS / f"{name}.safetensors" for name in ("judge", "matcher")]
    return _digest([*files, *sorted(WEIGHTS.glob("clip*/**/*.safetensors"))])


def _digest(files: Iterable[Path]) -> str:
    """A hash of the bytes of the files that exist, in this order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()[:DIGITS]
