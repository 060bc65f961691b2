"""The share of unrequested defects, and the effect of negative prompts on it.

python -m dpodiff.toy.train.defects --weights FOLDER --out defects.json

The prompts are drawn only for this purpose, from held-out scenes with a separate seed, so that
settings can be chosen on them without affecting any record. All numbers are the judge's.
"""

import argparse
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dpodiff.results.statistics import paired_bootstrap
from dpodiff.toy import WEIGHTS
from dpodiff.toy.captions import STYLES, caption, parse, stated
from dpodiff.toy.judge import Judge
from dpodiff.toy.model import Toy
from dpodiff.toy.prompts import prompt_set
from dpodiff.toy.scenes import DEFECTS
from dpodiff.toy.train.data import held_out_scenes
from dpodiff.toy.words import CONCEPTS, PRAISE

VALIDATION_SEED = 777_001
# Each prompt has image seeds of its own: one noise shared by all prompts is one draw, since the
# noise decides much of whether an image has a defect.
FIRST_SEED, IMAGES = 91_000, 2  # images a prompt
GUIDANCES = (2.0, 3.0, 5.0, 7.5)
STEPS = (6, 10)
BATCH = 16
LIBRARY = ", ".join(words[0] for words in CONCEPTS["defect"].values())
LOW, HIGH = 0.15, 0.30  # bar: share of defective images without a negative prompt


def validation_prompts(count: int) -> list[str]:
    """Return prompts of held-out scenes outside of the prompt sets, with alternating styles."""
    known = {prompt for style in STYLES for prompt in prompt_set(style)}
    prompts: list[str] = []
    draw = 0
    while len(prompts) < count:
        rng = np.random.default_rng([VALIDATION_SEED, draw])
        pair, style = float(len(prompts) % 2), STYLES[len(prompts) % len(STYLES)]
        (scene,) = held_out_scenes(1, rng, pair_share=pair, defect_share=0.0)
        prompt = caption(stated(scene, rng, complete=True), style, rng)
        if prompt not in known and prompt not in prompts:
            prompts.append(prompt)
        draw += 1
    return prompts


def verdicts_of(
    model, judge: Judge, prompts: list[str], negative: str, *, steps: int, guidance: float
) -> list[dict]:
    """Return the judge's verdict and defect for each image, prompt by prompt."""
    texts = [prompt for prompt in prompts for _ in range(IMAGES)]
    jobs = [(text, FIRST_SEED + i) for i, text in enumerate(texts)]
    verdicts: list[dict] = []
    for start in range(0, len(jobs), BATCH):
        texts, seeds = map(list, zip(*jobs[start : start + BATCH]))
        images = model.generate(
            texts, [negative] * len(texts), seeds, steps=steps, guidance=guidance
        )
        checks = judge.check(images, [parse(text) for text in texts])
        pairs = zip(checks, judge.read(images))
        verdicts += [check | {"defect": scene.defect} for check, scene in pairs]
    return verdicts


def summary(verdicts: list[dict]) -> dict:
    """Return shares of images: defective, each defect, as asked, and as asked and clean."""
    counts = Counter(v["defect"] for v in verdicts if v["defect"])
    both = [v["all"] and v["clean"] for v in verdicts]
    return {
        "defective": float(np.mean([not v["clean"] for v in verdicts])),
        "defects": {name: counts[name] / len(verdicts) for name in DEFECTS},
        "all": float(np.mean([v["all"] for v in verdicts])),
        "all_and_clean": float(np.mean(both)),
        "images": len(verdicts),
    }


def effect(before: list[dict], after: list[dict]) -> dict:
    """Return the effect of a negative prompt, over the same prompts and seeds.

    "all_where_clean" is the change of "all" on the images that were clean before: the harm to
    images without a defect.
    """
    clean = [i for i, verdict in enumerate(before) if verdict["clean"]]
    return summary(after) | {
        "change_all": _change(before, after, "all", range(len(before))),
        "change_all_where_clean": _change(before, after, "all", clean),
        "change_clean_where_clean": _change(before, after, "clean", clean),
    }


def _change(before: list[dict], after: list[dict], key: str, index) -> list[float]:
    """Return the mean change with the ends of its 95% interval over prompts."""
    changes: dict[int, list[float]] = {}
    for i in index:
        changes.setdefault(i // IMAGES, []).append(float(after[i][key] - before[i][key]))
    return [float(x) for x in paired_bootstrap([np.mean(group) for group in changes.values()])]


def measure(
    model, judge: Judge, count: int = 120, steps: int = Toy.steps, guidance: float = Toy.guidance
) -> dict:
    """Measure the grid of settings, and the effect of words at one setting.

    Args:
        model: a loaded toy model.
        judge: the judge.
        count: number of validation prompts, with two images each.
        steps: number of steps for the effect of words.
        guidance: guidance for the effect of words.
    """
    prompts = validation_prompts(count)
    settings = [(g, s) for g in GUIDANCES for s in STEPS]
    grid = [
        {"guidance": g, "steps": s}
        | summary(verdicts_of(model, judge, prompts, "", steps=s, guidance=g))
        for g, s in tqdm(settings, "settings")
    ]
    before = verdicts_of(model, judge, prompts, "", steps=steps, guidance=guidance)
    words = {}
    for negative in tqdm([*CONCEPTS["defect"], LIBRARY, "bad"], "negative prompts"):
        after = verdicts_of(model, judge, prompts, negative, steps=steps, guidance=guidance)
        words[negative] = effect(before, after)
    praised = [f"{prompt}, {PRAISE[0]}" for prompt in prompts]
    praise = verdicts_of(model, judge, praised, "", steps=steps, guidance=guidance)
    return {
        "prompts": count,
        "steps": steps,
        "guidance": guidance,
        "grid": grid,
        "without": summary(before),
        "negative": words,
        "praise": effect(before, praise),
        "matching": matching(summary(before), words),
    }


def matching(before: dict, words: dict) -> dict[str, float]:
    """Return the share of images with a defect, without and with the defect's own negative word."""
    shares = [words[name]["defects"][name] for name in DEFECTS]
    return {"without": sum(before["defects"].values()), "with": float(sum(shares))}


def load_folder(weights: Path, device: str = "cpu") -> Toy:
    """Return the toy model from any folder of weights in the layout of the package."""
    return Toy.from_pretrained(weights / "stable-diffusion", name="toy", device=device, dtype=None)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure the defects of generated images.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    parser.add_argument("--prompts", type=int, default=120)
    parser.add_argument(
        "--steps", type=int, default=Toy.steps, help="steps for the effect of words"
    )
    parser.add_argument(
        "--guidance", type=float, default=Toy.guidance, help="guidance for the effect of words"
    )
    options = parser.parse_args(arguments)
    model = load_folder(options.weights)
    judge = Judge.load(options.weights / "judge.safetensors")
    with torch.no_grad():
        table = measure(model, judge, options.prompts, options.steps, options.guidance)
    temporary = options.out.with_suffix(".part")
    temporary.write_text(json.dumps(table, indent=1) + "\n")
    os.replace(temporary, options.out)
    print(json.dumps({"without": table["without"], "matching": table["matching"]}, indent=1))


if __name__ == "__main__":
    main()
