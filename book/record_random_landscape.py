"""Record the landscape of random negative prompts: recorded/landscape and landscape-typical.

    python book/record_random_landscape.py                   # a quarter of an hour on two cores
    python book/record_random_landscape.py --set typical     # half an hour; both can be resumed

For each prompt of a set, the hard or the typical ones, random candidates are drawn from the space
of negative prompts and rendered with many seeds; the first candidate is the unchanged prompt. Each
image is scored by the paper's loss, by the default loss, by the held-out CLIP and by the judge. So
the result of any pick can be computed later, for any number of candidates and seeds, with its gain
on other seeds.
"""

import numpy as np
import pandas as pd
import torch
from recording import BOTH, Tables, Verdicts, arguments, mixed_prompts, models, record
from scorers import MATCHER_AND_CLIP, loss

from dpodiff import Space, antonym_space, nplib_space
from dpodiff.models.base import PromptError
from dpodiff.results.records import RESULTS
from dpodiff.toy.digests import scorers_digest
from dpodiff.toy.model import Toy
from dpodiff.toy.prompts import hard_prompts
from dpodiff.toy.words import NPLIB, toy_lexicon

CANDIDATES, SEEDS, BATCH = 64, 12, 16
# Column of the table -> name of the loss.
LOSSES = {
    "loss": "spherical",
    "default loss": MATCHER_AND_CLIP,
    "held-out loss": "spherical, held-out CLIP",
}
CHECKS = (BOTH, "all", "clean")
# Set of prompts -> folder, function from a number to prompts, and their number.
SETS = {
    "hard": ("landscape", hard_prompts, 18),
    "typical": ("landscape-typical", mixed_prompts, 48),
}


def run(prompt: str) -> Tables:
    """Return all images of one prompt, one row each."""
    model, rng = models()["model"], np.random.default_rng(0)
    negatives = draw(prompt, rng)
    jobs = [(number, seed) for number in range(len(negatives)) for seed in range(SEEDS)]
    rows = []
    for start in range(0, len(jobs), BATCH):
        batch = jobs[start : start + BATCH]
        texts = [negatives[number] for number, _ in batch]
        images = model.generate([prompt] * len(batch), texts, [seed for _, seed in batch])
        rows += judged(batch, images, prompt)
    words = pd.DataFrame({"candidate": range(len(negatives)), "negative": negatives})
    tables = {"table.csv": pd.DataFrame(rows), "candidates.csv": words}
    return {name: table.assign(prompt=prompt) for name, table in tables.items()}


def draw(prompt: str, rng: np.random.Generator) -> list[str]:
    """Draw different negative prompts that the model can take, the empty one first."""
    space: Space = antonym_space(prompt, toy_lexicon()) + nplib_space(prompt, NPLIB)
    chosen = {"": None}
    while len(chosen) < CANDIDATES:
        negative = space.decode(space.sample(rng)).negative
        try:
            models()["model"].check(prompt, negative)
        except PromptError:
            continue
        chosen[negative] = None
    return list(chosen)


@torch.no_grad()
def judged(batch: list[tuple[int, int]], images: torch.Tensor, prompt: str) -> list[dict]:
    """Return one row per image."""
    prompts = [prompt] * len(batch)
    losses = {name: loss(scorer)(images, prompts).tolist() for name, scorer in LOSSES.items()}
    verdicts = Verdicts(models()["judge"]).each(images, prompt)
    return [
        {"candidate": number, "seed": seed}
        | {name: round(values[k], 5) for name, values in losses.items()}
        | {check: verdicts[check][k] for check in CHECKS}
        for k, (number, seed) in enumerate(batch)
    ]


if __name__ == "__main__":
    parser = arguments(__doc__, "landscape", 18)
    parser.add_argument("--set", choices=SETS, default="hard", help="of prompts")
    parser.set_defaults(folder=None, prompts=None)
    options = parser.parse_args()
    name, prompts, count = SETS[options.set]
    parts = [(prompt,) for prompt in prompts(options.prompts or count)]
    settings = {
        "candidates": CANDIDATES,
        "seeds": SEEDS,
        "steps": Toy.steps,
        "scorers": scorers_digest(),
    }
    record(options.folder or RESULTS / name, parts, ["prompt"], run, settings, options.workers)
