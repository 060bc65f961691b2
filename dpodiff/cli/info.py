"""Installed packages, the device, and the names that options take."""

import os
import re
from importlib import metadata
from typing import Any

from dpodiff import names

NOT_FOR_USERS = ("book", "test", "dev")  # extras for developers


def collect() -> dict[str, Any]:
    """Return versions, device, extras and known names, ready for JSON."""
    from dpodiff.api.advice import METHODS
    from dpodiff.api.parts import LEXICONS
    from dpodiff.api.spaces import SPACES
    from dpodiff.losses.loading import CALIBRATED, DECOMPOSED, MATCHERS, PIXELS, REWARDS
    from dpodiff.models import NAMES
    from dpodiff.results.stamp import Stamp
    from dpodiff.solvers.recipes import RECIPES

    stamp = Stamp.collect({}, _device())
    losses = {"toy", "toy-heldout", "clip:ViT-B-32/openai", DECOMPOSED}
    return {
        "versions": stamp.versions,
        "commit": stamp.commit,
        "device": stamp.device,
        "threads": os.environ.get("OMP_NUM_THREADS", "all cores"),
        "extras": extras(),
        "models": [*names.TOYS, *NAMES],
        "losses": sorted(losses.union(CALIBRATED, MATCHERS, PIXELS, REWARDS)),
        "spaces": list(SPACES),
        "lexicons": list(LEXICONS),
        "solvers": sorted(RECIPES),
        "methods": list(METHODS),
    }


def _device() -> str:
    """Return the default device of models."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def extras() -> dict[str, list[str]]:
    """Return the missing packages of each extra."""
    found: dict[str, list[str]] = {}
    for line in metadata.requires("dpodiff") or []:
        package, _, marker = line.partition(";")
        extra = re.search(r"""extra == ['"]([\w-]+)['"]""", marker)
        if extra is None or extra[1] in NOT_FOR_USERS:
            continue
        missing = found.setdefault(extra[1], [])
        name = re.split(r"[\[<>=~! ]", package.strip())[0]
        if name != "dpodiff" and not _installed(name):
            missing.append(name)
    return found


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def as_text(found: dict[str, Any]) -> str:
    """Return the information as text, one fact per line."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines = [
        f"versions:  {versions}",
        f"commit:    {found['commit']}",
        f"device:    {found['device']}, {found['threads']} for computing",
    ]
    for extra, missing in found["extras"].items():
        state = f"missing {', '.join(missing)}: pip install 'dpodiff[{extra}]'"
        lines.append(f"extra:     {extra}, {state if missing else 'installed'}")
    for name in ("models", "losses", "spaces", "lexicons", "solvers", "methods"):
        lines.append(f"{name + ':':<11}{', '.join(found[name])}")
    return "\n".join(lines)
