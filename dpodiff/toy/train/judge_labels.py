"""Validation of the judge on generated images that were labeled by eye.

python -m dpodiff.toy.train.judge_labels --weights FOLDER [FOLDER ...]

`data/judge_labels.csv` has one row per image: how it was made (prompt, seed, guidance, steps,
digest of the weights) and what it shows, written down before the judge was run. An object that
cannot be recognized is a question mark. The images are made again from the weights with that
digest; rows of other weights are skipped.
"""

import argparse
import csv
import dataclasses
import hashlib
import json
import math
from pathlib import Path

import torch

from dpodiff.toy.captions import parse
from dpodiff.toy.judge import Judge
from dpodiff.toy.model import Toy
from dpodiff.toy.prompts import FOLDER
from dpodiff.toy.scenes import Scene, Thing
from dpodiff.toy.train.defects import load_folder

LABELS = FOLDER / "judge_labels.csv"
MODEL_FILES = (
    "unet/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
)
ASKED = ("objects", "colors", "relation", "background", "clean", "all")


@dataclasses.dataclass(frozen=True)
class Label:
    """One labeled image: how it was made, and the visible scene."""

    prompt: str
    seed: int
    guidance: float
    steps: int
    weights: str
    seen: Scene


def read_labels(path: Path = LABELS) -> list[Label]:
    """Return all labels of the file."""
    with open(path, newline="") as file:
        return [_label(row) for row in csv.DictReader(file)]


def _label(row: dict[str, str]) -> Label:
    things = tuple(_thing(row[name]) for name in ("first", "second") if row[name])
    defect = None if row["defect"] == "clean" else row["defect"]
    seen = Scene(things, row["relation"] or None, row["background"], defect)
    made = row["prompt"], int(row["seed"]), float(row["guidance"]), int(row["steps"])
    return Label(*made, row["weights"], seen)


def _thing(text: str) -> Thing:
    """Return a thing from its words: "red ball", "red ?" or "?"."""
    *color, name = text.split()
    return Thing(None if name == "?" else name, color[0] if color else None)


def digest(weights: Path) -> str:
    """Return the digest of the weights that images are made with."""
    parts = [(weights / "stable-diffusion" / name).read_bytes() for name in MODEL_FILES]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:12]


def images_of(model: Toy, labels: list[Label]) -> torch.Tensor:
    """Return the labeled images (n, 3, 64, 64), made again one by one."""
    images = [
        model.generate([x.prompt], [""], [x.seed], guidance=x.guidance, steps=x.steps)
        for x in labels
    ]
    return torch.cat(images)


def verdict_of(seen: Scene, asked: Scene) -> dict[str, bool]:
    """Return whether a label agrees with each attribute of the prompt, as in `Judge.check`.

    Sizes are not labeled, so "all" is without sizes.
    """
    found = {thing.object: thing for thing in seen.things if thing.object}
    objects = all(thing.object in found for thing in asked.things)
    colors = objects and all(
        thing.color in (None, found[str(thing.object)].color) for thing in asked.things
    )
    verdict = {
        "objects": objects,
        "colors": colors,
        "relation": objects and _related(seen, asked),
        "background": asked.background in (None, seen.background),
    }
    return verdict | {"all": all(verdict.values()), "clean": seen.defect is None}


def _related(seen: Scene, asked: Scene) -> bool:
    if asked.relation is None:
        return True
    mirrored = {"left of": "right of", "above": "below", "right of": "left of", "below": "above"}
    first = asked.things[0].object
    same = seen.things[0].object == first
    return (seen.relation if same else mirrored.get(str(seen.relation))) == asked.relation


def wilson(hits: int, count: int, z: float = 1.96) -> list[float]:
    """Return a share with its 95% interval (Wilson, 1927); all values are NaN without trials."""
    if count == 0:
        return [math.nan] * 3
    share, square = hits / count, z * z / count
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return [share, middle - half, middle + half]


def agreement(judge: Judge, images: torch.Tensor, labels: list[Label]) -> dict:
    """Return the agreement of the judge with the labels.

    Returns:
        For each attribute: "agree" over all images; "passed_wrong", the share of images that the
        label calls wrong and the judge accepts; and "refused_right", the opposite; each with its
        interval and number of images. "defect" is the share of images with the same defect, or
        none.
    """
    asked = [parse(label.prompt) for label in labels]
    said = [_without_sizes(verdict) for verdict in judge.check(images, asked)]
    true = [verdict_of(label.seen, scene) for label, scene in zip(labels, asked)]
    table: dict = {"images": len(labels)}
    for name in ASKED:
        pairs = [(t[name], s[name]) for t, s in zip(true, said)]
        wrong, right = ([s for t, s in pairs if t is value] for value in (False, True))
        table[name] = {
            "agree": wilson(sum(t == s for t, s in pairs), len(pairs)),
            "passed_wrong": [*wilson(sum(wrong), len(wrong)), len(wrong)],
            "refused_right": [*wilson(len(right) - sum(right), len(right)), len(right)],
        }
    read = [scene.defect for scene in judge.read(images)]
    same = sum(r == label.seen.defect for r, label in zip(read, labels))
    return table | {"defect": {"agree": wilson(same, len(labels))}}


def _without_sizes(verdict: dict[str, bool]) -> dict[str, bool]:
    """Return the judge's verdict with "all" without sizes, which are not labeled."""
    parts = ("objects", "colors", "relation", "background")
    return verdict | {"all": all(verdict[name] for name in parts)}


def judge_on_generated(judge: Judge, folders: list[Path]) -> dict:
    """Return `agreement` over all labeled images of these folders of weights.

    Without such images it has only "images", which is 0.
    """
    images, used = [], []
    for folder in folders:
        name = digest(folder)
        labels = [label for label in read_labels() if label.weights == name]
        if labels:
            images.append(images_of(load_folder(folder), labels))
            used += labels
    if not used:
        return {"images": 0}
    return agreement(judge, torch.cat(images), used)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare the judge with labels by eye.")
    parser.add_argument("--weights", type=Path, nargs="+", required=True)
    parser.add_argument("--judge", type=Path, help="a judge other than that of the first folder")
    options = parser.parse_args(arguments)
    judge = Judge.load(options.judge or options.weights[0] / "judge.safetensors")
    print(json.dumps(judge_on_generated(judge, options.weights), indent=1))


if __name__ == "__main__":
    main()
