"""The folder that a command writes: trace, result and images."""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from dpodiff.spaces.json_file import write_json

if TYPE_CHECKING:
    import torch

    from dpodiff.results.result import Result

RESULT, TRACE = "result.json", "trace.jsonl"


class Folder:
    """Where the files of one search go.

    Args:
        path: of the folder.
        overwrite: whether files of an earlier search in it may be replaced. If not, a search of the
            same settings goes on there.

    Raises:
        ValueError: if it has a result whose trace is gone, and it may not be replaced.
    """

    def __init__(self, path: Path, overwrite: bool = False) -> None:
        self.path, self.overwrite = path, overwrite
        if (path / RESULT).exists() and not (path / TRACE).exists() and not overwrite:
            raise ValueError(
                f"{path} has {RESULT} of an earlier search: take another folder (--out), or "
                "replace it (--overwrite)"
            )

    def __str__(self) -> str:
        return str(self.path)

    @property
    def trace(self) -> Path:
        return self.path / TRACE

    @contextmanager
    def made(self) -> Iterator[None]:
        """The folder is there; it is removed again if an error leaves it empty."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            yield
        except BaseException:
            with suppress(OSError):  # it has files
                self.path.rmdir()
            raise

    def save(self, result: "Result") -> None:
        """Write the images, a figure of them if matplotlib is there, and last the result."""
        shown = result.found
        for name, images in {"before": shown.before, "found": shown.images}.items():
            for seed, image in zip(result.objective.seeds, images, strict=True):
                _write_image(self.path / f"{name}-{seed}.png", image)
        if importlib.util.find_spec("matplotlib"):
            from dpodiff import plots

            part = self.path / ".strip.png"
            plots.strip(shown).savefig(part, format="png")
            os.replace(part, self.path / "strip.png")
        write_json(self.path / RESULT, summary(result))


def summary(result: "Result") -> dict[str, Any]:
    """What a result says, ready for JSON; losses are one a seed."""
    cost = result.cost
    return {
        "verdict": result.verdict,
        "prompt": result.prompts.positive,
        "negative_prompt": result.prompts.negative,
        "guidance": result.prompts.guidance,
        "found": {
            "prompt": result.found.prompts.positive,
            "negative_prompt": result.found.prompts.negative,
            "guidance": result.found.prompts.guidance,
            "losses": list(result.found.losses),
        },
        "losses_before": list(result.baseline_losses),
        "status": result.status,
        "evaluations": cost.spent,
        "images": cost.images,
        "seconds": round(cost.seconds, 3),
    }


def _write_image(path: Path, image: "torch.Tensor") -> None:
    pixels = (255 * image.permute(1, 2, 0)).round().byte().numpy()
    part = path.with_name(f".{path.name}")
    Image.fromarray(pixels).save(part, format="png")
    os.replace(part, path)
