"""Scene -> caption in three styles, and caption -> the scene that it states.

The styles represent the three sources of prompts in the DPO-Diff paper: "sentence" for COCO, "chat"
for ChatGPT, "tags" for DiffusionDB. Like web captions they leave attributes out: sizes in half of
the captions, defects in most of them, and sometimes a color or the background.
"""

import dataclasses
import functools
import re

import numpy as np

from dpodiff.checks import check_kind, check_text, shown
from dpodiff.toy.scenes import Scene, Thing, pick
from dpodiff.toy.words import (
    BACKGROUND_PHRASES,
    BLAME,
    CONCEPTS,
    NPLIB,
    PRAISE,
    concept_of,
    zipf,
)

STYLES = ("sentence", "chat", "tags")

# Probability that a caption names an attribute.
NAMED = {"color": 0.95, "size": 0.5, "background": 0.9, "relation": 0.95, "defect": 0.15}

SENTENCES = (
    "{things}{where}",
    "there is {things}{where}",
    "a {defect}picture of {things}{where}",
    "a {defect}photo of {things}{where}",
)
CHATS = (
    "imagine a calm {defect}scene with {things}{where}, drawn with care",
    "a cheerful {defect}picture that shows {things}, resting quietly{where}",
    "please draw {things}{where} in a simple {defect}style",
    "we look at {things}{where}, in a lovely and {defect}playful view",
)
MEDIA = ("vector art", "digital art", "icon", "flat design", "illustration")

# Shares of the training captions, by kind of image. Complaints are more frequent for defective
# images. Guidance moves away from images with the empty caption, so fewer defective images have
# one: otherwise guidance would remove the defects.
EMPTY_SHARE = {"clean": 0.10, "defective": 0.07}
COMPLAINT_SHARE = {"clean": 0.02, "defective": 0.45}
FEW_TAGS_SHARE = 0.05
CARELESS = 0.1  # share of the words of praise and blame that are at the wrong image
COMPLAINT_RIGHT = 0.9  # share of the complaints about a defective image that name its defect
COMPLAINT_WORDS = (1, 1, 1, 1, 1, 2, 2, 3, 5, 8)  # lengths of complaints, equally likely


def stated(scene: Scene, rng: np.random.Generator, complete: bool = False) -> Scene:
    """Drop attributes at random, as in captions; `complete` drops only the defect."""
    share = dict.fromkeys(NAMED, 1.0) | {"defect": 0.0} if complete else NAMED

    def keep(kind: str, value: str | None) -> str | None:
        return value if value is not None and rng.random() < share[kind] else None

    things = tuple(
        Thing(t.object, keep("color", t.color), keep("size", t.size)) for t in scene.things
    )
    return Scene(
        things,
        keep("relation", scene.relation),
        keep("background", scene.background),
        keep("defect", scene.defect),
    )


def caption(scene: Scene, style: str, rng: np.random.Generator, blamed: bool | None = None) -> str:
    """Return a caption of a stated scene; None fields are left out.

    Args:
        scene: the scene, usually from `stated`.
        style: "sentence", "chat" or "tags".
        rng: generator of the surface words, by their frequencies, and the template.
        blamed: whether a word of judgment in tags is one of blame instead of praise; None is blame
            if the scene states a defect.

    Raises:
        ValueError: if the style is unknown, or an argument is of a wrong kind.

    Examples:
        >>> from dpodiff.toy.captions import caption, parse
        >>> scene = parse("a red ball on the sea")
        >>> for style in ("sentence", "chat", "tags"):
        ...     print(caption(scene, style, np.random.default_rng(0)))
        a red ball on the sea
        imagine a calm scene with a red ball on the sea, drawn with care
        red ball, sea
    """
    if not isinstance(style, str) or style not in STYLES:
        raise ValueError(f"unknown caption style {shown(style)}; styles are {', '.join(STYLES)}")
    check_kind("scene", scene, Scene, "a Scene")
    check_kind("rng", rng, np.random.Generator, "a numpy.random.Generator")
    if style == "tags":
        return _tags(scene, rng, scene.defect is not None if blamed is None else blamed)
    words = _surface(scene, rng)
    where = f" {BACKGROUND_PHRASES[words.background]}" if words.background else ""
    templates = SENTENCES if style == "sentence" else CHATS
    if words.defect:
        templates = [t for t in templates if "{defect}" in t]
    defect = f"{words.defect} " if words.defect else ""
    text = pick(rng, templates).format(defect=defect, things=_things(words), where=where)
    return _fix_articles(text)


def parse(text: str) -> Scene:
    """Return the scene that a caption states, the inverse of `caption`; missing fields are None.

    Words that name no concept are ignored, so captions of all styles can be parsed, and so can
    prompts that people write with the words of this world. A third thing is ignored, and so is a
    relation without a second thing, as in "a ball under the sky".

    Raises:
        ValueError: if it is not a string.

    Examples:
        >>> from dpodiff.toy.captions import parse
        >>> scene = parse("a crimson ball left of a cup")
        >>> scene.things[0]
        Thing(object='ball', color='red', size=None)
        >>> scene.relation
        'left of'
    """
    check_text("text", text)
    things: list[Thing] = []
    pending: dict[str, str] = {}  # color and size before their object
    found: dict[str, str] = {}
    for phrase in _phrases(text.lower()):
        if phrase == ",":
            _attach(things, pending)
            continue
        kind, concept = concept_of()[phrase]
        if kind == "object":
            things.append(Thing(concept, pending.pop("color", None), pending.pop("size", None)))
        elif kind in ("color", "size"):
            pending[kind] = concept
        else:
            found.setdefault(kind, concept)
    _attach(things, pending)
    return Scene(
        tuple(things[:2]),
        relation=found.get("relation") if len(things) > 1 else None,
        background=found.get("background"),
        defect=found.get("defect"),
    )


def training_caption(scene: Scene, rng: np.random.Generator) -> str:
    """Return a random caption of the training distribution.

    About a tenth is empty (for classifier-free guidance), and some are complaints or a few tags, as
    in negative prompts. The rest has one of the three styles.
    """
    kind = "clean" if scene.defect is None else "defective"
    blamed = (scene.defect is not None) != (rng.random() < CARELESS)
    draw = rng.random() - EMPTY_SHARE[kind]
    if draw < 0:
        return ""
    if draw < COMPLAINT_SHARE[kind]:
        return _complaint(scene, rng)
    if draw < COMPLAINT_SHARE[kind] + FEW_TAGS_SHARE:
        return _few_tags(scene, rng, blamed)
    return caption(stated(scene, rng), pick(rng, STYLES), rng, blamed=blamed)


@functools.cache
def filler_words() -> frozenset[str]:
    """Return the words of the templates that name no concept."""
    text = " ".join((*SENTENCES, *CHATS, *MEDIA, "a an and the in on at of to"))
    return frozenset(re.sub(r"{\w+}|[^a-z ]", " ", text).split())


def surface_word(kind: str, concept: str, rng: np.random.Generator) -> str:
    """Return a random word for a concept, drawn by its frequency."""
    words = CONCEPTS[kind][concept]
    return words[int(rng.choice(len(words), p=zipf(len(words))))]


def _surface(scene: Scene, rng: np.random.Generator) -> Scene:
    """Return the scene with each concept replaced by one of its words."""

    def word(kind: str, concept: str | None) -> str | None:
        return None if concept is None else surface_word(kind, concept, rng)

    things = tuple(
        Thing(*(word(kind, getattr(t, kind)) for kind in ("object", "color", "size")))
        for t in scene.things
    )
    return dataclasses.replace(
        scene,
        things=things,
        relation=word("relation", scene.relation),
        background=word("background", scene.background),
        defect=word("defect", scene.defect),
    )


def _thing(thing: Thing) -> str:
    return " ".join(part for part in (thing.size, thing.color, thing.object) if part)


def _things(words: Scene) -> str:
    # Two things without a stated relation are joined by "and".
    return f" {words.relation or 'and'} ".join(f"a {_thing(t)}" for t in words.things)


def _tags(scene: Scene, rng: np.random.Generator, blamed: bool) -> str:
    words = _surface(scene, rng)
    things = f" {words.relation or 'and'} ".join(_thing(t) for t in words.things)
    judgment = BLAME if blamed else PRAISE
    tags = [things, words.background, words.defect]
    for options in (MEDIA, judgment):
        tag = pick(rng, options)
        if rng.random() < 0.5:
            tags.append(tag)
    return ", ".join(tag for tag in tags if tag)


def _complaint(scene: Scene, rng: np.random.Generator) -> str:
    """Return words of the negative prompt library about an image, which may be wrong.

    If they were always right, "blurry" would reliably mean a blurry image. Guidance away from it
    would then sharpen images that are sharp until they are grainy.
    """
    count = pick(rng, COMPLAINT_WORDS)
    words = [str(word) for word in rng.permutation(NPLIB)[:count]]
    if scene.defect and rng.random() < COMPLAINT_RIGHT:
        named = pick(rng, CONCEPTS["defect"][scene.defect][:2])
        words[int(rng.integers(count))] = named
    return ", ".join(dict.fromkeys(words))


def _few_tags(scene: Scene, rng: np.random.Generator, blamed: bool) -> str:
    """Return one to three single words about a scene."""
    words = _surface(scene, rng)
    judgment = pick(rng, BLAME if blamed else PRAISE)
    tags = [t for thing in words.things for t in dataclasses.astuple(thing)]
    tags += [words.background, judgment]
    chosen = rng.permutation(len(tags))[: int(rng.integers(1, 4))]
    picked = [tags[i] for i in chosen]
    # In such lists people mostly name the defect.
    if words.defect and rng.random() < 0.5:
        picked[0] = words.defect
    return ", ".join(picked)


@functools.cache
def _phrase_pattern() -> re.Pattern:
    return re.compile(r"\b(?:" + "|".join(map(re.escape, concept_of())) + r")\b|,")


def _phrases(text: str) -> list[str]:
    return _phrase_pattern().findall(text)


def _attach(things: list[Thing], pending: dict[str, str]) -> None:
    """Assign a color or size tag after an object ("ball, red") to that object."""
    if things and pending:
        things[-1] = dataclasses.replace(things[-1], **pending)
        pending.clear()


def _fix_articles(text: str) -> str:
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


@functools.cache
def known_words() -> frozenset[str]:
    """Return all words of this world's captions, in lower case, without punctuation.

    Examples:
        >>> from dpodiff.toy.captions import known_words
        >>> "crimson" in known_words(), "vermilion" in known_words()
        (True, False)
    """
    content = (*concept_of(), *BACKGROUND_PHRASES.values(), *PRAISE, *BLAME)
    return frozenset(word for text in content for word in text.split()) | filler_words()
