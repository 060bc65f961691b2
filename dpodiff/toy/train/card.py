"""Stage `card`: measure all numbers of the model card, and write it.

Numbers go to `model_card.json`, which the book reads, and the readable card to `model_card.md`.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dpodiff.results.statistics import paired_bootstrap
from dpodiff.toy.captions import STYLES, caption, parse, stated
from dpodiff.toy.judge import Judge
from dpodiff.toy.model import Toy
from dpodiff.toy.prompts import prompt_set
from dpodiff.toy.render import render_batch
from dpodiff.toy.scenes import BACKGROUNDS, COLORS, OBJECTS, Scene, Thing, random_scene
from dpodiff.toy.train.data import held_out_scenes
from dpodiff.toy.train.defects import measure
from dpodiff.toy.train.judge_labels import judge_on_generated
from dpodiff.toy.words import CONCEPTS

SEEDS = range(4)
BATCH = 16
STEPS, GUIDANCE = Toy.steps, Toy.guidance


def write_card(weights: Path, device: str) -> None:
    """Measure the models in `weights` and write both cards there."""
    from dpodiff import SphericalCLIP, load
    from dpodiff.toy.train.card_text import card_text

    model, judge = load("toy", device), Judge.load(weights / "judge.safetensors", device)
    clips = {name: SphericalCLIP(name, device=device) for name in ("toy", "toy-heldout")}
    prompts = [prompt for style in STYLES for prompt in prompt_set(style)]
    plain = judged(model, judge, prompts, "")
    third = prompts[::3]  # equally many of each style, and of one and two things
    blurred = judged(model, judge, third, "blurry")
    card = {
        "sampling": {"steps": STEPS, "guidance": GUIDANCE, "seeds": len(SEEDS)},
        **by_objects(plain),
        "small": by_objects(judged(load("toy-small", device), judge, prompts, "")),
        "judge": judge_accuracy(judge, device),
        "judge_on_generated": judge_on_generated(judge, [weights]),
        "defects": measure(model, judge),
        "retrieval": {name: retrieval(clip) for name, clip in clips.items()},
        "naming": {name: naming(clip) for name, clip in clips.items()},
        "vae_psnr": psnr(model),
        "negative_prompt": negative_effect([v for v in plain if v["prompt"] in third], blurred),
        "rare_words": rare_words(model, judge, clips["toy"]),
        "size": sizes(weights),
        "speed": speed(model),
    }
    (weights / "model_card.json").write_text(json.dumps(card, indent=1) + "\n")
    (weights / "model_card.md").write_text(card_text(card))


def images_of(
    model,
    jobs: list[tuple[str, str, int]],
    label: str,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
):
    """Yield batches of jobs (prompt, negative prompt, seed) with their images."""
    for start in tqdm(range(0, len(jobs), BATCH), label):
        batch = jobs[start : start + BATCH]
        prompts, negatives, seeds = (list(column) for column in zip(*batch))
        yield batch, model.generate(prompts, negatives, seeds, steps=steps, guidance=guidance)


def judged(
    model,
    judge: Judge,
    prompts: list[str],
    negative: str,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> list[dict]:
    """Return the judge's verdict per prompt and seed, with its defect and whether it is a pair."""
    jobs = [(prompt, negative, seed) for prompt in prompts for seed in SEEDS]
    verdicts = []
    label = f"negative prompt {negative!r}"
    for batch, images in images_of(model, jobs, label, steps, guidance):
        scenes = [parse(prompt) for prompt, _, _ in batch]
        seen = zip(batch, scenes, judge.read(images), judge.check(images, scenes))
        for (prompt, _, _), scene, read, verdict in seen:
            said = {"prompt": prompt, "pair": len(scene.things) == 2, "defect": read.defect}
            verdicts.append(verdict | said)
    return verdicts


def by_objects(verdicts: list[dict]) -> dict[str, dict[str, float]]:
    """Return `shares` separately for prompts with one object and with two."""
    return {
        "one_object": shares([v for v in verdicts if not v["pair"]]),
        "two_objects": shares([v for v in verdicts if v["pair"]]),
    }


def shares(verdicts: list[dict]) -> dict[str, float]:
    """Return the share of the images on which each attribute is right."""
    names = ("objects", "colors", "sizes", "relation", "background", "clean", "all")
    table = {name: float(np.mean([v[name] for v in verdicts])) for name in names}
    three = [v["objects"] and v["colors"] and v["background"] for v in verdicts]
    return table | {"object_color_background": float(np.mean(three)), "images": len(verdicts)}


def judge_accuracy(judge: Judge, device: str, count: int = 2000) -> dict[str, float]:
    """Compare the judge with new renders: attributes on clean ones, the defect on all kinds."""
    rng = np.random.default_rng(99)
    clean = [random_scene(rng, defect_share=0.0) for _ in range(count)]
    dirty = [random_scene(rng, defect_share=8 / 9) for _ in range(count)]
    verdicts, seen = [], []
    for start in range(0, count, 100):
        images = torch.from_numpy(render_batch(clean[start : start + 100], rng)).to(device)
        verdicts += judge.check(images, clean[start : start + 100])
        images = torch.from_numpy(render_batch(dirty[start : start + 100], rng)).to(device)
        seen += judge.read(images)
    names = ("objects", "colors", "sizes", "relation", "background", "clean")
    table = {name: float(np.mean([v[name] for v in verdicts])) for name in names}
    right = [a.defect == b.defect for a, b in zip(seen, dirty)]
    return table | {"defect": float(np.mean(right)), "mean": float(np.mean(list(table.values())))}


def retrieval(clip, rounds: int = 20, choices: int = 64) -> float:
    """Return the share of held-out images whose caption is nearest among 64, half of them pairs."""
    rng, hits = np.random.default_rng(98), []
    for _ in range(rounds):
        scenes = [
            scene
            for pair in (0.0, 1.0)
            for scene in held_out_scenes(choices // 2, rng, pair_share=pair, defect_share=0.0)
        ]
        texts = [
            caption(stated(s, rng, complete=True), STYLES[i % 3], rng) for i, s in enumerate(scenes)
        ]
        images = clip.features(torch.from_numpy(render_batch(scenes, rng)))
        nearest = (images @ clip.text_features(texts).T).argmax(1).tolist()
        # Few single things are held out, so a scene may be drawn twice; then both captions are
        # right.
        hits += [parse(texts[i]) == parse(texts[k]) for i, k in enumerate(nearest)]
    return float(np.mean(hits))


def naming(clip) -> float:
    """Return the share of clean images of one thing whose object CLIP recognizes.

    The texts differ in the object only: colors and backgrounds help retrieval, but not this.
    """
    rng, hits = np.random.default_rng(95), []
    for name in OBJECTS:
        for _ in range(20):
            color, background = str(rng.choice(COLORS)), str(rng.choice(BACKGROUNDS))
            scene = Scene((Thing(name, color),), None, background)
            words = (CONCEPTS["object"][other][0] for other in OBJECTS)
            texts = [f"a {color} {word} , {background}" for word in words]
            image = clip.features(torch.from_numpy(render_batch([scene], rng)))
            best = int((image @ clip.text_features(texts).T).argmax())
            hits.append(OBJECTS[best] == name)
    return float(np.mean(hits))


@torch.no_grad()
def psnr(model, count: int = 256) -> float:
    """Return the mean peak signal-to-noise ratio of decoded encodings, in dB."""
    rng = np.random.default_rng(97)
    images = torch.from_numpy(render_batch(held_out_scenes(count, rng), rng)).to(model.device)
    mean = model.vae.encode(2 * images - 1).latent_dist.mean
    error = (model.decode(mean * model.vae.config.scaling_factor) - images).square()
    return float(-10 * error.mean((1, 2, 3)).log10().mean())


def negative_effect(plain: list[dict], blurred: list[dict]) -> dict[str, float]:
    """Return shares of blurry and defective images without and with "blurry" as negative prompt."""
    pairs = (("without", plain), ("with", blurred))
    blurry = {
        f"blurry_{k}": float(np.mean([v["defect"] == "blurry" for v in vs])) for k, vs in pairs
    }
    dirty = {f"defective_{k}": float(np.mean([not v["clean"] for v in vs])) for k, vs in pairs}
    return blurry | dirty


def rare_words(model, judge: Judge, clip) -> dict:
    """Compare the most common word of each object with its rarest, for equal scenes and seeds."""
    rng = np.random.default_rng(96)
    texts, scenes = {"common": [], "rare": []}, []
    for name in OBJECTS:
        for _ in range(4):
            color, background = rng.choice(COLORS), rng.choice(BACKGROUNDS)
            scenes.append(Scene((Thing(name, str(color)),), None, str(background)))
            for kind, rank in (("common", 0), ("rare", -1)):
                word = CONCEPTS["object"][name][rank]
                texts[kind].append(f"{color} {word}, {background}")
    result = {}
    for kind in texts:
        jobs = [(text, "", seed) for text in texts[kind] for seed in SEEDS]
        right, losses = [], []
        for batch, images in images_of(model, jobs, f"{kind} words"):
            index = range(len(right), len(right) + len(batch))
            owners = [i // len(SEEDS) for i in index]
            right += [v["objects"] for v in judge.check(images, [scenes[i] for i in owners])]
            losses += clip(images, [texts["common"][i] for i in owners]).tolist()
        result[kind] = {
            "object_right": np.reshape(right, (-1, len(SEEDS))).mean(1),
            "loss": np.reshape(losses, (-1, len(SEEDS))).mean(1),
        }
    return _contrast(result)


def _contrast(result: dict) -> dict:
    """Return means by kind of word, and the paired difference rare - common over scenes."""
    table: dict[str, Any] = {
        kind: {k: float(v.mean()) for k, v in result[kind].items()} for kind in result
    }
    for key in ("object_right", "loss"):
        difference = result["rare"][key] - result["common"][key]
        table[f"difference_{key}"] = [float(x) for x in paired_bootstrap(difference)]
    return table


def sizes(weights: Path) -> dict[str, float]:
    """Return the size in megabytes of each part of the package's weights, and of all."""
    files = {str(p.relative_to(weights)): p.stat().st_size for p in weights.rglob("*.safetensors")}
    return {k: round(v / 1e6, 2) for k, v in files.items()} | {
        "all": round(sum(files.values()) / 1e6, 2)
    }


def speed(model) -> dict[str, float]:
    """Return GFLOP of a denoiser forward pass, and seconds per image in a batch of 16."""
    from torch.utils.flop_counter import FlopCounterMode

    text, noise = model.encode(["a red ball"]), model.latents([0])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.denoise(noise, 500, text)
    batch = ["a red ball"] * 16, ["blurry"] * 16, list(range(16))
    model.generate(*batch, steps=2)
    start = time.perf_counter()
    model.generate(*batch, steps=20, guidance=GUIDANCE)
    seconds = (time.perf_counter() - start) / 16
    return {
        "gflop_per_forward": counter.get_total_flops() / 1e9,
        "seconds_per_image": seconds,
        "threads": torch.get_num_threads(),
    }
