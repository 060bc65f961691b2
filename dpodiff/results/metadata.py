"""Metadata of PNG files in the formats of common tools.

There are two text chunks: "parameters", the format of AUTOMATIC1111's web UI, and "prompt", a
workflow of ComfyUI in its API format. Both tools write weights as `(red:1.2)`. The window of a
negative prompt becomes prompt editing in the web UI, which may switch one step later than here. In
ComfyUI it becomes conditions with ranges of timesteps.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpodiff.spaces.prompts import Prompts
from dpodiff.weighted_text import WeightedText

if TYPE_CHECKING:
    from dpodiff.models.base import TextToImage

# Scheduler of diffusers -> name in AUTOMATIC1111's web UI, and in ComfyUI.
SAMPLERS = {
    "DDIMScheduler": ("DDIM", "ddim"),
    "DPMSolverMultistepScheduler": ("DPM++ 2M", "dpmpp_2m"),
    "EulerAncestralDiscreteScheduler": ("Euler a", "euler_ancestral"),
    "EulerDiscreteScheduler": ("Euler", "euler"),
    "FlowMatchEulerDiscreteScheduler": ("Euler", "euler"),
    "PNDMScheduler": ("PLMS", "euler"),
    "UniPCMultistepScheduler": ("UniPC", "uni_pc"),
}


@dataclass(frozen=True)
class Rollout:
    """Settings of the sampler of a model; unknown ones of a black box are None.

    Attributes:
        model: name of the model.
        steps: number of steps of the sampler.
        guidance: weight of classifier-free guidance.
        scheduler: class of the scheduler in diffusers.
    """

    model: str
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None

    @classmethod
    def of(cls, model: "TextToImage") -> "Rollout":
        """Return the settings of a model, or only the name of a black box."""
        from dpodiff.models.base import Model

        if not isinstance(model, Model):
            return cls(model.name)
        scheduler = type(model.scheduler(model.steps)).__name__
        return cls(model.name, model.steps, float(model.guidance), scheduler)


def chunks(prompts: Prompts, seed: int, size: tuple[int, int], rollout: Rollout) -> dict[str, str]:
    """Return the text chunks of one image by their keys.

    Args:
        prompts: prompts of the image.
        seed: seed of its noise.
        size: width and height in pixels.
        rollout: settings of the model.
    """
    found = {"parameters": parameters(prompts, seed, size, rollout)}
    if rollout.steps is not None:
        found["prompt"] = json.dumps(workflow(prompts, seed, size, rollout))
    return found


def web_text(text: str) -> str:
    r"""Return a text with weights in the notation of the web UI and ComfyUI.

    Examples:
        >>> from dpodiff.results.metadata import web_text
        >>> from dpodiff.weighted_text import WeightedText
        >>> web_text(WeightedText([("a ", 1.0), ("red", 1.2), (" ball (toy)", 1.0)]))
        'a (red:1.2) ball \\(toy\\)'
        >>> web_text("a red ball")
        'a red ball'
    """
    pieces = text.pieces if isinstance(text, WeightedText) else ((text, 1.0),)
    escaped = [(words.replace("(", r"\(").replace(")", r"\)"), weight) for words, weight in pieces]
    return "".join(words if w == 1 else f"({words}:{w:g})" for words, w in escaped)


def web_negative(prompts: Prompts) -> str:
    r"""Return the negative prompt; a window becomes prompt editing of the web UI.

    Examples:
        >>> from dpodiff.results.metadata import web_negative
        >>> web_negative(dpodiff.GuidedPrompts("a red ball", "blurry, dark", window=(0.2, 0.6)))
        '[[blurry, dark::0.6]:0.2]'
    """
    text = web_text(prompts.negative)
    if prompts.window is None:
        return text
    start, end = prompts.window
    text = text.replace("[", r"\[").replace("]", r"\]")
    text = f"[{text}::{end:g}]" if end < 1 else text
    return f"[{text}:{start:g}]" if start > 0 else text


def parameters(prompts: Prompts, seed: int, size: tuple[int, int], rollout: Rollout) -> str:
    """Return the metadata of AUTOMATIC1111's web UI; the noise is drawn on the CPU.

    Args:
        prompts, seed, size, rollout: as in `chunks`.
    """
    width, height = size
    settings: dict[str, Any] = {}
    if rollout.steps is not None:
        settings["Steps"] = rollout.steps
        settings["Sampler"] = _sampler(rollout)[0]
        settings["CFG scale"] = f"{_guidance(prompts, rollout):g}"
    settings |= {"Seed": seed, "Size": f"{width}x{height}", "Model": rollout.model, "RNG": "CPU"}
    lines = [_one_line(web_text(prompts.positive))]
    if prompts.negative:
        lines.append(f"Negative prompt: {_one_line(web_negative(prompts))}")
    lines.append(", ".join(f"{name}: {value}" for name, value in settings.items()))
    return "\n".join(lines)


def workflow(
    prompts: Prompts, seed: int, size: tuple[int, int], rollout: Rollout
) -> dict[str, Any]:
    """Return a workflow of ComfyUI in its API format: nodes by number.

    Args:
        prompts, seed, size, rollout: as in `chunks`. The checkpoint is named after the model; the
            user of ComfyUI selects the file.
    """
    width, height = size
    encode = {"clip": ["1", 1]}
    windows, negative = _windows(prompts, encode)
    sampler = {
        "model": ["1", 0],
        "positive": ["2", 0],
        "negative": [negative, 0],
        "latent_image": ["4", 0],
        "seed": seed,
        "steps": rollout.steps,
        "cfg": _guidance(prompts, rollout),
        "sampler_name": _sampler(rollout)[1],
        "scheduler": "normal",
        "denoise": 1.0,
    }
    return {
        "1": _node("CheckpointLoaderSimple", {"ckpt_name": rollout.model}),
        "2": _node("CLIPTextEncode", {"text": web_text(prompts.positive)} | encode),
        "3": _node("CLIPTextEncode", {"text": web_text(prompts.negative)} | encode),
        "4": _node("EmptyLatentImage", {"width": width, "height": height, "batch_size": 1}),
        "5": _node("KSampler", sampler),
        "6": _node("VAEDecode", {"samples": ["5", 0], "vae": ["1", 2]}),
        "7": _node("SaveImage", {"images": ["6", 0], "filename_prefix": "dpodiff"}),
        **windows,
    }


def _windows(prompts: Prompts, encode: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return nodes from number 8 on that apply node 3 inside its window and the empty text outside.

    Returns:
        the nodes, and the number of the one that is connected to the sampler.
    """
    if prompts.window is None:
        return {}, "3"
    start, end = prompts.window
    ranges = [("3", start, end), ("8", 0.0, start), ("8", end, 1.0)]
    nodes = {"8": _node("CLIPTextEncode", {"text": ""} | encode)}
    last = ""
    for source, first, stop in ranges:
        if first == stop:
            continue
        number, inputs = str(len(nodes) + 8), {"start": first, "end": stop}
        nodes[number] = _node(
            "ConditioningSetTimestepRange", {"conditioning": [source, 0]} | inputs
        )
        if last:
            both = {"conditioning_1": [last, 0], "conditioning_2": [number, 0]}
            number = str(len(nodes) + 8)
            nodes[number] = _node("ConditioningCombine", both)
        last = number
    return nodes, last


def _node(kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def _sampler(rollout: Rollout) -> tuple[str, str]:
    scheduler = rollout.scheduler or ""
    return SAMPLERS.get(scheduler, (scheduler.removesuffix("Scheduler"), "euler"))


def _guidance(prompts: Prompts, rollout: Rollout) -> float:
    guidance = rollout.guidance if prompts.guidance is None else prompts.guidance
    return 1.0 if guidance is None else guidance


def _one_line(text: str) -> str:
    return " ".join(text.split())
