"""Long runs made in parts: each part is written as soon as it is done, and a broken run goes on.

A record lies in a folder of dpodiff/results/recorded, as `dpodiff.Recorded` reads it: tables, and
a stamp that says where they come from. A recorder names its parts and runs one; `record` does the
rest.
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from tqdm import tqdm

import dpodiff
from dpodiff.results.records import RESULTS
from dpodiff.spaces.constraints import load_encoder
from dpodiff.toy import WEIGHTS
from dpodiff.toy.judge import Judge

Part = tuple[Any, ...]
# For glibc's malloc: what a step of the sampler frees is kept for the next one. Given back to the
# system and asked for again, page by page, it costs 8% of a search on a CPU. (As in the Makefile.)
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
SEARCH = ("solver", "prompt", "search_seed")  # the keys of a record of searches
Tables = Mapping[str, pd.DataFrame]  # file name -> rows


class Remembering:
    """A model that makes no picture twice: several solvers meet many candidates of a prompt again.

    A search pays for its evaluations as before; its seconds are those of what was new.

    Args:
        model: all but the making of pictures is its own.
        most: pictures that are kept; the oldest are forgotten.
    """

    def __init__(self, model: dpodiff.Model, most: int = 4096) -> None:
        self.model, self.most = model, most
        self._known: dict[Part, torch.Tensor] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def generate(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        seeds: Sequence[int],
        **rollout: Any,
    ) -> torch.Tensor:
        """What the model's own `generate` makes, from memory where that is possible."""
        how = tuple(rollout.items())
        jobs = [(*job, how) for job in zip(prompts, negative_prompts, seeds, strict=True)]
        if new := [job[:3] for job in dict.fromkeys(jobs) if job not in self._known]:
            images = self.model.generate(*map(list, zip(*new)), **rollout)
            self._known |= {(*job, how): image for job, image in zip(new, images)}
        made = torch.stack([self._known[job] for job in jobs])
        while len(self._known) > self.most:
            del self._known[next(iter(self._known))]
        return made


@cache
def models() -> dict[str, Any]:
    """The toy models, loaded once a process."""
    torch.set_num_threads(1)  # a process a core makes half as many pictures again
    return {
        "model": Remembering(dpodiff.load("toy")),
        "loss": dpodiff.SphericalCLIP("toy"),
        "second": dpodiff.SphericalCLIP("toy-heldout"),
        "judge": Judge.load(),
        "encoder": load_encoder("toy"),
    }


def record(
    folder: Path,
    parts: Sequence[Part],
    keys: Sequence[str],
    run: Callable[..., Tables],
    settings: Mapping[str, Any],
    workers: int,
    together: int = 1,
) -> None:
    """Run the parts that are missing, `workers` at a time; every file is up to date after each.

    Args:
        folder: of the record.
        parts: arguments of `run`, in the order of the keys.
        keys: the columns of table.csv that say which part a row belongs to.
        run: makes one part; "table.csv" is among its tables.
        settings: what all parts share.
        workers: processes.
        together: parts that one process makes in a row, as they have work in common; they are
            written when all of them are done.

    Raises:
        ValueError: if the record was begun with other settings or weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp, done = stamp_of(folder, settings), parts_of(folder / "table.csv", keys)
    before, started = stamp.seconds or 0.0, time.monotonic()
    for name, value in KEEP_MEMORY.items():
        os.environ.setdefault(name, value)  # read by a process as it starts
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        missing = [part for part in parts if part not in done]
        rows = [missing[i : i + together] for i in range(0, len(missing), together)]
        waiting = [pool.submit(_in_a_row, run, row) for row in rows]
        try:
            for tables in _finished(waiting, tqdm(desc=folder.name, total=len(missing))):
                for name, table in tables.items():
                    new = not (folder / name).exists()
                    table.to_csv(folder / name, mode="a", header=new, index=False)
                stamp.seconds = before + time.monotonic() - started
                (folder / "stamp.json").write_text(json.dumps(asdict(stamp), indent=1) + "\n")
        finally:  # if one broke down, the others are left for later
            pool.shutdown(cancel_futures=True)


def _in_a_row(run: Callable[..., Tables], parts: Sequence[Part]) -> list[Tables]:
    return [run(*part) for part in parts]


def _finished(waiting: Sequence[Future[list[Tables]]], bar: tqdm) -> Iterator[Tables]:
    """Yield the tables of each part, in the order in which they are done."""
    with bar:
        for future in as_completed(waiting):
            for tables in future.result():
                yield tables
                bar.update()


def searched(result: dpodiff.Result, measures: pd.DataFrame, who: Mapping[str, Any]) -> Tables:
    """What is kept of a search: measures before and after, and the best so far at what cost.

    Args:
        result: of the search.
        measures: as `dpodiff.held_out` gives them.
        who: prompt, solver and search seed.
    """
    measures = measures.drop(columns="difference").rename_axis("measure").reset_index()
    found = {"positive": result.prompts.positive, "negative": result.prompts.negative}
    cost = {"spent": result.cost.spent, "seconds": result.cost.seconds}
    records = result.trace.frame()
    better = records["best"].diff().fillna(-1) < 0
    curve = records.loc[better, ["spent", "best"]].reset_index(drop=True)
    return {
        "table.csv": measures.assign(**who, **found, **cost),
        "curves.csv": curve.assign(**who),
    }


def parts_of(table: Path, keys: Sequence[str]) -> set[Part]:
    """The parts that a table has."""
    if not table.exists():
        return set()
    rows = pd.read_csv(table, keep_default_na=False)
    return set(zip(*(rows[key] for key in keys)))


def stamp_of(folder: Path, settings: Mapping[str, Any]) -> dpodiff.Stamp:
    """The stamp of a new record; or that of the one gone on with, and what it goes on with."""
    weights = next((WEIGHTS / "stable-diffusion" / "unet").glob("*.safetensors")).read_bytes()
    settings = {**settings, "weights": hashlib.sha256(weights).hexdigest()[:12]}
    path, now = folder / "stamp.json", dpodiff.Stamp.collect(settings)
    if not path.exists():
        return now
    stamp = dpodiff.Stamp(**json.loads(path.read_text()))
    if stamp.parameters != settings:
        raise ValueError(f"{folder} was begun with {stamp.parameters}, not {settings}: remove it")
    versions = {name: _joined(stamp.versions.get(name), new) for name, new in now.versions.items()}
    parts = {"commit": _joined(stamp.commit, now.commit), "versions": versions}
    return replace(stamp, device=_joined(stamp.device, now.device), **parts)


def _joined(old: str | None, new: str) -> str:
    """All that a record was made with, each once."""
    return "; ".join(dict.fromkeys([*(old.split("; ") if old else []), new]))


def arguments(doc: str, name: str, prompts: int) -> argparse.ArgumentParser:
    """The options that all recorders have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=prompts, help="how many of the hardest")
    parser.add_argument("--folder", type=Path, default=RESULTS / name)
    parser.add_argument("--workers", type=int, default=2, help="parts at the same time")
    return parser
