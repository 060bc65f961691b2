"""What PNG files say of how they were made, as the tools of practitioners read it.

Two text chunks: "parameters" as AUTOMATIC1111's web UI writes it, and "prompt", a workflow of
ComfyUI in its API format. Both tools write weights as `(red:1.2)`. The window of a negative prompt
is prompt editing in the web UI, which may switch one step later than here; in ComfyUI the prompts
are conditions with ranges of timesteps.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dpodiff.spaces.prompts import Prompts
from dpodiff.weighted_text import WeightedText

if TYPE_CHECKING:
    from dpodiff.models.base import TextToImage

# diffusers' scheduler -> the name in AUTOMATIC1111's web UI, and in ComfyUI.
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
    """How a model makes images; what a black box does not say is None.

    Attributes:
        model: name of the model.
        steps: of the sampler, a number.
        guidance: weight of classifier-free guidance.
        scheduler: its class, of diffusers.
    """

    model: str
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None

    @classmethod
    def of(cls, model: "TextToImage") -> "Rollout":
        """That of a model, or the name alone of a black box."""
        from dpodiff.models.base import Model

        if not isinstance(model, Model):
            return cls(model.name)
        scheduler = type(model.scheduler(model.steps)).__name__
        return cls(model.name, model.steps, float(model.guidance), scheduler)


def chunks(prompts: Prompts, seed: int, size: tuple[int, int], rollout: Rollout) -> dict[str, str]:
    """The text chunks of one image, by their keys.

    Args:
        prompts: that the image was made from.
        seed: of its noise.
        size: width and height in pixels.
        rollout: of the model.
    """
    found = {"parameters": parameters(prompts, seed, size, rollout)}
    if rollout.steps is not None:
        found["prompt"] = json.dumps(workflow(prompts, seed, size, rollout))
    return found


def web_text(text: str) -> str:
    r"""A text with its weights as the web UI and ComfyUI read them.

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
    r"""The negative prompt, with its window as prompt editing of the web UI.

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
    """The text that AUTOMATIC1111's web UI keeps with an image; the noise is drawn on the CPU.

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
    """A workflow of ComfyUI in its API format: the nodes by number.

    Args:
        prompts, seed, size, rollout: as in `chunks`. The model's name stands for the file of its
            checkpoint, which the user of ComfyUI chooses.
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
    """Nodes from 8 on that let node 3 act in its window and the empty text outside of it.

    Returns:
        the nodes, and the number of the one that the sampler takes.
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
