"""A tiny random checkpoint of every family, in its stock format, for tests that run on all."""

from functools import cached_property

import diffusers
import tiny
import torch
from diffusers import EulerAncestralDiscreteScheduler

from dpodiff.models import load

TRAILING = {"timestep_spacing": "trailing"}
BUILDERS = {
    "sd-v1": tiny.stable_diffusion,
    "sd-v2": lambda folder: tiny.stable_diffusion(
        folder, tiny.ddim(prediction_type="v_prediction")
    ),
    "sd-turbo": lambda folder: tiny.stable_diffusion(folder, tiny.euler(**TRAILING)),
    "sdxl": tiny.sdxl,
    "sdxl-turbo": lambda folder: tiny.sdxl(
        folder, tiny.euler(EulerAncestralDiscreteScheduler, **TRAILING)
    ),
    "sd3": tiny.sd3,
    "sd3.5 without T5": lambda folder: tiny.sd3(
        folder, t5=False, qk_norm="rms_norm", dual_attention_layers=(0,)
    ),
    "flux-dev": tiny.flux,
    "flux-schnell": lambda folder: tiny.flux(folder, dev=False),
    "pixart-sigma": tiny.pixart_sigma,
    "sana": tiny.sana,
    "z-image": tiny.z_image,
}
DISTILLED = {"sd-turbo", "sdxl-turbo", "flux-dev", "flux-schnell", "z-image"}
FLOWS = {"sana", "sd3", "sd3.5 without T5", "flux-dev", "flux-schnell", "z-image"}
# Settings of stock pipelines that take prompts and sizes as they are.
AS_THEY_ARE = {
    "pixart-sigma": {"clean_caption": False, "use_resolution_binning": False},
    "sana": {"complex_human_instruction": None, "use_resolution_binning": False},
}
STEPS = 4  # those that divide 1000 are evenly spread


class Family:
    """A tiny checkpoint of a family."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.size = 32 if name == "sana" else 16  # the least that its stock pipeline makes

    def load(self, **settings):
        model = load(str(self.folder), device="cpu", **settings)
        model.image_size = self.size
        return model

    @cached_property
    def pipeline(self):
        kind = diffusers.DiffusionPipeline.load_config(self.folder)["_class_name"]
        parts = {"text_encoder_3": None, "tokenizer_3": None} if "without T5" in self.name else {}
        parts |= {"dtype": torch.float32}
        pipeline = getattr(diffusers, kind).from_pretrained(self.folder, **parts)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def stock(self, prompt, negative_prompt, seed, guidance, steps=STEPS):
        """The image of the stock pipeline."""
        weight = "true_cfg_scale" if self.name.startswith("flux") else "guidance_scale"
        if self.name in AS_THEY_ARE:
            negative_prompt = negative_prompt or ""
        if self.name == "z-image":
            guidance -= 1  # whose 0 is without
        arguments = {"negative_prompt": negative_prompt, weight: guidance, "output_type": "pt"}
        arguments |= AS_THEY_ARE.get(self.name, {})
        generator = torch.Generator().manual_seed(seed)
        arguments |= {"num_inference_steps": steps, "generator": generator}
        return self.pipeline(prompt, height=self.size, width=self.size, **arguments).images

    def exact(self):
        """The model in float64, its few steps under guidance."""
        model = self.load(dtype=torch.float64)
        model.vae.double()
        last = model.text_encoders[-1]
        last.limit = min(last.limit, 2 * tiny.TOKENS)  # of hundreds, which take their time
        model.steps, model.guidance = STEPS, 3.0
        return model
