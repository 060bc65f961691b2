"""Whether a gain is real: unseen seeds, held-out losses, and a judge that took no part.

A search lowers the number it was given. `held_out` measures the same two prompts, before and after,
by what the search never saw.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from dpodiff.trace import Result

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from dpodiff.objective import Loss
    from dpodiff.toy.judge import Judge


def held_out(
    result: Result,
    seeds: Iterable[int],
    losses: Mapping[str, "Loss"],
    judge: "Judge | None" = None,
) -> "pd.DataFrame":
    """The user's own prompt and the one found, on other seeds; outside the search's ledger.

    Args:
        result: of a search.
        seeds: of the pictures, none of them used by the search.
        losses: from images and prompts to losses, by name; each sees the same pictures.
        judge: of the toy world. It adds the share of pictures with all that the prompt asks for
            ("judge, all as asked", more is better) and of those without a defect ("judge, clean").

    Returns:
        One row a measure, with columns "before", "after" and "difference".

    Raises:
        ValueError: if the search has used one of the seeds.
    """
    import pandas as pd

    objective, seeds = result.objective, list(seeds)
    if seen := sorted(set(seeds) & set(objective.seeds)):
        raise ValueError(f"seed {seen[0]} was used by the search, so it tells nothing new")
    columns = {
        "before": objective.images(objective.space.identity, seeds),
        "after": objective.images(result.candidate, seeds),
    }
    prompt = objective.space.prompt
    table = pd.DataFrame({k: _measures(v, prompt, losses, judge) for k, v in columns.items()})
    return table.assign(difference=table["after"] - table["before"]).rename_axis("measure")


def _measures(
    images: "torch.Tensor", prompt: str, losses: Mapping[str, "Loss"], judge: "Judge | None"
) -> dict[str, float]:
    prompts = [prompt] * len(images)
    row = {name: float(loss(images, prompts).mean()) for name, loss in losses.items()}
    if judge is not None:
        from dpodiff.toy.captions import parse

        verdicts = judge.check(images, [parse(prompt)] * len(images))
        row["judge, all as asked"] = float(np.mean([v["all"] for v in verdicts]))
        row["judge, clean"] = float(np.mean([v["clean"] for v in verdicts]))
    return row
