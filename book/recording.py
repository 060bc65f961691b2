"""Common parts of the recorders of the toy world, which make long runs in parts.

A record is a folder of dpodiff/results/recorded, as `dpodiff.Recorded` reads it: tables, and a
stamp of their origin. A recorder names its parts and runs one; `record` runs all and stores them
(`running` and `storing`). Each part is written as soon as it is done, so a run can be resumed.
"""

import argparse
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from running import record
from storing import Part, Tables

import dpodiff
from dpodiff.results.records import RESULTS
from dpodiff.spaces.constraints import load_encoder
from dpodiff.toy.captions import STYLES, parse
from dpodiff.toy.judge import Judge
from dpodiff.toy.prompts import prompt_set

__all__ = [
    "SEARCH",
    "Tables",
    "Verdicts",
    "arguments",
    "check_ended",
    "curve_of",
    "mixed_prompts",
    "models",
    "record",
    "searched",
]

SEARCH = ("solver", "prompt", "search_seed")  # the keys of a record of searches
BOTH = "all and clean"
TRIED = 200  # prompts that were used to choose the defaults of `improve`
CHECKS = ("all", "clean", "objects", "colors", "sizes", "relation", "background")


class Remembering:
    """A model that makes no image twice, for solvers that evaluate the same candidates.

    A search pays for its evaluations as usual; its seconds are those of new images only.

    Args:
        model: model whose images are cached.
        most: largest number of cached images; the oldest are dropped.
    """

    def __init__(self, model: dpodiff.Model, most: int = 4096) -> None:
        self.model, self.most = model, most
        self._known: dict[Part, torch.Tensor] = {}

    @property
    def __class__(self) -> type:  # so that it counts as a model with gradients and noise
        return type(self.model)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def generate(
        self,
        prompts: Sequence[str],
        negative_prompts: Sequence[str],
        seeds: Sequence[int],
        windows: Sequence[Any] | None = None,
        **rollout: Any,
    ) -> torch.Tensor:
        """Return the images of the model's own `generate`, cached if possible."""
        how = tuple(rollout.items())
        rows = zip(prompts, negative_prompts, seeds, windows or [None] * len(seeds), strict=True)
        jobs = [(*row, how) for row in rows]
        if new := [job[:4] for job in dict.fromkeys(jobs) if job not in self._known]:
            *texts, own = map(list, zip(*new))
            windowed = {"windows": own} if any(own) else {}
            images = self.model.generate(*texts, **windowed, **rollout)
            self._known |= {(*job, how): image for job, image in zip(new, images)}
        made = torch.stack([self._known[job] for job in jobs])
        while len(self._known) > self.most:
            del self._known[next(iter(self._known))]
        return made


class Verdicts:
    """The judge with all of its checks, as a judge for `dpodiff.held_out`.

    Args:
        judge: judge that reads the images.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def each(self, images: torch.Tensor, prompt: str) -> dict[str, list[int]]:
        """Return whether each check holds, 1 or 0 per image; "all and clean" is the main measure.

        Args:
            images: (batch, 3, 64, 64) in [0, 1].
            prompt: what all images should show.
        """
        verdicts = self.judge.check(images, [parse(prompt)] * len(images))
        found = {check: [int(verdict[check]) for verdict in verdicts] for check in CHECKS}
        both = [a * b for a, b in zip(found["all"], found["clean"])]
        return {BOTH: both} | found

    def measures(self, images: torch.Tensor, prompt: str) -> dict[str, float]:
        """Return the share of images for which each check holds, named "judge, ..."."""
        found = self.each(images, prompt)
        return {f"judge, {name}": sum(one) / len(one) for name, one in found.items()}


@cache
def models() -> dict[str, Any]:
    """Return the toy models, loaded once per process."""
    torch.set_num_threads(1)  # one process per core is 1.5 times as fast
    return {
        "model": Remembering(dpodiff.load("toy")),
        "loss": dpodiff.SphericalCLIP("toy"),
        "second": dpodiff.SphericalCLIP("toy-heldout"),
        "judge": Judge.load(),
        "encoder": load_encoder("toy"),
    }


def searched(result: dpodiff.Result, measures: pd.DataFrame, who: Mapping[str, Any]) -> Tables:
    """Return the tables of a search: measures before and after, and the best value by cost.

    Args:
        result: result of the search.
        measures: table of `dpodiff.held_out`.
        who: prompt, solver and search seed.

    Raises:
        RuntimeError: if the search failed or was stopped, so that its part is repeated later.
    """
    check_ended(result, who)
    measures = measures.drop(columns="difference").rename_axis("measure").reset_index()
    found = {"positive": result.prompts.positive, "negative": result.prompts.negative}
    cost = {"spent": result.cost.spent, "seconds": result.cost.seconds}
    return {
        "table.csv": measures.assign(**who, **found, **cost),
        "curves.csv": curve_of(result).assign(**who),
    }


def check_ended(result: dpodiff.Result, who: Mapping[str, Any]) -> None:
    """Refuse an unfinished search, so that its part is repeated later.

    Raises:
        RuntimeError: if it is unfinished; the message names the search.
    """
    if result.status in ("failed", "stopped"):
        raise RuntimeError(f"a search of {who} was {result.status}") from result.error


def curve_of(result: dpodiff.Result) -> pd.DataFrame:
    """Return the best value so far by cost, one row per improvement."""
    records = result.trace.frame()
    better = records["best"].diff().fillna(-1) < 0
    return records.loc[better, ["spent", "best"]].reset_index(drop=True)


def mixed_prompts(count: int) -> list[str]:
    """Return reported prompts, easy and hard: every seventh of each prompt set, alternating.

    Prompts that were used to choose the defaults of the package are left out.
    """
    sets = [list(prompt_set(style)) for style in STYLES]
    turns = [own[7 * k % len(own)] for k in range(max(map(len, sets))) for own in sets]
    return list(dict.fromkeys(turns))[TRIED : TRIED + count]


def arguments(doc: str, name: str, prompts: int) -> argparse.ArgumentParser:
    """Return the options that all recorders have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=prompts, help="how many")
    parser.add_argument("--folder", type=Path, default=RESULTS / name)
    parser.add_argument("--workers", type=int, default=2, help="number of parallel parts")
    return parser
