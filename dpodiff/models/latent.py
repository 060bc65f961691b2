"""The common parts of latent diffusion models of diffusers: texts, noise and the decoder.

A family defines which parts its folder holds, how the outputs of its text encoders are joined to
one encoding, what its denoiser is given, and how noise and time run. The tests check that the
outputs equal those of the stock pipelines.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from diffusers import AutoencoderDC, AutoencoderKL, DiffusionPipeline, ModelMixin

from dpodiff.models.base import Model
from dpodiff.models.blocks import checkpoint_blocks
from dpodiff.models.devices import choose_device, default_dtype
from dpodiff.models.mixture import Piece, shown_text
from dpodiff.models.offloading import check_graph
from dpodiff.models.parts import Parts, parts_of_folder, parts_of_pipeline
from dpodiff.models.text import Encoded, TextEncoder
from dpodiff.models.text_cache import TextCache
from dpodiff.names import LoadError

if TYPE_CHECKING:
    from typing_extensions import Self

LARGE = 256  # pixels per side


class LatentDiffusion(Model):
    """A model made of stock parts; see `Model` for its methods.

    Args:
        denoiser, vae: networks; they are frozen, as those of the text encoders.
        text_encoders: text encoders, in the order of `_join`.
        image_size: height and width in pixels.
        patch: side of a token of the denoiser in latent pixels.
        name: name of the model.
        device: device of all parts.

    Attributes:
        parts: subfolders of a stock folder, with the classes of their contents.
        optional: subfolders that may be missing.
        half: the default dtype on a GPU.
        in_blocks: whether graphs of the denoiser and the decoder are kept in blocks, which takes
            less than half of the memory and one more forward pass. It may be set. The default is
            True for images of 256 or more pixels per side.
    """

    parts: ClassVar[Mapping[str, type]]
    optional: ClassVar[tuple[str, ...]] = ()
    half: ClassVar[torch.dtype] = torch.float16

    def __init__(
        self,
        denoiser: ModelMixin,
        vae: AutoencoderKL | AutoencoderDC,
        text_encoders: Sequence[TextEncoder],
        *,
        image_size: int,
        patch: int = 1,
        name: str,
        device: torch.device,
    ) -> None:
        self.name, self.device, self.dtype = name, device, denoiser.dtype
        self.denoiser, self.vae, self.text_encoders = denoiser, vae, tuple(text_encoders)
        for module in (denoiser, vae, *(encoder.network for encoder in self.text_encoders)):
            module.eval().requires_grad_(False)
        self.image_size, self.patch = image_size, patch
        self.in_blocks = image_size >= LARGE
        self._encodings = TextCache(self._encode)

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *,
        name: str | None = None,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        offload: bool = False,
    ) -> "Self":
        """Load a stock folder or hub repository with safetensors weights.

        Args:
            folder: path of the folder, or its hub id.
            name: name of the model; None is the folder.
            device: as in `choose_device`.
            dtype: dtype of the denoiser and the text encoders, in whichever dtype they are stored.
                None is the family's `half` on a GPU and float32 on a CPU. The decoder is always
                float32.
            offload: whether the text encoders and the decoder are kept in the memory of the CPU.

        Raises:
            LoadError: if a part is missing, broken, or not stored as safetensors.
        """
        device = choose_device(device)
        parts = parts_of_folder(
            cls.parts,
            folder,
            name=name or str(folder),
            device=device,
            dtype=dtype or default_dtype(device, cls.half),
            offloaded=offload,
        )
        return cls._of(parts, offload)

    @classmethod
    def from_pipeline(cls, pipeline: DiffusionPipeline, *, offload: bool = False) -> "Self":
        """Return the model of a loaded pipeline. It shares the networks of the pipeline.

        Args:
            pipeline: pipeline of a class with the parts of this family.
            offload: as in `from_pretrained`.

        Raises:
            LoadError: if the pipeline lacks a part.
        """
        return cls._of(parts_of_pipeline(cls.parts, pipeline), offload)

    @classmethod
    def _of(cls, parts: Parts, offload: bool) -> "Self":
        if missing := [k for k in cls.parts if k not in {*parts.by_name, *cls.optional}]:
            lacks = f"it has no {', '.join(missing)}"
            raise LoadError(f"the model {parts.name} cannot be loaded: {lacks}")
        if offload:
            parts.offload()
        family: Any = cls  # its constructor takes the parts by name
        return family(
            **parts.by_name,
            **cls._settings(parts.index),
            schedule=parts.schedule,
            name=parts.name,
            device=parts.device,
        )

    @classmethod
    def _settings(cls, index: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments for the constructor from a folder's model_index.json."""
        return {}

    @abstractmethod
    def _join(self, *encoded: Encoded) -> torch.Tensor:
        """Return the encoding (batch, row, dim) from the outputs of the text encoders, in order."""

    @abstractmethod
    def _predict(self, x: torch.Tensor, t: torch.Tensor, encoding: torch.Tensor) -> torch.Tensor:
        """Return the denoiser's prediction for latents `x` at timesteps `t` (batch,)."""

    def check(self, prompt: str, negative_prompt: str = "") -> None:
        super().check(prompt, negative_prompt)
        for encoder in self.text_encoders:
            encoder.tokenize([prompt, negative_prompt])

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        return self._encodings(texts)

    def _encode(self, texts: Sequence[str]) -> torch.Tensor:
        return self._joined(encoder(texts) for encoder in self.text_encoders)

    def encode_mixture(self, pieces: Sequence[Piece]) -> torch.Tensor:
        if all(p.weights is None or not p.choices[p.shown] for p in pieces):
            return self.encode([shown_text(pieces)])  # it has no weights
        return self._joined(encoder.mixed(pieces) for encoder in self.text_encoders)

    def _joined(self, encoded: Iterable[Encoded]) -> torch.Tensor:
        # The text encoders of a pipeline may have another dtype.
        return self._join(*encoded).to(self.dtype)

    @property
    def in_blocks(self) -> bool:
        return self._in_blocks

    @in_blocks.setter
    def in_blocks(self, on: bool) -> None:
        self._in_blocks = on
        for network in (self.denoiser, self.vae):
            checkpoint_blocks(network, on)

    @property
    def latent_size(self) -> int:
        """Height and width of a latent.

        Raises:
            ValueError: if no latents fit `image_size`.
        """
        pixels = pixels_of_latent(self.vae)
        if self.image_size < 1 or self.image_size % (pixels * self.patch):
            raise ValueError(
                f"image_size must be a multiple of {pixels * self.patch} for {self.name}, "
                f"not {self.image_size}"
            )
        return self.image_size // pixels

    def latents(self, seeds: Sequence[int]) -> torch.Tensor:
        # Drawn on the CPU in float32, so that a seed gives the same image on every device.
        shape = (1, config_of(self.vae).latent_channels, self.latent_size, self.latent_size)
        rows = [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return torch.cat(rows).to(self.device, self.dtype)

    def _denoise(
        self, x: torch.Tensor, t: torch.Tensor | int, embeddings: torch.Tensor
    ) -> torch.Tensor:
        if torch.is_grad_enabled() and (x.requires_grad or embeddings.requires_grad):
            check_graph(self.denoiser, self.name)
        t = torch.as_tensor(t, device=x.device).expand(len(x))
        return self._predict(x, t, embeddings)

    def _count_backward(self, gradient: torch.Tensor) -> None:
        super()._count_backward(gradient)
        if self.in_blocks:
            self.forwards += len(gradient)  # recomputed in the backward pass

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        config = config_of(self.vae)
        latents = latents.to(self.vae.dtype) / config.scaling_factor
        latents = latents + (config.get("shift_factor") or 0)
        decoder: Any = self.vae  # its type annotations are outdated
        images = decoder.decode(latents).sample
        # Never half precision: losses need more.
        images = images.to(torch.promote_types(images.dtype, torch.float32))
        return (images / 2 + 0.5).clamp(0, 1)


def check_steps(steps: int, trained: int) -> None:
    """Refuse rollouts that are empty or have more steps than the model was trained with.

    Raises:
        ValueError: if `steps` is not from 1 to `trained`.
    """
    if not 1 <= steps <= trained:
        raise ValueError(f"steps must be 1 to {trained}, not {steps}")


def config_of(part: Any) -> Any:
    """Return the configuration of a part of diffusers, whose type lacks its fields."""
    return part.config


def pixels_of_latent(vae: AutoencoderKL | AutoencoderDC) -> int:
    """Return the side of a latent pixel in image pixels."""
    return 2 ** (len(channels_of(vae)) - 1)


def channels_of(vae: AutoencoderKL | AutoencoderDC) -> Sequence[int]:
    """Return the channels of the decoder at each resolution, the finest first."""
    config = config_of(vae)
    deep = isinstance(vae, AutoencoderDC)
    return config.decoder_block_out_channels if deep else config.block_out_channels
