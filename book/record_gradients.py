"""Record the agreement of cheap text gradients with the exact one: recorded/gradients.

    python book/record_gradients.py                       # 15 minutes on two cores; can be resumed
    python book/record_gradients.py --prompts 2 --folder runs/gradients              # a test run

At random points of the relaxed spaces of toy prompts, each estimator's gradient with respect to the
weights of the words is compared with the exact one, on the same seeds and for each loss. The mean
of each slot is subtracted, since the weights of a slot sum to 1 and only differences count. There
are two cosines: that of all slots together, which one steep slot can dominate, and the mean over
slots.
"""

import numpy as np
import pandas as pd
import torch
from recording import Tables, arguments, record
from scorers import MATCHER_AND_CLIP, loss

import dpodiff
from dpodiff.gradients import SDO, Checkpointed, DRTune, Shortcut, Truncated
from dpodiff.gradients.relaxation import Relaxed
from dpodiff.objective.queries import ValueAndGradient
from dpodiff.toy.digests import scorers_digest
from dpodiff.toy.prompts import hard_prompts
from dpodiff.toy.words import toy_lexicon

STEPS, SEEDS = 10, 2
PAPER = "spherical"  # the paper's loss
LOSSES = (PAPER, MATCHER_AND_CLIP)
LENGTHS = (1, 2, 4)
ESTIMATORS = (
    *(Shortcut(step, k) for k in LENGTHS for step in range(STEPS) if step + k <= STEPS),
    *(SDO(step) for step in range(STEPS)),
    *(Truncated(k) for k in (*LENGTHS, 8)),
    *(DRTune(k) for k in (*LENGTHS, 8)),
)


def run(prompt: str, name: str) -> Tables:
    """Return one row per estimator, for the loss of this name."""
    torch.set_num_threads(1)  # one process per core is 1.5 times as fast
    lexicon = toy_lexicon()
    space = dpodiff.synonym_space(prompt, lexicon) + dpodiff.antonym_space(prompt, lexicon)
    model = dpodiff.load("toy")
    model.steps = STEPS  # more than the default, so that the starts can be told apart
    objective = dpodiff.Objective(model, loss(name), space, range(SEEDS))
    rng = np.random.default_rng(0)
    weights = [weight.detach() for weight in Relaxed.start(space).gumbel(rng)]
    exact, rows = objective.gradient(weights, Checkpointed()), []
    for estimator in ESTIMATORS:
        before = objective.cost.spent
        slope = objective.gradient(weights, estimator)
        rows.append(
            {
                "prompt": prompt,
                "loss": name,
                "estimator": type(estimator).__name__,
                "step": getattr(estimator, "step", ""),
                "k": getattr(estimator, "k", ""),
                "cosine": round(cosine(slope, exact), 4),
                "cosine of a slot": round(slot_cosine(slope, exact), 4),
                "price": round(objective.cost.spent - before, 4),
            }
        )
    return {"table.csv": pd.DataFrame(rows)}


def cosine(first: ValueAndGradient, second: ValueAndGradient) -> float:
    """Return the cosine of two gradients over all slots."""
    return _cosine(torch.cat(_centered(first)), torch.cat(_centered(second)))


def slot_cosine(first: ValueAndGradient, second: ValueAndGradient) -> float:
    """Return the mean cosine over the slots with a gradient; of two equal words one has none."""
    pairs = zip(_centered(first), _centered(second))
    return float(np.mean([_cosine(a, b) for a, b in pairs if b.abs().max() > 0]))


def _centered(slope: ValueAndGradient) -> list[torch.Tensor]:
    return [gradient - gradient.mean() for gradient in slope.gradients]


def _cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(first, second, dim=0, eps=1e-30))


if __name__ == "__main__":
    options = arguments(__doc__, "gradients", 24).parse_args()
    parts = [(prompt, name) for prompt in hard_prompts(options.prompts) for name in LOSSES]
    settings = {"steps": STEPS, "seeds": SEEDS, "scorers": scorers_digest()}
    record(options.folder, parts, ["prompt", "loss"], run, settings, options.workers)
