"""Record the headroom by space and loss: dpodiff/results/recorded/headroom.

    python book/record_landscape.py --images runs/landscape     # both steps; can be resumed
    python book/record_landscape.py --images runs/landscape --losses matcher contrastive
    python book/record_landscape.py --images runs/l --prompts 2 --each 2 --folder runs/headroom

First, candidates of each prompt are drawn from every space and rendered with the same seeds. Their
images are stored as uint8 in a folder outside of git, with a table and a stamp. Then losses and the
judge score the stored images, so a new loss takes minutes and no new images. If the judge, the
matcher or a CLIP has new weights, remove the folder "scores" but not the images, and score again.
The record has two tables. `table.csv` has the gain of a pick on the first half of the seeds,
measured on the other half, by space, number of candidates and loss. `fixed.csv` has the gain of
each candidate that is the same for all prompts.
"""

import json
import os
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from drawing import FOR_ALL, GROUPS, Drawn, drawn
from recording import BOTH, Tables, Verdicts, arguments, mixed_prompts, models, record
from scorers import ALL, fitted
from storing import write

from dpodiff.results.headroom import headroom, summary
from dpodiff.results.selection import OWN
from dpodiff.toy.digests import scorers_digest
from dpodiff.toy.model import Toy
from dpodiff.toy.train.defects import validation_prompts

BATCH, SCORED = 16, 128  # images at a time
SEEDS = range(93_000, 93_008)
FITTED = range(94_000, 94_016)  # seeds of the unchanged prompt, to calibrate ensembles
JUDGE = "judge"
SCORES = "scores"  # subfolder of the images' folder
SIZES = (16, 40, 10_000)  # the last one is all candidates
SOURCES = {"validation": validation_prompts, "reported": mixed_prompts}


def render(images: Path, each: int, number: int, prompt: str) -> Tables:
    """Run the first step: write images of all candidates of a prompt, and a row per candidate."""
    model = models()["model"].model
    found = drawn(prompt, model, each, np.random.default_rng([5, number]))
    arrays = {
        "images": _made(model, found, SEEDS),
        "own": _made(model, [Drawn("own", prompt, "")], FITTED)[0],
    }
    part = images / f".{number}.part.npz"
    np.savez(part, **arrays)
    os.replace(part, _file(images, number))
    table = pd.DataFrame(found).assign(number=number, prompt=prompt)
    return {"table.csv": table.rename_axis("candidate").reset_index()}


@torch.no_grad()
def _made(model: Toy, candidates: list[Drawn], seeds: range) -> np.ndarray:
    """Return images (candidates, seeds, 3, 64, 64) as uint8."""
    rows = []
    for one in candidates:
        for start in range(0, len(seeds), BATCH):
            batch = list(seeds[start : start + BATCH])
            texts = [one.positive] * len(batch), [one.negative] * len(batch)
            made = model.generate(*texts, batch, guidance=one.guidance)
            rows.append((255 * made).round().byte().cpu().numpy())
    return np.concatenate(rows).reshape(len(candidates), len(seeds), *rows[0].shape[1:])


def score(images: Path, scorer: str, number: int) -> Tables:
    """Run the second step: score all images of a prompt with a loss or the judge.

    The table has one row per candidate and measure, and one column per seed.
    """
    prompt = prompts_of(images)[number]
    if not _file(images, number).is_file():
        raise FileNotFoundError(
            f"{_file(images, number)} is missing: remove {images} and run the first step again"
        )
    with np.load(_file(images, number)) as file:
        kept, own = (torch.from_numpy(file[name]).float() / 255 for name in ("images", "own"))
    count, seeds = kept.shape[:2]
    rows = []
    for measure, values in _values(scorer, kept.flatten(0, 1), own, prompt).items():
        table = pd.DataFrame(np.array(values).reshape(count, seeds)).round(4)
        rows.append(table.rename_axis("candidate").reset_index().assign(measure=measure))
    return {"table.csv": pd.concat(rows).assign(scorer=scorer, number=number)}


@torch.no_grad()
def _values(
    scorer: str, images: torch.Tensor, own: torch.Tensor, prompt: str
) -> dict[str, list[float]]:
    """Return one number per image for each measure."""
    batches = images.split(SCORED)
    if scorer == JUDGE:
        judge = Verdicts(models()["judge"])
        found = [judge.each(batch, prompt) for batch in batches]
        return {name: [x for one in found for x in one[name]] for name in found[0]}
    loss = fitted(scorer, prompt, own)
    return {scorer: torch.cat([loss(b, [prompt] * len(b)) for b in batches]).tolist()}


@cache
def prompts_of(images: Path) -> dict[int, str]:
    """Return the prompts of the images in a folder by their numbers."""
    table = pd.read_csv(images / "table.csv", keep_default_na=False)
    return dict(zip(table["number"], table["prompt"]))


def images_table(images: Path) -> pd.DataFrame:
    """Return one row per image: its candidate, "seed", and every measure by its name.

    Args:
        images: folder of the images and scores.
    """
    table = pd.read_csv(images / SCORES / "table.csv")
    keys = ["number", "candidate", "measure"]
    long = table.drop(columns="scorer").melt(keys, var_name="seed")
    wide = long.pivot(index=["number", "candidate", "seed"], columns="measure", values="value")
    found = pd.read_csv(images / "table.csv", keep_default_na=False)
    return wide.reset_index().assign(seed=lambda t: t["seed"].astype(int)).merge(found)


def report(images: Path) -> pd.DataFrame:
    """Return the headroom by space, number of candidates and loss, picked on half of the seeds."""
    table = images_table(images)
    losses = [name for name in ALL if name in table]
    table = table[["prompt", "candidate", "space", "seed", BOTH, *losses]].dropna()
    seen = range(table["seed"].nunique() // 2)
    return headroom(table, GROUPS, SIZES, list(seen), losses, BOTH)


def fixed(images: Path) -> pd.DataFrame:
    """Return the gain of candidates that are the same for all prompts, on all seeds, best first."""
    table = images_table(images)
    keys = ["modifiers", "negative", "guidance"]
    each = ["prompt", "positive", *keys[1:], "candidate", "space"]
    means = table.groupby(each, dropna=False)[BOTH].mean().rename("after").reset_index()
    own = means[means["candidate"] == OWN].set_index("prompt")["after"]
    means["change"] = means["after"] - means["prompt"].map(own)
    means["modifiers"] = [
        positive.removeprefix(prompt).removeprefix(", ")
        for prompt, positive in zip(means["prompt"], means["positive"])
    ]
    rows = [
        dict(zip(keys, wording)) | summary(group["change"].to_numpy())
        for wording, group in means[means["space"].isin(FOR_ALL)].groupby(keys, dropna=False)
    ]
    return pd.DataFrame(rows).sort_values("mean", ascending=False)


def _file(images: Path, number: int) -> Path:
    return images / f"{number}.npz"


def main() -> None:
    parser = arguments(__doc__, "headroom", 60)
    parser.add_argument("--images", type=Path, required=True, help="folder for the images")
    parser.add_argument("--source", choices=SOURCES, default="validation", help="of the prompts")
    parser.add_argument(
        "--each", type=int, default=10, help="number of candidates of each large space"
    )
    parser.add_argument("--losses", nargs="+", choices=ALL, default=list(ALL), metavar="LOSS")
    options = parser.parse_args()
    prompts = list(enumerate(SOURCES[options.source](options.prompts)))
    settings = {
        "source": options.source,
        "each": options.each,
        "seeds": len(SEEDS),
        "steps": Toy.steps,
        "guidance": Toy.guidance,
    }
    making = partial(render, options.images, options.each)
    keys = ["number", "prompt"]
    record(options.images, prompts, keys, making, settings, options.workers)
    parts = [(scorer, number) for number, _ in prompts for scorer in (JUDGE, *options.losses)]
    scoring, settings = partial(score, options.images), settings | {"scorers": scorers_digest()}
    together = 1 + len(options.losses)
    scores = options.images / SCORES
    record(scores, parts, ["scorer", "number"], scoring, settings, options.workers, together)
    if len(prompts) > 1:
        keep(options.images, options.folder)


def keep(images: Path, folder: Path) -> None:
    """Write the two tables and the stamp of the record, and print the headroom."""
    found = report(images)
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in {"table.csv": found, "fixed.csv": fixed(images)}.items():
        write(folder / name, table.round(4).to_csv(index=False))
    made, scored = (
        json.loads((place / "stamp.json").read_text()) for place in (images, images / SCORES)
    )
    both = {**scored, "seconds": made["seconds"] + scored["seconds"]}
    write(folder / "stamp.json", json.dumps(both, indent=1) + "\n")
    means = found.pivot_table(index=["space", "n"], columns="loss", values="mean", sort=False)
    print(means.T.round(3).to_string())


if __name__ == "__main__":
    main()
