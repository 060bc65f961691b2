"""Hashes of the toy world's weights, which records store with their results."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from dpodiff.toy import FOLDERS, WEIGHTS

DIGITS = 12  # digits of a hash, enough to distinguish a few versions of the weights


@cache
def weights_digest(model: str = "toy") -> str:
    """Return a hash of the denoiser of a toy model, 12 hexadecimal digits.

    It identifies the whole model: the other parts change together with the denoiser.

    Args:
        model: "toy" or "toy-small".
    """
    return _digest(sorted((FOLDERS[model] / "unet").glob("*.safetensors")))


@cache
def scorers_digest() -> str:
    """Return a hash, 12 hexadecimal digits, of the scorers: judge, matcher and both CLIPs."""
    files = [WEIGHTS / f"{name}.safetensors" for name in ("judge", "matcher")]
    return _digest([*files, *sorted(WEIGHTS.glob("clip*/**/*.safetensors"))])


def _digest(files: Iterable[Path]) -> str:
    """Return a hash of the bytes of the files that exist, in this order."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.exists() else b"")
    return digest.hexdigest()[:DIGITS]
