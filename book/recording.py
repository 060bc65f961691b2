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
from dpodiff.toy.judge import Judge

__all__ = ["SEARCH", "Tables", "arguments", "models", "record", "searched"]

SEARCH = ("solver", "prompt", "search_seed")  # the keys of a record of searches


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
    if result.status in ("failed", "stopped"):
        raise RuntimeError(f"a search of {who} was {result.status}") from result.error
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


def arguments(doc: str, name: str, prompts: int) -> argparse.ArgumentParser:
    """The options that all recorders have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=prompts, help="how many of the hardest")
    parser.add_argument("--folder", type=Path, default=RESULTS / name)
    parser.add_argument("--workers", type=int, default=2, help="parts at the same time")
    return parser
