"""Labeled images for the training of the judge and the image-text matcher.

A pool is made once and stored. It consists of renders, partial defects and corrupted scenes. A
quarter is unchanged, a quarter is encoded and decoded, and half is partly denoised.
"""

import itertools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from dpodiff.toy.captions import STYLES, caption
from dpodiff.toy.render import SIZE, render
from dpodiff.toy.scenes import Scene, pick, random_scene
from dpodiff.toy.train.corrupted import Shown, corrupted

CORRUPTED_SHARE = 0.7  # share of the clean scenes
DEFECT_SHARE = 0.35
PARTIAL_SHARE = 0.5  # share of the defects
STEPS = 3  # steps of the sampler for partly denoised images
# Timestep at which denoising starts: earlier for images without corruption to repair.
STARTS = {"sound": (150, 500), "spoiled": (60, 220)}
BATCH = 64


class Pool(NamedTuple):
    """Images (n, 3, 64, 64) uint8, and their content."""

    images: torch.Tensor
    shown: list[Shown]


class Denoiser:
    """The parts of a pipeline folder that encode, decode and partly denoise images.

    Args:
        folder: a `StableDiffusionPipeline` folder.
        device: device of its parts.
    """

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPTextModel

        from dpodiff.toy.train.diffusion import build_scheduler
        from dpodiff.toy.train.tokenizer import load_tokenizer

        self.vae: Any = AutoencoderKL.from_pretrained(folder / "vae")
        self.unet: Any = UNet2DConditionModel.from_pretrained(folder / "unet")
        self.text: Any = CLIPTextModel.from_pretrained(folder / "text_encoder")
        for part in (self.vae, self.unet, self.text):
            part.float().to(device)
        self.tokenizer = load_tokenizer(folder / "tokenizer")
        schedule: Any = build_scheduler()
        self.alphas = schedule.alphas_cumprod

    def decoded(self, images: torch.Tensor) -> torch.Tensor:
        """Return images (n, 3, 64, 64) in [0, 1] after encoding and decoding."""
        return self._images(self._latents(images))

    def denoised(
        self, images: torch.Tensor, texts: list[str], start: int, generator: torch.Generator
    ) -> torch.Tensor:
        """Add the noise of timestep `start` to images, and denoise them with the sampler."""
        from dpodiff.toy.train.tokenizer import LENGTH

        tokens = self.tokenizer(
            texts, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        text = self.text(tokens.input_ids).last_hidden_state
        clean = self._latents(images)
        noise = torch.randn(clean.shape, generator=generator)
        times = np.linspace(start, 0, STEPS + 1).astype(int)
        for now, then in itertools.pairwise(times):
            signal, sigma = self._scales(now)
            noisy = signal * clean + sigma * noise
            v = self.unet(noisy, torch.full((len(images),), int(now)), text).sample
            clean, noise = signal * noisy - sigma * v, sigma * noisy + signal * v
            if then == 0:
                break
        return self._images(clean)

    def _scales(self, time: int) -> tuple[float, float]:
        alpha = float(self.alphas[int(time)])
        return alpha**0.5, (1 - alpha) ** 0.5

    def _latents(self, images: torch.Tensor) -> torch.Tensor:
        scale = self.vae.config.scaling_factor
        return self.vae.encode(2 * images - 1).latent_dist.mean * scale

    def _images(self, latents: torch.Tensor) -> torch.Tensor:
        scale = self.vae.config.scaling_factor
        return (self.vae.decode(latents / scale).sample / 2 + 0.5).clamp(0, 1)


@torch.no_grad()
def labeled_pool(denoiser: Denoiser, count: int, path: Path, seed: int) -> Pool:
    """Make `count` seeded images with labels, or read the images from `path` if the file exists."""
    stored = load_file(path) if path.exists() else {}
    images, shown = [], []
    for start in tqdm(range(0, count, BATCH), f"labeled images, seed {seed}"):
        rng = np.random.default_rng([seed, start])
        drawn = [drawn_image(rng) for _ in range(min(BATCH, count - start))]
        shown += [label for _, label in drawn]
        if not stored:
            pixels = torch.from_numpy(np.stack([image for image, _ in drawn]))
            textured = _textured(denoiser, pixels.permute(0, 3, 1, 2), shown[start:], rng)
            images.append((255 * textured).round().byte())
    if not stored:
        stored = {"images": torch.cat(images).contiguous()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(stored, path)
    return Pool(images=stored["images"], shown=shown)


def drawn_image(rng: np.random.Generator) -> tuple[np.ndarray, Shown]:
    """Return an image (64, 64, 3) without texture, and its content."""
    scene = random_scene(rng, pair_share=0.6, defect_share=DEFECT_SHARE)
    if scene.defect is None and rng.random() < CORRUPTED_SHARE:
        return corrupted(scene, rng)
    placed = scene.defect not in ("cropped", "duplicate")
    return partly_defective(scene, rng), Shown(scene, scene.things, placed)


def partly_defective(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Return the image (64, 64, 3) of a scene; some defects are weaker, or on one side only."""
    seed = int(rng.integers(2**32))
    image = render(scene, np.random.default_rng(seed))
    if scene.defect in (None, "cropped") or rng.random() >= PARTIAL_SHARE:
        return image
    clean = render(scene.without_defect(), np.random.default_rng(seed))
    return clean + _part(scene.defect, rng) * (image - clean)


def _part(defect: str, rng: np.random.Generator) -> np.ndarray:
    """Return the strength of a defect at each pixel, (64, 64, 1) float32."""
    part = np.full((SIZE, SIZE, 1), rng.uniform(0.5, 1), np.float32)
    if defect == "duplicate":  # the copies are up left and down right
        y, x = np.mgrid[:SIZE, :SIZE]
        side = x + y < SIZE if rng.random() < 0.5 else x + y >= SIZE
        part *= side[..., None]
    return part


def _textured(
    denoiser: Denoiser, images: torch.Tensor, shown: list[Shown], rng: np.random.Generator
) -> torch.Tensor:
    """Return images of a batch: a quarter unchanged, a quarter decoded, half partly denoised."""
    kind = rng.choice(["plain", "decoded", "sound", "spoiled"], size=len(images), p=[0.25] * 4)
    sound = np.array([None not in label.things and not label.scene.defect for label in shown])
    kind = np.where((kind == "sound") & ~sound, "spoiled", kind)
    result = images.clone()
    for name in ("decoded", *STARTS):
        index = np.flatnonzero(kind == name)
        if not len(index):
            continue
        if name == "decoded":
            result[index] = denoiser.decoded(images[index])
            continue
        start = int(rng.integers(*STARTS[name]))
        texts = [
            caption(shown[i].scene, pick(rng, STYLES), rng) if name == "sound" else ""
            for i in index
        ]
        generator = torch.Generator().manual_seed(int(rng.integers(2**32)))
        result[index] = denoiser.denoised(images[index], texts, start, generator)
    return result
