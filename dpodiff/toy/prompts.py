"""The three prompt sets of the toy world, 100 prompts each, held out from training.

There is one set per caption style, for the three sources of the DPO-Diff paper: "sentence" for
COCO, "chat" for ChatGPT, "tags" for DiffusionDB. Half of the prompts have one thing, half two.
"""

import json
from pathlib import Path

from dpodiff.toy.captions import STYLES

FOLDER = Path(__file__).parent / "data"


def prompt_set(style: str) -> dict[str, float]:
    """Return each prompt's probability of failure, by the matcher, over seeds 9000 to 9003.

    Raises:
        ValueError: if the style is unknown.

    Examples:
        >>> from dpodiff.toy.prompts import prompt_set
        >>> prompts = prompt_set("tags")
        >>> len(prompts), next(iter(prompts))
        (100, 'large red heart, snow, crisp')
    """
    if style not in STYLES:
        raise ValueError(f"unknown prompt set {style!r}; the sets are {', '.join(STYLES)}")
    return json.loads((FOLDER / f"prompts_{style}.json").read_text())


def hard_prompts(count: int, task: str = "improve") -> list[str]:
    """Return the hardest prompts of all three sets, an equal share of each, the hardest first.

    A prompt is hard to improve if its images fail often according to the matcher, and hard to
    attack if they rarely do.

    Examples:
        >>> from dpodiff.toy.prompts import hard_prompts
        >>> len(hard_prompts(6)), hard_prompts(6) == hard_prompts(6, task="attack")
        (6, False)
    """
    sign = -1 if task == "improve" else 1
    ranked = [sorted(prompts.items(), key=lambda item: sign * item[1]) for prompts in _all_sets()]
    turns = [item for rank in zip(*ranked) for item in rank][:count]
    return [prompt for prompt, _ in sorted(turns, key=lambda item: sign * item[1])]


def _all_sets() -> list[dict[str, float]]:
    return [prompt_set(style) for style in STYLES]
