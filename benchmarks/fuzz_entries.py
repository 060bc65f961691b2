"""Public functions of the package with the documented range of each parameter.

All images are gray images of a black box, so that a call takes milliseconds.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from fuzz_kinds import (
    Kind,
    anything,
    each,
    function,
    is_text,
    kind_of,
    number,
    of,
    optional,
    path,
    prompt,
    switch,
    text,
    texts,
    whole,
    without_texts,
)
from hypothesis import strategies as st

import dpodiff
from dpodiff import losses, plots
from dpodiff.gradients import Checkpointed, Full
from dpodiff.solvers.recipes import RECIPES
from dpodiff.spaces.contrasts import Contrast
from dpodiff.toy import captions, scenes
from dpodiff.toy.words import toy_lexicon

PROMPT = "a red ball on the sea"
SEED = whole(0, 2**32 - 1)
SEEDS = whole(1, 10_000, 3)
OFF = of(False, is_good=lambda value: isinstance(value, bool))  # a switch
TASK = of("improve", "attack")
FLAGS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)


@dataclass(frozen=True, repr=False)
class Entry:
    """A public function with the values of each parameter."""

    name: str
    call: Callable[..., Any]
    parameters: Mapping[str, Kind]


def entries(folder: Path) -> list[Entry]:
    """Return all entries; their files are in the folder."""
    groups = (_front, _results, _spaces, _files, _solvers, _losses, _figures, _toy)
    return [entry for group in groups for entry in group(folder)]


def paint(prompt: str, negative_prompt: str, seed: int) -> np.ndarray:
    """Return a gray image, which is lighter for longer negative prompts."""
    return np.full((4, 4, 3), min(1.0, 0.3 + len(negative_prompt) / 200 + seed % 7 / 100))


GRAY = dpodiff.BlackBox(paint)
LEXICON = dpodiff.Dictionary({"red": ["crimson"], "ball": ["orb"]}, {"red": ["green"]})
SPACE = dpodiff.nplib_space(PROMPT, ["dark", "ugly", "bad"], slots=2)
EMPTY = dpodiff.Space(PROMPT)
IMAGES = torch.full((2, 3, 8, 8), 0.5)


def _is_space(value: Any) -> bool:
    names = ("antonym", "emphasis", "guidance", "modifiers", "nplib", "synonym")
    if isinstance(value, str):
        return all(name.strip() in names for name in value.split("+"))
    return isinstance(value, dpodiff.Space)


def _are_margins(value: Any) -> bool:
    finite = number(0.0).is_good
    return isinstance(value, dict) and all(
        is_text(key) and finite(margin) for key, margin in value.items()
    )


def _is_first(value: Any) -> bool:
    def is_words(one: Any) -> bool:
        return isinstance(one, str) or (
            isinstance(one, list | tuple | range) and all(isinstance(word, str) for word in one)
        )

    return value is None or (isinstance(value, list | tuple | range) and all(map(is_words, value)))


def _front(folder: Path) -> list[Entry]:
    shared = {
        "prompt": prompt(PROMPT),
        "negative_prompt": prompt("", "blurry", empty=True),
        "loss": of("white", losses.black, losses.white),
        "lexicon": of(None, "toy", LEXICON),
        "seeds": SEEDS,
        "seed": SEED,
        "batch_size": optional(whole(1)),
        "trace": optional(path(folder / "trace.jsonl")),
        "callback": optional(function(lambda record: record.index > 3)),
    }
    words = {
        "space": of("nplib", "antonym+nplib", SPACE, is_good=_is_space),
        "solver": of("epo", "random", "forward", "tpe", *map(dpodiff_solver, ("EPO", "TPE"))),
        "first": of(None, (), [["ugly"]], is_good=_is_first),
        "budget": whole(1, 10**6, 5),
        "seconds": optional(number(5.0, 60, above=0)),
        "verify": of(None, 0, 6, 7),
        "second_loss": of(None, "white", losses.black, {"b": losses.black}),
        "locked": texts((), ["red"], is_good=lambda value: set(value) <= {*PROMPT.split(), "a"}),
    }
    quiet = {"progress": OFF}
    gray = partial(dpodiff.improve, model=GRAY)
    return [
        Entry(
            "improve",
            gray,
            {**shared, **words, **quiet, "task": TASK, "constraint": optional(function(any))},
        ),
        Entry(
            "attack",
            partial(dpodiff.attack, model=GRAY),
            {
                **shared,
                **words,
                **quiet,
                "similarity": number(0.0, -1, 0.5, least=-1, most=1),
                "encoder": function(lambda texts: torch.ones(len(texts), 2)),
            },
        ),
        Entry(
            "align",
            partial(dpodiff.align, model=GRAY),
            {
                **shared,
                **quiet,
                "method": of("best-of-n"),
                "estimator": of(None),
                "eta": number(0.0, least=0, most=0),
                "space": of(None),
                "budget": whole(1, 10**6, 5),
                "task": TASK,
                "viewer": optional(function(print)),
            },
        ),
        Entry("model", dpodiff_model, {"model": of(GRAY), "prompt": prompt(PROMPT)}),
        Entry(
            "load",
            dpodiff.load,
            {"model": of("no model"), "device": of(None, "cpu"), "offload": of(False)},
        ),
        Entry(
            "faithfulness",
            dpodiff.faithfulness,
            {
                "images": of(IMAGES),
                "prompt": prompt(PROMPT),
                "clip": of(losses.load("toy")),
                "lexicon": of(None, "toy", LEXICON),
            },
        ),
        Entry(
            "LLM",
            dpodiff.LLM,
            {
                "model": text("gpt-4o"),
                "mode": of("default", "keyword"),
                "cache": optional(path(folder)),
                "timeout": number(1.0, above=0, most=3600),
                "retries": whole(0, 100),
            },
        ),
        Entry(
            "BlackBox",
            dpodiff.BlackBox,
            {
                "generate": function(paint),
                "name": text("gray", ""),
                "workers": whole(1, 1000),
                "retries": whole(0),
                "pause": number(0.0, 1, least=0),
            },
        ),
        Entry("a black box's image", black_box, _black_box()),
    ]


def dpodiff_solver(name: str) -> Callable[..., Any]:
    return getattr(dpodiff, name)


def dpodiff_model(model: Any, prompt: str) -> Any:
    """Call `improve` with a custom model."""
    settings = {"loss": "white", "space": "nplib", "budget": 1, "seeds": 1, "progress": False}
    return dpodiff.improve(prompt, model=model, verify=0, **settings)


def _black_box() -> dict[str, Kind]:
    def give(image: Any) -> Callable[..., Any]:
        return lambda *job: image

    def raises(*job: Any) -> Any:
        raise ConnectionError("lost")

    good = [np.full((4, 4, 3), 0.5), torch.zeros(3, 4, 4), np.zeros((4, 4, 3), np.uint8)]
    bad = [
        None,
        3,
        "x",
        [],
        np.full((4, 4, 3), np.nan),
        torch.zeros(4, 4),
        np.zeros((4, 4, 3), int),
    ]
    return {"generate": function(*map(give, [*good, *bad]), raises), "retries": whole(0)}


def black_box(**arguments: Any) -> Any:
    """Return an image of a black box."""
    return dpodiff.BlackBox(**arguments, pause=0).generate([PROMPT], [""], [0])


def _results(folder: Path) -> list[Entry]:
    settings = {"model": GRAY, "loss": "white", "space": SPACE, "budget": 4, "progress": False}
    found = dpodiff.improve(PROMPT, verify=0, **settings)
    result, named = kind_of(dpodiff.Result, found), {"white": losses.white}

    class Judge:
        def measures(self, images: Any, prompt: str) -> dict[str, float]:
            return {"brightness": float(images.mean())}

    judge = of(None, Judge())
    mapping = of({}, named, is_good=lambda value: isinstance(value, dict) and not value)
    clip = losses.load("toy")
    images = torch.full((2, 3, 64, 64), 0.5)
    row = kind_of(np.ndarray, np.linspace(-1, 1, 8), np.arange(7))
    differences = each(number(), [-0.1, -0.2, 0.1, -0.3, -0.1, -0.2, -0.5], np.linspace(-1, 0, 9))
    return [
        Entry(
            "verify",
            dpodiff.verify,
            {
                "result": result,
                "seeds": whole(6, 10_000, 8),
                "finalists": whole(1),
                "losses": optional(mapping),
                "level": number(0.5, 0.9, above=0, most=1 - 1e-9),
                "progress": OFF,
            },
        ),
        Entry(
            "held_out",
            dpodiff.held_out,
            {
                "result": result,
                "seeds": each(SEED, [100, 101], range(50, 52), empty=False),
                "losses": mapping,
                "judge": judge,
                "encoder": optional(function(lambda texts: torch.ones(len(texts), 2))),
                "clip": of(None),
            },
        ),
        Entry(
            "on_search_seeds",
            dpodiff.on_search_seeds,
            {"result": result, "losses": mapping, "judge": judge},
        ),
        Entry(
            "visual_distance",
            dpodiff.visual_distance,
            {"before": of(images), "after": of(images), "clip": of(clip)},
        ),
        Entry(
            "paired_bootstrap",
            dpodiff.paired_bootstrap,
            {
                "differences": Kind(row.good, differences.is_good),
                "level": number(0.9, above=0, most=1 - 1e-9),
                "resamples": whole(1, 10**7, 50),
                "seed": SEED,
            },
        ),
        Entry(
            "subset_interval",
            dpodiff.subset_interval,
            {"differences": differences, "level": number(0.9, above=0, most=1 - 1e-9)},
        ),
        Entry(
            "verdict",
            dpodiff.verdict,
            {
                "claim": text("it is better"),
                "difference": of(dpodiff.paired_bootstrap([-0.1, -0.2]), (0.0, -1.0, 1.0)),
                "prompts": number(12, 3, least=0),
                "better": of("lower", "higher"),
            },
        ),
        Entry(
            "Budget",
            dpodiff.Budget,
            {"evaluations": whole(1, 10**6), "seconds": optional(number(1.0, above=0))},
        ),
        Entry(
            "Objective",
            dpodiff.Objective,
            {
                "model": of(GRAY),
                "loss": function(losses.white),
                "space": kind_of(dpodiff.Space, SPACE),
                "seeds": each(SEED, [0, 1], range(2), empty=False),
                "task": TASK,
                "constraint": optional(function(any)),
                "batch_size": optional(whole(1)),
                "eta": number(0.0, 1, 0.5, least=0, most=1),
            },
        ),
        Entry(
            "search",
            searched,
            {
                "budget": of(dpodiff.Budget(3)),
                "trace": of(None),
                "callback": optional(function(lambda record: True)),
            },
        ),
    ]


def searched(**arguments: Any) -> Any:
    objective = dpodiff.Objective(GRAY, losses.white, SPACE, [0])
    return dpodiff.search(dpodiff.RandomSearch(SPACE), objective, progress=False, **arguments)


def _spaces(folder: Path) -> list[Entry]:
    lexicon = of(LEXICON, toy_lexicon())
    said = {
        "prompt": text(PROMPT),
        "negative_prompt": text("", "dark"),
    }
    stand = texts((), ["red"], ["on the"], is_good=lambda value: set(value) <= {*PROMPT.split()})
    built = {
        **said,
        "lexicon": lexicon,
        "locked": stand,
        "keywords": optional(stand),
        "most": whole(0),
    }
    library = texts(
        ["dark", "ugly", "bad"], is_good=lambda value: any(word.strip() for word in value)
    )
    candidate = each(whole(0, 1), (0, 1), [1, 1])
    two = Kind(candidate.good, lambda v: isinstance(v, list | tuple) and _fits(v))
    rng = kind_of(np.random.Generator, np.random.default_rng(0))
    position = dpodiff.nplib_space(PROMPT, ["dark", "ugly"], slots=2)
    contrast = Contrast("a green ball", "red", "green")
    words = {"a": ["b"]}
    return [
        Entry(
            "Slot",
            dpodiff.Slot,
            {
                "text": text("red", empty=False),
                "choices": each(text(), ("red", "crimson"), ["red"], empty=False),
                "side": of("positive", "negative", "modifier", "guidance", "emphasis"),
                "start": optional(whole(0)),
            },
        ),
        Entry(
            "Space",
            dpodiff.Space,
            {**said, "slots": each(kind_of(dpodiff.Slot), (), SPACE.slots)},
        ),
        Entry(
            "Space.from_json",
            from_json,
            {
                "change": anything(FLAGS),
                "at": anything(st.integers(0, 8)),
            },
        ),
        Entry("Space.decode", position.decode, {"candidate": two}),
        Entry("Space.choose", position.choose, {"words": texts((), ["ugly"], ["dark", "ugly"])}),
        Entry("Space.sample", position.sample, {"rng": rng}),
        Entry("Space.sample_near", position.sample_near, {"rng": rng, "most": whole(1)}),
        Entry(
            "Space.mutate",
            position.mutate,
            {"candidate": two, "rng": rng, "rate": number(0.5, least=0, most=1)},
        ),
        Entry("Space.crossover", position.crossover, {"a": two, "b": two, "rng": rng}),
        Entry("synonym_space", dpodiff.synonym_space, {**built, "droppable": switch()}),
        Entry("antonym_space", dpodiff.antonym_space, built),
        Entry(
            "nplib_space",
            dpodiff.nplib_space,
            {**said, "words": library, "slots": optional(whole(1, 3, 3))},
        ),
        Entry(
            "modifiers_space",
            dpodiff.modifiers_space,
            {**said, "words": texts(["dark", "ugly", "bad"]), "slots": optional(whole(1, 3, 3))},
        ),
        Entry(
            "guidance_space",
            dpodiff.guidance_space,
            {
                **said,
                "scales": each(number(above=1), [2.0, 3], (7.5,)),
                "own": optional(number(3.0)),
            },
        ),
        Entry(
            "emphasis_space",
            dpodiff.emphasis_space,
            {**said, "weights": each(number(above=0, most=2), [0.8, 1.2]), "locked": stand},
        ),
        Entry("describe", dpodiff.describe, {"space": kind_of(dpodiff.Space, SPACE)}),
        Entry("extract_keywords", dpodiff.extract_keywords, {"prompt": text(PROMPT)}),
        Entry(
            "contrast_prompts",
            dpodiff.contrast_prompts,
            {"prompt": prompt(PROMPT, empty=True), "lexicon": lexicon, "most": whole(0)},
        ),
        Entry(
            "statements",
            dpodiff.statements,
            {"prompt": prompt(PROMPT, empty=True), "lexicon": lexicon, "most": whole(0)},
        ),
        Entry(
            "contrasts_of",
            dpodiff.contrasts_of,
            {"prompt": prompt(PROMPT, empty=True), "lexicon": lexicon, "most": whole(0)},
        ),
        Entry(
            "diagnosed_candidates",
            dpodiff.diagnosed_candidates,
            {
                "space": kind_of(dpodiff.Space, SPACE),
                "contrasts": each(kind_of(Contrast), [], [contrast]),
                "margins": of({}, {contrast.prompt: -0.1}, is_good=_are_margins),
                "below": number(0.0, 1),
                "most": whole(0),
            },
        ),
        Entry(
            "Dictionary",
            dpodiff.Dictionary,
            {"synonyms": of(None, {}, words), "antonyms": of(None, {}, words)},
        ),
        Entry(
            "Similarity",
            dpodiff.Similarity,
            {
                "prompt": text(PROMPT),
                "encoder": function(lambda texts: torch.ones(len(texts), 2)),
                "threshold": number(0.9, least=-1, most=1),
            },
        ),
        Entry(
            "load_encoder",
            dpodiff.load_encoder,
            {"name": without_texts(of("toy")), "device": of(None, "cpu")},
        ),
    ]


def _fits(value: Any) -> bool:
    whole = all(isinstance(i, int) and not isinstance(i, bool) and i in (0, 1) for i in value)
    return len(value) == 2 and whole


def from_json(change: Any, at: int) -> Any:
    """Return a space from its JSON with one value replaced."""
    data = SPACE.to_json()
    slot = data["slots"][0]
    places = [(data, name) for name in data] + [(slot, name) for name in slot]
    if at < len(places):
        where, name = places[at]
        where[name] = change
    return dpodiff.Space.from_json(change if at == len(places) else data)


def _files(folder: Path) -> list[Entry]:
    good = {PROMPT: {"synonym": {"ball": ["orb"]}, "keywords": ["ball"]}}
    (folder / "spaces.json").write_text(json.dumps(good))
    (folder / "prompts.txt").write_text("a red ball\n")
    content = anything(
        st.binary(max_size=60)
        | FLAGS.map(lambda value: json.dumps(value).encode())
        | FLAGS.map(lambda value: json.dumps({PROMPT: {"synonym": value}}).encode())
        | st.just(b"[" * 100_000)
    )
    spaces = path(folder / "spaces.json", str(folder / "spaces.json"))
    lines = anything(
        FLAGS.map(lambda value: (json.dumps(value) + "\n").encode())
        | FLAGS.map(lambda value: json.dumps({"stamp": value}).encode())
        | st.binary(max_size=60)
    )

    def of_content(name: str, read: Callable[[Path], Any], file: str) -> Entry:
        def call(content: bytes) -> Any:
            (folder / file).write_bytes(content)
            return read(folder / file)

        return Entry(f"{name}, content", call, {"content": lines if "Trace" in name else content})

    def record(file: str) -> Callable[[bytes], Any]:
        source = Path(dpodiff.results.__file__).parent / "recorded" / "claims"

        def call(content: bytes) -> Any:
            (folder / "claims").mkdir(exist_ok=True)
            for name in ("stamp.json", "table.csv"):
                (folder / "claims" / name).write_bytes(
                    content if name == file else (source / name).read_bytes()[:5000]
                )
            return dpodiff.Recorded.load("claims", folder)

        return call

    return [
        Entry("read_prompts", dpodiff.read_prompts, {"path": path(folder / "prompts.txt")}),
        of_content("read_prompts", dpodiff.read_prompts, "any.json"),
        of_content("read_prompts", dpodiff.read_prompts, "any.txt"),
        Entry(
            "read_spaces",
            dpodiff.read_spaces,
            {
                "path": spaces,
                "kinds": of(("synonym",), ["synonym", "antonym"]),
                "mode": of("default", "keyword"),
                "droppable": switch(),
            },
        ),
        of_content("read_spaces", dpodiff.read_spaces, "any.json"),
        Entry(
            "write_spaces",
            dpodiff.write_spaces,
            {
                "path": path(folder / "written.json"),
                "spaces": each(kind_of(dpodiff.Space), [], [EMPTY], (EMPTY,)),
                "overwrite": switch(),
            },
        ),
        of_content("Trace.load", dpodiff.Trace.load, "any.jsonl"),
        Entry(
            "Recorded.load",
            dpodiff.Recorded.load,
            {"name": text("claims"), "folder": path(dpodiff.results.records.RESULTS)},
        ),
        Entry("Recorded.load, stamp", record("stamp.json"), {"content": content}),
        Entry("Recorded.load, table", record("table.csv"), {"content": content}),
    ]


def _solvers(folder: Path) -> list[Entry]:
    space = {"space": kind_of(dpodiff.Space, SPACE), "seed": SEED}
    noise, steps = of(torch.zeros(2, 1, 3, 4, 4)), of(50, 25, is_good=whole(1, 100_000).is_good)
    above, share = number(0.5, above=0), number(0.0, 0.5, least=0, most=1)
    first = of((), [(0, 1)], [(1, 0), (0, 0)], is_good=_is_empty)
    epo = {
        "population": of(4, 6, is_good=whole(2, 100_000).is_good),
        "parents": of(2, 3, is_good=whole(2, 6).is_good),
        "mutations": whole(0, 100_000),
        "rate": share,
        "crossovers": whole(0, 100_000),
    }
    descent = {**space, "noise": noise, "lr": above, "gamma": number(0.0, least=0)}
    solver, cls = dpodiff.RandomSearch(SPACE), dpodiff
    value = st.floats() | st.integers()
    return [
        Entry("RandomSearch", cls.RandomSearch, {**space, "batch": whole(1)}),
        Entry("Listed", cls.Listed, {**space, "first": of([(0, 1)], [(1, 0), (0, 0)])}),
        Entry("EPO", cls.EPO, {**space, **epo, "changed": optional(whole(1)), "first": first}),
        Entry("TPE", cls.TPE, {**space, "startup": whole(1), "batch": whole(1), "first": first}),
        Entry(
            "ForwardSelection",
            cls.ForwardSelection,
            {**space, "singles": whole(1), "batch": whole(1), "ridge": above, "first": first},
        ),
        Entry("GPO", cls.GPO, {**space, "steps": steps, "temperature": above, "lr": above}),
        Entry("HPO", cls.HPO, {**space, **epo, "steps": steps}),
        Entry("PEZ", cls.PEZ, {**space, "steps": steps, "lr": above, "patience": whole(1)}),
        Entry("DNO", cls.DNO, {**descent, "k": whole(1), "permutations": whole(1, 100_000)}),
        Entry("ReNO", cls.ReNO, {**descent, "steps": whole(1, 100_000), "every": whole(1)}),
        Entry(
            "ZeroOrder",
            cls.ZeroOrder,
            {
                **space,
                "noise": noise,
                "radius": number(0.3, above=0, most=1),
                "neighbors": whole(1),
            },
        ),
        Entry(
            "Hybrid",
            cls.Hybrid,
            {"samples": whole(1, 100_000), "mu": above, "estimator": of(Full(), Checkpointed())},
        ),
        Entry(
            "Rung",
            dpodiff.solvers.Rung,
            {"step": optional(whole(1)), "seeds": optional(whole(1)), "best_of": whole(2)},
        ),
        Entry(
            "Solver.tell",
            solver.tell,
            {
                "candidates": of([(0, 1)], [(1, 1)], is_good=_is_empty),
                "values": Kind(
                    st.lists(value, min_size=1, max_size=1),
                    lambda v: each(whole(-(10**40), 10**40)).is_good(v) or _are_floats(v),
                ),
            },
        ),
        Entry(
            "recipes",
            recipe,
            {
                # "llm" needs another kind of space.
                "name": anything(st.sampled_from([name for name in RECIPES if name != "llm"])),
                **space,
                "steps": anything(st.just(50)),
            },
        ),
    ]


def _is_empty(value: Any) -> bool:
    return isinstance(value, list | tuple | set | range) and not value


def _are_floats(values: Any) -> bool:
    return isinstance(values, list | np.ndarray) and all(isinstance(v, float) for v in values)


def recipe(name: str, space: Any, steps: int, seed: int) -> Any:
    return RECIPES[name](space, steps=steps, seed=seed)


def _losses(folder: Path) -> list[Entry]:
    mapping = {losses.white: 1.0, losses.black: 0.5}
    clip = losses.load("toy")

    def judged(loss: Any, **arguments: Any) -> Any:
        return loss(**arguments)

    def given(found: Any) -> Any:
        """Run a search with a loss that returns this value."""
        settings = {"model": GRAY, "space": SPACE, "budget": 1, "seeds": 2, "progress": False}
        return dpodiff.improve(PROMPT, loss=lambda *_: found, verify=0, **settings)

    numbers = each(number(), [0.5, 1.0], np.zeros(2), torch.zeros(2), np.arange(2))
    pair = Kind(numbers.good, lambda v: _is_pair(v))
    called = {"images": of(IMAGES), "prompts": texts([PROMPT] * 2, is_good=lambda v: len(v) == 2)}
    return [
        Entry(
            "losses.load",
            losses.load,
            {
                "name": of("white", "jpeg"),
                "device": of(None, "cpu"),
                "statements": optional(function(len)),
            },
        ),
        Entry("Weighted", dpodiff.Weighted, {"weights": of(mapping)}),
        Entry(
            "Ensemble",
            dpodiff.Ensemble,
            {
                "losses": of([losses.white, losses.black], ["white", "black"]),
                "combine": of("mean", "worst", "bound"),
                "kappa": number(1.0, least=0),
                "location": of(None),
                "scale": of(None),
            },
        ),
        Entry("SphericalCLIP()", partial(judged, clip), called),
        Entry(
            "losses.white()",
            partial(judged, losses.white),
            called,
        ),
        Entry("a loss's values", given, {"found": pair}),
        Entry("a model's images", made, {"found": _images()}),
    ]


def _is_pair(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return tuple(value.shape) == (2,) and not value.is_complex() and value.dtype != torch.bool
    if isinstance(value, np.ndarray):
        return value.shape == (2,) and value.dtype.kind in "iuf"
    real = isinstance(value, list | tuple) and len(value) == 2
    return real and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)


def _images() -> Kind:
    good = torch.zeros(1, 3, 4, 4), np.zeros((1, 4, 4, 3)), [np.zeros((4, 4, 3), np.uint8)]
    bad = torch.full((1, 3, 4, 4), torch.nan), torch.zeros(2, 3, 4, 4), np.zeros((1, 4, 4))
    kind = of(*good)
    return Kind(kind.good, kind.is_good, kind.others | st.sampled_from([*bad, [None], [b"x"]]))


def made(found: Any) -> Any:
    """Evaluate images of a custom model."""

    class Own:
        name, device, forwards, backwards = "own", torch.device("cpu"), 0, 0
        takes_negative = True

        def check(self, prompt: str, negative_prompt: str = "") -> None:
            """Accept all prompts."""

        def generate(self, prompts: Any, negative_prompts: Any, seeds: Any) -> Any:
            return found

    return dpodiff.Objective(Own(), losses.white, SPACE, [0]).evaluate([(0, 0)])


def _figures(folder: Path) -> list[Entry]:
    points = {"a": ([1, 2], [0.5, 0.4])}
    curves = of({}, points, {"$x$": ([1], [2.0])})
    labels = {"xlabel": text("x", "$x$"), "ylabel": text("y", "_")}
    images = of(IMAGES, IMAGES.numpy())
    likely = [[0.2, 0.8, 0.0][: len(slot.choices)] for slot in SPACE.slots]
    space = kind_of(dpodiff.Space, SPACE)
    table = pd.DataFrame({"mean": [0.1], "low": [0.0], "high": [0.2]}, index=["$a_b$"])
    shares = pd.DataFrame([[0.1, 0.2]], index=["red <ball>"])
    cloud = {"even": np.full((4, 3), 1 / 3)}
    center = of(None, [0.2, 0.3, 0.5], is_good=lambda v: v is None or _is_row(v, 3))
    return [
        Entry("plots.lines", plots.lines, {"curves": curves, **labels, "markers": switch()}),
        Entry("plots.scatter", plots.scatter, {"clouds": curves, **labels, "diagonal": switch()}),
        Entry(
            "plots.strip",
            plots.strip,
            {"before": images, "after": images, "texts": of(("a", "$b$"), ("", ""))},
        ),
        Entry(
            "plots.contact_sheet",
            plots.contact_sheet,
            {
                "images": images,
                "titles": optional(texts(["a", "_"], is_good=lambda v: len(v) == 2)),
                "columns": whole(1, 100),
            },
        ),
        Entry(
            "plots.slider",
            plots.slider,
            {
                "frames": of([IMAGES]),
                "labels": texts(["<b>"], is_good=lambda labels: len(labels) == 1),
                "columns": whole(1, 100),
            },
        ),
        Entry(
            "plots.distribution", plots.distribution, {"space": space, "probabilities": of(likely)}
        ),
        Entry(
            "plots.learned",
            plots.learned,
            {"space": space, "history": of([likely]), "columns": whole(1, 100)},
        ),
        Entry(
            "plots.population",
            plots.population,
            {
                "space": space,
                "candidates": of([(0, 1), (1, 1)]),
                "values": each(number(), [0.1, 0.2], (1, 2)),
                "parents": whole(0),
            },
        ),
        Entry(
            "plots.triangle",
            plots.triangle,
            {
                "clouds": of(cloud),
                "corners": texts(("a", "", "$c$"), is_good=lambda v: len(v) == 3),
                "center": center,
            },
        ),
        Entry("plots.intervals", plots.intervals, {"frame": of(table), "xlabel": text("x")}),
        Entry(
            "plots.statements",
            plots.statements,
            {"images": images, "probabilities": of(shares), "holds": of(shares > 0.15)},
        ),
        Entry("plots.convergence", plots.convergence, {"runs": of(_curves()), "ylabel": text("y")}),
    ]


def _is_row(value: Any, count: int) -> bool:
    return each(number()).is_good(value) and len(value) == count


def _curves() -> pd.DataFrame:
    return dpodiff.Recorded.load("claims").of("random", "epo").curves.head(20)


def _toy(folder: Path) -> list[Entry]:
    from dpodiff.toy.render import render_batch

    scene = scenes.Scene((scenes.Thing("ball", "red", "small"),), background="sea")
    rng = kind_of(np.random.Generator, np.random.default_rng(0))
    share = number(0.5, least=0, most=1)

    def is_known(prompt: Any) -> bool:
        words = re.findall(r"[^\W_]+", prompt.lower()) if isinstance(prompt, str) else ["?"]
        return set(words) <= captions.known_words()

    return [
        Entry("toy.captions.parse", captions.parse, {"text": text(PROMPT)}),
        Entry(
            "toy.captions.caption",
            captions.caption,
            {"scene": of(scene), "style": of(*captions.STYLES), "rng": rng},
        ),
        Entry(
            "toy.random_scene",
            scenes.random_scene,
            {"rng": rng, "pair_share": share, "defect_share": share, "typical": switch()},
        ),
        Entry("toy.render_batch", render_batch, {"scenes": of([scene]), "rng": rng}),
        Entry(
            "toy.Model.check",
            dpodiff.load("toy").check,
            {"prompt": of(PROMPT, is_good=is_known), "negative_prompt": of("", is_good=is_known)},
        ),
    ]
