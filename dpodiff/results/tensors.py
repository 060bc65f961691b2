"""Data too large for a line of a trace: files of tensors in a folder beside it."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Tensors:
    """The tensor folder of a trace, with one file per line.

    Args:
        trace: path of the trace file.
    """

    def __init__(self, trace: Path) -> None:
        self.folder = trace.with_name(f"{trace.name}.tensors")

    def save(self, line: int, tensors: "Mapping[str, torch.Tensor]") -> str:
        """Write the tensors of a line completely or not at all; return the name of the file."""
        from safetensors.torch import save_file

        self.folder.mkdir(exist_ok=True)
        name = f"{line:06}.safetensors"
        part = self.folder / f".{name}.part"
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, self.folder / name)
        return name

    def load(self, name: str) -> "dict[str, torch.Tensor]":
        """Read the tensors that `save` wrote.

        Raises:
            ValueError: if the file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(self.folder / name)
        except (OSError, SafetensorError) as error:
            raise ValueError(
                f"{self.folder / name} cannot be read ({error}), and without it the search cannot "
                "continue; overwrite=True starts again"
            ) from None

    def copy(self, trace: Path) -> None:
        """Copy the files to the folder of another trace file."""
        if self.folder.exists():
            shutil.copytree(self.folder, Tensors(trace).folder, dirs_exist_ok=True)

    def clear(self) -> None:
        """Remove the files of an older search."""
        for path in self.folder.glob("*.safetensors"):
            path.unlink()
