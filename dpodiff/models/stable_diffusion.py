"""Stable Diffusion 1 and 2 (Rombach et al., 2022), from the parts diffusers keeps in a folder.

The parts are loaded one by one: the stock pipeline would bring a safety checker, and its call
allows no gradient. What they compute together is the same, as the tests hold against the pipeline.
"""

import copy
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from dpodiff.mixture import Piece, lay_out, mix_embeddings
from dpodiff.models.base import Model, PromptError
from dpodiff.progress import hidden_bars
from dpodiff.text_cache import TextCache


class StableDiffusion(Model):
    """A Stable Diffusion made of stock parts, sampled with DDIM; see `Model` for the methods.

    Args:
        tokenizer, text_encoder, unet, vae: the parts; moved to the device and frozen here.
        schedule: configuration of the folder's scheduler, of any class. DDIM takes its noise
            schedule, spacing of steps and kind of prediction from it.
        name: to be known by.
        device: of all parts.
    """

    steps = 50
    guidance = 7.5

    def __init__(
        self,
        tokenizer: CLIPTokenizer,
        text_encoder: CLIPTextModel,
        unet: UNet2DConditionModel,
        vae: AutoencoderKL,
        schedule: Mapping[str, Any],
        *,
        name: str,
        device: torch.device,
    ) -> None:
        self.name = name
        self.device = device
        self.dtype = unet.dtype
        self.tokenizer = tokenizer
        self.text_encoder = _freeze(text_encoder, device)
        self.unet = _freeze(unet, device)
        self.vae = _freeze(vae, device)
        # The stock pipeline puts these two right in files from before they were settled.
        self.schedule = DDIMScheduler.from_config(
            dict(schedule) | {"clip_sample": False, "steps_offset": 1}
        )
        self.latent_size = unet.config.sample_size
        self.image_size = self.latent_size * 2 ** (len(vae.config.block_out_channels) - 1)
        self._encodings = TextCache(self._encode)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
    ) -> "StableDiffusion":
        """Loads a `StableDiffusionPipeline` folder or hub repository; safetensors only.

        Args:
            folder: where it lies, or its hub id.
            name: None is the folder.
            device: None is a GPU if there is one, else the CPU.
            dtype: of the denoiser and the text encoder, however they are stored. None is float16 on
                a GPU and float32 on a CPU.

        Raises:
            OSError: if a part is missing, or is not stored as safetensors.
        """
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        dtype = dtype or (torch.float16 if device.type == "cuda" else torch.float32)

        def part(kind: type, subfolder: str, **dtypes: torch.dtype) -> nn.Module:
            return kind.from_pretrained(folder, subfolder=subfolder, use_safetensors=True, **dtypes)

        with hidden_bars(Path(folder).is_dir()):
            return cls(
                CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer"),
                part(CLIPTextModel, "text_encoder", dtype=dtype),
                part(UNet2DConditionModel, "unet", torch_dtype=dtype),
                # In float16 the decoder overflows on some latents, and its gradients on most.
                part(AutoencoderKL, "vae", torch_dtype=torch.float32),
                DDIMScheduler.load_config(folder, subfolder="scheduler"),
                name=name or str(folder),
                device=device,
            )

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        if not prompt.strip():
            raise PromptError("the prompt is empty; say what the picture shows")
        self.tokenize([prompt, negative_prompt])

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """Token ids (batch, token) of the texts, padded to the length the tokenizer takes.

        Raises:
            PromptError: if a text is longer; nothing is cut off in silence.
        """
        rows = self.tokenizer(list(texts), padding="max_length", verbose=False).input_ids
        limit = self.tokenizer.model_max_length
        for text, row in zip(texts, rows, strict=True):
            if len(row) > limit:
                raise PromptError(
                    f"{textwrap.shorten(text, 60, placeholder='...')!r} has {len(row)} tokens, its "
                    f"start and end counted; {self.name} takes at most {limit}: shorten it"
                )
        return torch.tensor(rows, device=self.device)

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        return self._encodings(texts)

    def _encode(self, texts: Sequence[str]) -> torch.Tensor:
        return self.text_encoder(self.tokenize(texts)).last_hidden_state

    def encode_mixture(self, pieces: Sequence[Piece]) -> torch.Tensor:
        if all(piece.weights is None for piece in pieces):
            return self.encode(["".join(piece.choices[0] for piece in pieces)])
        words, limit = self.tokenizer, self.tokenizer.model_max_length
        layout = lay_out(
            pieces, lambda texts: words(texts, add_special_tokens=False).input_ids, limit - 2
        )
        padding = limit - len(layout.ids) - 2
        if padding < 0:
            raise PromptError(f"a mixed prompt has {limit - padding} tokens; {limit} is the most")
        row = [words.bos_token_id, *layout.ids, words.eos_token_id]
        ids = torch.tensor([row + [words.pad_token_id] * padding], device=self.device)
        table = self.text_encoder.get_input_embeddings()

        def replace(module: nn.Module, inputs: tuple, embedded: torch.Tensor) -> torch.Tensor:
            return mix_embeddings(embedded, layout, module.weight, words.pad_token_id)

        # The encoder takes ids only: positions and the place of the end token come from them.
        hook = table.register_forward_hook(replace)
        try:
            return self.text_encoder(ids).last_hidden_state
        finally:
            hook.remove()

    def latents(self, seeds: Sequence[int]) -> torch.Tensor:
        # Drawn on the CPU in float32, so that a seed means the same picture on every device.
        shape = (1, self.unet.config.in_channels, self.latent_size, self.latent_size)
        rows = [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return torch.cat(rows).to(self.device, self.dtype)

    def scheduler(self, steps: int) -> DDIMScheduler:
        trained = self.schedule.config.num_train_timesteps
        if not 1 <= steps <= trained:
            raise ValueError(f"steps must be 1 to {trained}, not {steps}")
        scheduler = copy.copy(self.schedule)  # what a rollout sets, it sets on the copy
        scheduler.set_timesteps(steps)
        return scheduler

    def denoise(
        self, x: torch.Tensor, t: torch.Tensor | int, embeddings: torch.Tensor
    ) -> torch.Tensor:
        self.forwards += len(x)
        prediction = self.unet(x, t, encoder_hidden_states=embeddings).sample
        if prediction.requires_grad:
            prediction.register_hook(self._count_back)
        return prediction

    def _count_back(self, gradient: torch.Tensor) -> None:
        self.backwards += len(gradient)

    def predict_x0(
        self, x: torch.Tensor, t: torch.Tensor | int, prediction: torch.Tensor
    ) -> torch.Tensor:
        # Float32 all through: near pure noise, a rounded division by sqrt(signal) is far off.
        signal = self.schedule.alphas_cumprod[torch.as_tensor(t).cpu()].to(x.device)
        signal = signal.view(-1, 1, 1, 1)  # (batch or 1, channel, h, w)
        match self.schedule.config.prediction_type:
            case "epsilon":
                return (x - (1 - signal).sqrt() * prediction) / signal.sqrt()
            case "v_prediction":  # Salimans & Ho, 2022, appendix D
                return signal.sqrt() * x - (1 - signal).sqrt() * prediction
            case "sample":
                return prediction
            case other:
                raise ValueError(f"unknown prediction_type {other!r} in {self.name}'s scheduler")

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        images = self.vae.decode(latents.to(self.vae.dtype) / self.vae.config.scaling_factor).sample
        # Never half precision: losses need more.
        images = images.to(torch.promote_types(images.dtype, torch.float32))
        return (images / 2 + 0.5).clamp(0, 1)


def _freeze(module: nn.Module, device: torch.device) -> nn.Module:
    """Readies a part for use: no training, no gradients of weights, convolutions channels last.

    On a CPU that memory format saves the toy U-Net 12% of its time.
    """
    module.eval().requires_grad_(False)
    return module.to(device=device, memory_format=torch.channels_last)
