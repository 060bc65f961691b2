"""Record the transfer of found prompts: dpodiff/results/recorded/transfer.

    python book/record_transfer.py --workers 1   # two minutes per prompt; can be resumed
    python book/record_transfer.py --prompts 1 --folder runs/transfer      # a test run

Each prompt is improved and attacked with the defaults on both toy models, with three losses. All
found prompts are scored on both models, on the seeds of the search and on new ones, by all losses
and by the judge, which no search uses. Half of the prompts are the hardest of those that were not
used to choose defaults, the others are of medium difficulty. All work on one prompt shares images,
so one process does it.
"""

from functools import cache
from itertools import product
from typing import Any

import pandas as pd
from recording import (
    Remembering,
    Tables,
    Verdicts,
    arguments,
    check_ended,
    mixed_prompts,
    models as toy_models,
    record,
)
from scorers import MATCHER_AND_CLIP, loss

import dpodiff
from dpodiff.api.defaults import default_second_losses
from dpodiff.results.transfer import over_prompts
from dpodiff.toy.captions import STYLES
from dpodiff.toy.digests import scorers_digest, weights_digest
from dpodiff.toy.model import Toy
from dpodiff.toy.prompts import prompt_set

PART = ("task", "found", "prompt")
MODELS = ("toy", "toy-small")
LOSSES = ("spherical", "spherical, held-out CLIP", MATCHER_AND_CLIP)
ORIGINS = {f"{model}: {name}": (model, name) for model, name in product(MODELS, LOSSES)}
TASKS = {"improve": dpodiff.improve, "attack": dpodiff.attack}
SETTINGS: dict[str, Any] = {"budget": 40, "seeds": 4, "verify": 40, "progress": False}
UNSEEN = range(1000, 1010)
UNTRIED = 100  # prompts that were not used to choose defaults


@cache
def models() -> dict[str, Remembering]:
    """Return both models by name, loaded once per process."""
    second = Remembering(dpodiff.load("toy-small"))
    return {"toy": toy_models()["model"], "toy-small": second}


def run(task: str, found: str, prompt: str) -> Tables:
    """Run one search, and return its found prompt with its transfer."""
    model, searched = ORIGINS[found]
    who = {"task": task, "found": found, "prompt": prompt}
    second = default_second_losses(models()[model]) if searched == MATCHER_AND_CLIP else None
    result = TASKS[task](
        prompt, model=models()[model], loss=loss(searched), second_loss=second, **SETTINGS
    )
    check_ended(result, who)
    table = dpodiff.transfer(
        {found: result.found},
        models(),
        {name: loss(name) for name in LOSSES},
        {"search seeds": result.seeds, "new seeds": UNSEEN},
        Verdicts(toy_models()["judge"]),
    )
    accepted = result.verification is not None and result.verification.accepted
    text = {
        "positive": result.found.prompts.positive,
        "negative": result.found.prompts.negative,
        "accepted": accepted,
        "spent": result.cost.spent,
        "seconds": round(result.cost.seconds, 3),
    }
    changes = table[["model", "seeds", "measure", "before", "after"]].round(5)
    return {
        "table.csv": changes.assign(accepted=accepted, **who),
        "found.csv": pd.DataFrame([text]).assign(**who),
    }


def prompts_of(count: int) -> list[str]:
    """Return alternating prompts of high and medium difficulty, by how often their images fail."""
    failing = {prompt: share for style in STYLES for prompt, share in prompt_set(style).items()}
    ranked = sorted(mixed_prompts(UNTRIED), key=lambda prompt: -failing[prompt])
    turns = zip(ranked, ranked[len(ranked) // 3 :])
    return list(dict.fromkeys(prompt for pair in turns for prompt in pair))[:count]


def main() -> None:
    options = arguments(__doc__, "transfer", 20).parse_args()
    parts = [
        (task, found, prompt)
        for prompt in prompts_of(options.prompts)
        for task, found in product(TASKS, ORIGINS)
    ]
    settings = {
        **{name: value for name, value in SETTINGS.items() if name != "progress"},
        "unseen_seeds": len(UNSEEN),
        "steps": Toy.steps,
        "guidance": Toy.guidance,
        "small weights": weights_digest("toy-small"),
        "scorers": scorers_digest(),
    }
    together = len(TASKS) * len(ORIGINS)  # number of searches per prompt
    record(options.folder, parts, PART, run, settings, options.workers, together)
    table = dpodiff.Recorded.load(options.folder.name, options.folder.parent).table
    cells = over_prompts(table, by=("task", "found", "model", "seeds", "measure"))
    print(cells[cells["measure"] == "judge, all and clean"].round(3).to_string(index=False))


if __name__ == "__main__":
    main()
