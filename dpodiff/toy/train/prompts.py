"""Stage `prompts`: draw the prompt sets from held-out scenes, and measure their difficulty."""

import json

import numpy as np
from tqdm import tqdm

from dpodiff.toy.captions import STYLES, caption, stated
from dpodiff.toy.prompts import FOLDER
from dpodiff.toy.train.data import held_out_scenes

COUNT = 100  # prompts per style
SEEDS = range(9000, 9004)  # used in no search and no test
BATCH = 16
PROMPT_SEED = 20240701


def draw_prompts(style: str) -> list[str]:
    """Return 100 different prompts of one style without defects, half of them with two things."""
    rng = np.random.default_rng([PROMPT_SEED, STYLES.index(style)])
    prompts: dict[str, None] = {}
    while len(prompts) < COUNT:
        pair = float(len(prompts) % 2)
        (scene,) = held_out_scenes(1, rng, pair_share=pair, defect_share=0.0)
        prompts[caption(stated(scene, rng, complete=True), style, rng)] = None
    return list(prompts)


def write_prompt_sets(model, loss) -> None:
    """Write {prompt: mean loss over 4 seeds} of each style to the package."""
    FOLDER.mkdir(exist_ok=True)
    for style in STYLES:
        prompts = draw_prompts(style)
        jobs = [(prompt, seed) for prompt in prompts for seed in SEEDS]
        losses: list[float] = []
        for start in tqdm(range(0, len(jobs), BATCH), f"prompts: {style}"):
            texts, seeds = map(list, zip(*jobs[start : start + BATCH]))
            losses += loss(model.generate(texts, [""] * len(texts), seeds), texts).tolist()
        means = np.reshape(losses, (COUNT, len(SEEDS))).mean(1)
        table = {prompt: round(float(value), 4) for prompt, value in zip(prompts, means)}
        (FOLDER / f"prompts_{style}.json").write_text(json.dumps(table, indent=1) + "\n")
