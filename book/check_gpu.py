"""Run the whole package on published weights and report what works: half an hour on a GPU.

    make check-gpu                               # Stable Diffusion v1.5
    make check-gpu MODELS="sd-v1-5 sdxl sd3-medium"
    .venv/bin/python -m book.check_gpu --models FOLDER --loss white   # any other model or loss

The output is a table per model: what was tested, whether it passed, its seconds, and the peak
memory of the GPU. If one part fails, the others still run. The exit code is 1 if any failed. The
numbers for chapter 14 are printed too: seconds and memory of an image and of a gradient, and the
gain of a small search on new seeds.
"""

import argparse
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import dpodiff
from dpodiff.api import default_loss
from dpodiff.objective.cost import peak_memory

PROMPT = "a red car to the left of a blue house"
NEGATIVE = "blurry"
SMALL = {"seeds": 2, "progress": False}
UNSEEN = range(1000, 1008)


class Model:
    """The parts of the check, one method each, which returns a remark.

    Args:
        name: name of the model, as in `dpodiff.load`.
        loss: name of the loss; None is the model's default.
        budget: budget of the searches in evaluations.
        steps: number of steps of the sampler; None is the model's default.
        size: size of the images in pixels; None is the model's default.
        folder: output folder.
    """

    def __init__(
        self,
        name: str,
        loss: str | None,
        budget: int,
        steps: int | None,
        size: int | None,
        folder: Path,
    ) -> None:
        self.name, self.budget, self.steps, self.size = name, budget, steps, size
        self.folder = folder
        self.loss_name = loss
        self.model: Any = None
        self.result: Any = None

    def load(self) -> str:
        self.model = dpodiff.load(self.name)
        self.model.steps = self.steps or self.model.steps
        self.model.image_size = self.size or self.model.image_size
        self.loss = default_loss(self.model) if self.loss_name is None else self.loss_name
        return f"{type(self.model).__name__}, {self.model.device}, {self.model.dtype}"

    def images(self) -> str:
        texts = [PROMPT] * 2, [NEGATIVE if self.model.takes_negative else ""] * 2
        one, again = (self.model.generate(*texts, [0, 1]) for _ in range(2))
        if not torch.equal(one, again):
            raise RuntimeError("the same seeds gave other images")
        if one.std() < 0.01 or torch.equal(one[0], one[1]):
            raise RuntimeError("the images are flat, or do not depend on the seed")
        return f"{self.model.image_size} px, {self.model.steps} steps"

    def improve(self) -> str:
        self.result = self._search(dpodiff.improve, verify=8)
        gain = dpodiff.held_out(
            self.result.found, UNSEEN, {"loss": self.result.objective.loss}
        ).loc["loss", "difference"]
        return f"{self.result.verdict.split(':')[0]}; loss on new seeds {gain:+.4f}"

    def save(self) -> str:
        folder = self.folder / "saved"
        self.result.save(folder)
        read = dpodiff.load_result(folder)
        if read.verdict != self.result.verdict:
            raise RuntimeError(f"it reads back as {read.verdict!r}")
        return f"{len(list(folder.iterdir()))} files"

    def attack(self) -> str:
        result = self._search(dpodiff.attack, verify=0)
        return f"loss {np.mean(result.baseline_losses):.4f} -> {np.mean(result.losses):.4f}"

    def gradient(self) -> str:
        result = self._search(dpodiff.improve, solver="gpo", verify=0)
        return f"{result.cost.gradients} gradients"

    def align(self) -> str:
        result = dpodiff.align(PROMPT, model=self.model, loss=self.loss, budget=6, **SMALL)
        return f"loss {np.mean(result.baseline_losses):.4f} -> {np.mean(result.losses):.4f}"

    def _search(self, search: Callable[..., Any], **more: Any) -> Any:
        result = search(
            PROMPT, model=self.model, loss=self.loss, budget=self.budget, **SMALL, **more
        )
        if result.status == "failed":
            raise RuntimeError(result.trace.error)
        return result


PARTS = ("load", "images", "improve", "save", "attack", "gradient", "align")


def check(checked: Model) -> pd.DataFrame:
    """Return one row per part: whether it passed, seconds, peak memory in GB, and a remark."""
    rows = []
    for part in PARTS:
        print(f"{checked.name}: {part}", flush=True)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        try:
            passed, said = "passed", getattr(checked, part)()
        except Exception as error:
            traceback.print_exc()
            passed, said = "FAILED", f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - start
        memory = peak_memory(getattr(checked.model, "device", "cpu")) / 1e9
        rows.append((part, passed, round(seconds, 1), round(memory, 1), said))
    columns = ["part", "passed", "seconds", "peak GB", "remark"]
    return pd.DataFrame(rows, columns=columns).set_index("part")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["sd-v1-5"], metavar="MODEL")
    parser.add_argument("--loss", help="name of the loss; default: the model's own")
    parser.add_argument("--budget", type=int, default=12, help="evaluations of a search")
    parser.add_argument("--steps", type=int, help="steps of the sampler; default: the model's own")
    parser.add_argument("--size", type=int, help="size of the images; default: the model's own")
    options = parser.parse_args(arguments)
    failed = False
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            model = Model(
                name, options.loss, options.budget, options.steps, options.size, Path(folder)
            )
            table = check(model)
        print(f"\n{name}\n{table.to_string()}\n", flush=True)
        failed = failed or (table["passed"] == "FAILED").any()
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
