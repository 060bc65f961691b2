"""Long runs made in parts: each part is written as soon as it is done, and a broken run goes on.

A record lies in a folder of dpodiff/results/recorded, as `dpodiff.Recorded` reads it: tables, and
a stamp that says where they come from. A recorder names its parts and runs one; `record` does the
rest (`running` and `storing`). Here is what the recorders of the toy world share.
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
TRIED = 200  # prompts that were used to find the defaults of `improve`
CHECKS = ("all", "clean", "objects", "colors", "sizes", "relation", "background")


class Remembering:
    """A model that makes no image twice: several solvers meet many candidates of a prompt again.

    A search pays for its evaluations as before; its seconds are those of what was new.

    Args:
        model: all but the making of images is its own.
        most: images that are kept; the oldest are forgotten.
    """

    def __init__(self, model: dpodiff.Model, most: int = 4096) -> None:
        self.model, self.most = model, most
        self._known: dict[Part, torch.Tensor] = {}

    @property
    def __class__(self) -> type:  # so that it passes for a model that has gradients and noise
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
        """What the model's own `generate` makes, from memory where that is possible."""
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
    """The judge with all of its checks, as `dpodiff.held_out` takes a judge.

    Args:
        judge: reads the images.
    """

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def each(self, images: torch.Tensor, prompt: str) -> dict[str, list[int]]:
        """Whether each check holds, 1 or 0 an image; "all and clean" is the main measure.

        Args:
            images: (batch, 3, 64, 64) in [0, 1].
            prompt: what all of them should show.
        """
        verdicts = self.judge.check(images, [parse(prompt)] * len(images))
        found = {check: [int(verdict[check]) for verdict in verdicts] for check in CHECKS}
        both = [a * b for a, b in zip(found["all"], found["clean"])]
        return {BOTH: both} | found

    def measures(self, images: torch.Tensor, prompt: str) -> dict[str, float]:
        """Share of images for which each check holds, named "judge, ..."."""
        found = self.each(images, prompt)
        return {f"judge, {name}": sum(one) / len(one) for name, one in found.items()}


@cache
def models() -> dict[str, Any]:
    """The toy models, loaded once a process."""
    torch.set_num_threads(1)  # a process a core makes half as many images again
    return {
        "model": Remembering(dpodiff.load("toy")),
        "loss": dpodiff.SphericalCLIP("toy"),
        "second": dpodiff.SphericalCLIP("toy-heldout"),
        "judge": Judge.load(),
        "encoder": load_encoder("toy"),
    }


def searched(result: dpodiff.Result, measures: pd.DataFrame, who: Mapping[str, Any]) -> Tables:
    """What is kept of a search: measures before and after, and the best so far at what cost.

    Args:
        result: of the search.
        measures: as `dpodiff.held_out` gives them.
        who: prompt, solver and search seed.

    Raises:
        RuntimeError: if the search failed or was stopped, so that its part is made again later.
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
    """Refuse a search that has no end, so that its part is made again later.

    Raises:
        RuntimeError: naming the search.
    """
    if result.status in ("failed", "stopped"):
        raise RuntimeError(f"a search of {who} was {result.status}") from result.error


def curve_of(result: dpodiff.Result) -> pd.DataFrame:
    """The best value so far at what cost, a row an improvement."""
    records = result.trace.frame()
    better = records["best"].diff().fillna(-1) < 0
    return records.loc[better, ["spent", "best"]].reset_index(drop=True)


def mixed_prompts(count: int) -> list[str]:
    """Reported prompts, easy and hard ones: every seventh of each prompt set, the sets in turn.

    Those that the defaults of the package were tried on are left out.
    """
    sets = [list(prompt_set(style)) for style in STYLES]
    turns = [own[7 * k % len(own)] for k in range(max(map(len, sets))) for own in sets]
    return list(dict.fromkeys(turns))[TRIED : TRIED + count]


def arguments(doc: str, name: str, prompts: int) -> argparse.ArgumentParser:
    """The options that all recorders have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=prompts, help="how many")
    parser.add_argument("--folder", type=Path, default=RESULTS / name)
    parser.add_argument("--workers", type=int, default=2, help="parts at the same time")
    return parser
