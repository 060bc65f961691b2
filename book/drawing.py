"""Candidates of a toy prompt from several spaces, for the record of the landscape."""

from typing import NamedTuple

import numpy as np

from dpodiff import Space, antonym_space, emphasis_space, nplib_space, synonym_space
from dpodiff.models.base import PromptError, TextToImage
from dpodiff.toy.train.defects import LIBRARY
from dpodiff.toy.words import CONCEPTS, NPLIB, PRAISE, toy_lexicon

GUIDANCES = (1.5, 2.0, 3.0, 4.0, 5.0, 7.5)
FIXED = (
    "duplicate, watermark",
    "dark, duplicate, watermark",
    "dark, watermark, duplicate, cropped, grainy",
    "bad, ugly, blurry, watermark, duplicate",
    LIBRARY,
)
MODIFIERS = (*PRAISE, "sharp, clean", "sharp, clean, detailed, crisp", ", ".join(PRAISE))
# Modifiers with a negative prompt.
BOTH = tuple(
    (words, negative)
    for words in ("sharp", "sharp, clean", "sharp, clean, detailed, crisp")
    for negative in ("bad, ugly", "dark, duplicate, watermark")
)
SPARSE = (2, 3)  # numbers of slots that a sparse candidate changes
FOR_ALL = ("guidance", "defect", "blame", "fixed", "modifier", "both")  # equal for all prompts
# Names in the table of the headroom -> spaces of the candidates.
NEGATIVE = ("defect", "blame", "fixed", "opposite", "sparse", "dense")
GROUPS = {
    "guidance": ("guidance",),
    "defect words": ("defect",),
    "fixed negative prompts": ("fixed", "blame"),
    "opposites": ("opposite",),
    "synonyms": ("synonym",),
    "modifiers": ("modifier",),
    "modifiers, fixed negatives": ("modifier", "both", "fixed", "blame"),
    "emphasis": ("emphasis",),
    "sparse negatives": ("sparse",),
    "dense negatives": ("dense",),
    "all negatives": NEGATIVE,
    "the default space": ("modifier", "both", *NEGATIVE),
    "all": ("guidance", "synonym", "modifier", "both", "emphasis", *NEGATIVE),
}


class Drawn(NamedTuple):
    """A candidate; guidance None is the model's default."""

    space: str
    positive: str
    negative: str
    guidance: float | None = None


def drawn(prompt: str, model: TextToImage, each: int, rng: np.random.Generator) -> list[Drawn]:
    """Draw different candidates that the model can take, the unchanged prompt first.

    Args:
        prompt: the user's own prompt.
        model: model that refuses unknown words.
        each: number of candidates of each large space.
        rng: random generator.
    """
    found = [Drawn("own", prompt, ""), *_fixed(prompt, getattr(model, "guidance", None))]
    lexicon = toy_lexicon()
    opposites = antonym_space(prompt, lexicon)
    found += _changed("opposite", opposites, (1,), each, rng)
    found += _changed("synonym", synonym_space(prompt, lexicon, droppable=True), (1,), each, rng)
    found += _changed("emphasis", emphasis_space(prompt), (1, 2), each, rng)
    negative = opposites + nplib_space(prompt, NPLIB)
    found += _changed("sparse", negative, SPARSE, each, rng)
    dense = (negative.decode(negative.sample(rng)) for _ in range(each))
    found += [Drawn("dense", *prompts) for prompts in dense]
    texts = {one[1:]: one for one in reversed(found)}  # the first of equal ones
    return [one for one in found if texts[one[1:]] is one and _takes(model, one)]


def _fixed(prompt: str, own: float | None) -> list[Drawn]:
    """Return the candidates that are the same for all prompts."""
    return [
        *(Drawn("guidance", prompt, "", g) for g in GUIDANCES if g != own),
        *(Drawn("defect", prompt, word) for word in CONCEPTS["defect"]),
        *(Drawn("blame", prompt, word) for word in ("bad", "ugly", "bad, ugly")),
        *(Drawn("fixed", prompt, negative) for negative in FIXED),
        *(Drawn("modifier", f"{prompt}, {words}", "") for words in MODIFIERS),
        *(Drawn("both", f"{prompt}, {words}", negative) for words, negative in BOTH),
    ]


def _changed(
    name: str, space: Space, slots: tuple[int, ...], each: int, rng: np.random.Generator
) -> list[Drawn]:
    """Draw different candidates that change a number of slots, at most as many as there are."""
    found: dict[tuple[int, ...], None] = {}
    for _ in range(20 * each):  # a small space may have fewer
        if len(found) == each:
            break
        candidate = list(space.identity)
        count = min(int(rng.choice(slots)), len(space.slots))
        for slot in rng.choice(len(space.slots), size=count, replace=False):
            candidate[slot] = int(rng.integers(1, len(space.slots[slot].choices)))
        found[tuple(candidate)] = None
    return [Drawn(name, *space.decode(candidate)) for candidate in found]


def _takes(model: TextToImage, candidate: Drawn) -> bool:
    try:
        model.check(candidate.positive, candidate.negative)
    except PromptError:
        return False
    return True
