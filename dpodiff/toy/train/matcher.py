"""Stage `matcher`: it learns which words of a caption hold for an image.

Each image of a pool is used with its own caption and with captions in which something is exchanged.
Labels come from the renderer's scenes, never from the judge, and the images are not those of the
judge.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from dpodiff.toy.captions import STYLES, caption, parse, stated
from dpodiff.toy.matcher import LENGTH, Matcher, content_words
from dpodiff.toy.scenes import (
    BACKGROUNDS,
    COLORS,
    OBJECTS,
    RELATIONS,
    SIZES,
    Scene,
    Thing,
    pick,
    random_scene,
)
from dpodiff.toy.train.clip import augment
from dpodiff.toy.train.corrupted import Shown
from dpodiff.toy.train.data import MIRRORED
from dpodiff.toy.train.fitting import Recipe, fit
from dpodiff.toy.train.recognition import Pool, drawn_image
from dpodiff.toy.words import CONCEPTS, concept_of

FRESH_SHARE = 0.6  # share of a batch; the pool alone would be memorized
CAPTIONS = 4  # captions per image; the first one is unchanged
UNKNOWN = -100.0  # label of a word that the image neither confirms nor contradicts
RARE_SHARE = 0.3  # share of captions whose words are drawn with equal frequencies
OPTIONS = {"object": OBJECTS, "color": COLORS, "size": SIZES}


def train_matcher(
    folder: Path, out: Path, device: str, recipe: Recipe, pool: Pool, first: Matcher | None = None
) -> Matcher:
    """Train the matcher, from `first` if given, and write it to `out` as fp16 safetensors."""
    torch.manual_seed(recipe.seed)
    matcher = (first or Matcher()).requires_grad_(True).to(device)
    fresh = round(FRESH_SHARE * recipe.batch)

    def loss(step, rng, generator):
        index = rng.integers(len(pool.shown), size=recipe.batch - fresh)
        drawn = [drawn_image(rng) for _ in range(fresh)]
        painted = torch.from_numpy(np.stack([image for image, _ in drawn])).permute(0, 3, 1, 2)
        images = torch.cat([pool.images[index].float() / 255, painted])
        images = augment(images, generator).to(device)
        shown = [pool.shown[i] for i in index] + [label for _, label in drawn]
        pairs = [caption_with_labels(label, i, rng) for label in shown for i in range(CAPTIONS)]
        texts, labels = zip(*pairs)
        cells = matcher.cells(images)
        clean = torch.tensor([float(label.scene.defect is None) for label in shown])
        logits = matcher.word_logits(cells.repeat_interleave(CAPTIONS, 0), texts)
        return _binary(logits, torch.tensor(labels).to(device)) + _binary(
            matcher.clean_logits(cells), clean.to(device)
        )

    fit("matcher", matcher, loss, recipe, folder)
    save_file({k: v.half().contiguous() for k, v in matcher.state_dict().items()}, out)
    return matcher


def _binary(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy of the known labels, 0 or 1."""
    known = labels != UNKNOWN
    return F.binary_cross_entropy_with_logits(logits[known], labels[known])


def caption_with_labels(
    shown: Shown, changes: int, rng: np.random.Generator
) -> tuple[str, list[float]]:
    """Return a caption and a label per word: 1 if it holds, 0 if not, `UNKNOWN` if undecided.

    Args:
        shown: content of the image.
        changes: number of changes to the scene before it is described; from 3 on, another scene.
        rng: generator of changes and words.
    """
    scene = shown.scene.without_defect()
    if changes < 3:
        for _ in range(changes):
            scene = _changed(scene, rng)
    else:
        scene = random_scene(rng, pair_share=float(len(scene.things) > 1), defect_share=0.0)
    text = caption(stated(scene, rng), pick(rng, STYLES), rng)
    if rng.random() < RARE_SHARE:
        text = _evenly_worded(text, rng)
    return text, _labels(text, shown)


def _changed(scene: Scene, rng: np.random.Generator) -> Scene:
    """Return the scene with one change."""
    kinds = ["object", "object", "color", "color", "size", "size", "size", "background"]
    if len(scene.things) > 1:
        kinds += ["relation", "relation", "relation", "swap", "colors"]
    kind = pick(rng, kinds)
    if kind == "background":
        return dataclasses.replace(scene, background=pick(rng, BACKGROUNDS))
    if kind == "relation":
        return dataclasses.replace(scene, relation=pick(rng, RELATIONS))
    if kind == "swap":
        return dataclasses.replace(scene, things=scene.things[::-1])
    things = list(scene.things)
    if kind == "colors":
        a, b = things
        things = [dataclasses.replace(a, color=b.color), dataclasses.replace(b, color=a.color)]
    else:
        i = int(rng.integers(len(things)))
        taken = {thing.object for thing in things} if kind == "object" else ()
        options = [option for option in OPTIONS[kind] if option not in taken]
        things[i] = dataclasses.replace(things[i], **{kind: pick(rng, options)})
    return dataclasses.replace(scene, things=tuple(things))


def _evenly_worded(text: str, rng: np.random.Generator) -> str:
    """Return the text with the words of one piece replaced by other words of its concept."""
    words = text.split(" ")
    for i, word in enumerate(words):
        bare = word.strip(",")
        kind, concept = concept_of().get(bare, ("relation", ""))
        if kind not in ("relation", "background"):  # a background has its own preposition
            words[i] = word.replace(bare, pick(rng, CONCEPTS[kind][concept]))
    return " ".join(words)


def _labels(text: str, shown: Shown) -> list[float]:
    """Return one label per content word of the caption, padded to LENGTH."""
    labels: list[float] = []
    words = content_words(text)
    meanings = [concept_of().get(word, ("relation", "")) for word in words]
    said = [concept for kind, concept in meanings if kind == "object"]
    thing = 0  # attributes precede their object
    for kind, concept in meanings:
        if kind == "relation":
            labels.append(_relation_label(text, said, shown))
        elif kind == "background":
            labels.append(float(concept == shown.scene.background))
        elif thing < len(said):
            labels.append(_thing_label(kind, concept, said[thing], shown))
            thing += kind == "object"
        else:
            labels.append(UNKNOWN)
    return labels + [UNKNOWN] * (LENGTH - len(labels))


def _thing_label(kind: str, concept: str, name: str, shown: Shown) -> float:
    found: list[Thing] = [t for t in shown.things if t is not None and t.object == name]
    if kind == "object":
        return float(bool(found))
    if not found or (kind == "color" and shown.scene.defect == "monochrome"):
        return UNKNOWN
    return float(getattr(found[0], kind) == concept)


def _relation_label(text: str, said: list[str], shown: Shown) -> float:
    """Return whether the two things of a caption have the stated relation."""
    asked = parse(text).relation
    shows = [str(thing.object) for thing in shown.things if thing is not None]
    if asked is None or not shown.placed or len(said) < 2 or sorted(said[:2]) != sorted(shows):
        return UNKNOWN
    relation = str(shown.scene.relation)
    true = relation if said[0] == shows[0] else MIRRORED[relation]
    return float(asked == true)
