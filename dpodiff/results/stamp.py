"""The origin of numbers: parameters, commit, device, versions and time."""

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("dpodiff", "torch", "diffusers", "transformers", "open_clip_torch", "numpy")


@dataclass
class Stamp:
    """The origin of numbers: parameters, commit, device, versions, start (UTC) and seconds.

    Examples:
        >>> stamp = dpodiff.Stamp.collect({"budget": 40})
        >>> stamp.parameters, "torch" in stamp.versions
        ({'budget': 40}, True)
    """

    parameters: dict[str, Any]
    commit: str
    device: str
    versions: dict[str, str]
    time: str
    seconds: float | None = None

    @classmethod
    def collect(cls, parameters: Mapping[str, Any], device: object = "cpu") -> "Stamp":
        """Return the stamp of a run that starts now on a torch device or its name."""
        return cls(
            parameters=dict(parameters),
            commit=_commit(),
            device=_device_name(str(device)),
            versions=_versions(),
            time=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )


def _commit() -> str:
    """Return the commit of the checkout, with "-dirty" if it has changes, or "unknown"."""
    command = ("git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        run = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.strip()


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} {device}, {os.cpu_count()} cores"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
