"""The distance between an image and its prompt, according to CLIP (Radford et al., 2021)."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from dpodiff import names
from dpodiff.checks import check_text
from dpodiff.losses.base import check_images, check_pairs
from dpodiff.losses.preprocessing import Preprocessing
from dpodiff.models.devices import choose_device
from dpodiff.models.hub import asking
from dpodiff.models.pretrained import CONVERT, find, refuse_pickle
from dpodiff.models.text_cache import TextCache
from dpodiff.names import LoadError

COPY = "give 'local-dir:FOLDER' for a local folder that holds it"
PACKAGED = {"toy": "clip", "toy-heldout": "clip-heldout"}  # name -> folder of the weights


def spherical_distance(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return `2 arcsin(|x - y| / 2)^2` of unit vectors (..., dim): half the square of their angle.

    It is computed with the arctangent, which gives the same value and a finite gradient at both
    ends, where the vectors are equal or opposite.

    Examples:
        >>> x, y = torch.eye(2)  # unit vectors at a right angle
        >>> dpodiff.losses.spherical_distance(x, y).round(decimals=2)
        tensor(1.2300)
    """
    # eq. (problem-spherical)
    apart = torch.linalg.vector_norm(x - y, dim=-1)
    return 2 * torch.atan2(apart, torch.linalg.vector_norm(x + y, dim=-1)) ** 2


class SphericalCLIP:
    """The spherical distance between CLIP's features of an image and of its prompt.

    Less is better. The range is 0 to pi^2 / 2, usually 0.7 to 1.0 with ViT-B/32 on images of Stable
    Diffusion. Prompts longer than CLIP's context are truncated.

    Args:
        model: "toy", "toy-heldout", "local-dir:FOLDER", "hf-hub:OWNER/NAME", or an architecture of
            open_clip, such as "ViT-B-32" (used by DPO-Diff with the weights "openai").
        pretrained: tag or safetensors file of the weights, for an architecture.
        device: None is the GPU with the most free memory if there is one, else the CPU.

    Attributes:
        differentiable: True.

    Raises:
        LoadError: if the architecture or the weights are unknown or missing, or are only available
            as a pickle.

    Examples:
        >>> images = dpodiff.load("toy").generate(["a red ball"], [""], [0])
        >>> loss = dpodiff.SphericalCLIP("toy")
        >>> fit, misfit = loss(images, ["a red ball"]), loss(images, ["a blue boat"])
        >>> (fit < misfit).item()
        True
    """

    differentiable = True

    def __init__(
        self,
        model: str = "toy",
        pretrained: str | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        import open_clip

        check_text("model", model)
        if pretrained is not None:
            check_text("pretrained", pretrained)
        source = _source(model)
        self.name, self.pretrained = model, pretrained
        self.device = choose_device(device)
        checked = _checked_weights(source, pretrained)
        try:
            with asking(_place(source, pretrained), name=source, folder=COPY):
                # Any: open_clip types neither its parameters nor its methods.
                self.clip: Any = open_clip.create_model(
                    source, pretrained, device=self.device, require_pretrained=True, **checked
                )
                self._tokenize = open_clip.get_tokenizer(source)
        except LoadError:
            raise
        except (OSError, ValueError, SafetensorError) as error:
            raise LoadError(f"the CLIP {source!r} cannot be loaded: {error}") from error
        self.clip.eval().requires_grad_(False)
        config = open_clip.get_model_preprocess_cfg(self.clip)
        self._preprocess = Preprocessing.of_open_clip(config)
        self._texts = TextCache(self._encode_texts)

    def __repr__(self) -> str:
        said = [self.name] if self.pretrained is None else [self.name, self.pretrained]
        return f"SphericalCLIP({', '.join(map(repr, said))})"

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the loss of each image for its own prompt; differentiable in the images.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            prompts: one per image.

        Returns:
            losses (batch,), float32.

        Raises:
            ValueError: if the images have another layout or range, or the numbers of images and
                prompts differ.
        """
        check_pairs(images, prompts)
        return spherical_distance(self.features(images), self.text_features(prompts))

    def score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the CLIP score of each image for its own prompt: 100 times the cosine.

        More is better. The score ranks images as the loss does: for an angle a between the two
        features, the score is 100 cos(a) and the loss is a^2 / 2. Hessel et al. (2021) clip it at
        0, which is not done here.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            prompts: one per image.

        Returns:
            scores (batch,) from -100 to 100; usually 25 to 35 with ViT-B/32 on photographs and
            their captions.

        Raises:
            ValueError: if the images have another layout or range, or the numbers of images and
                prompts differ.
        """
        check_pairs(images, prompts)
        return 100 * (self.features(images) * self.text_features(prompts)).sum(dim=-1)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (batch, dim) of images (batch, 3, height, width) in [0, 1]."""
        check_images(images)
        images = images.to(self.device, self.clip.logit_scale.dtype)
        return self.clip.encode_image(self._preprocess(images), normalize=True)

    def text_features(self, texts: Sequence[str]) -> torch.Tensor:
        """Return unit vectors (batch, dim) of texts without a graph; each text is encoded once."""
        return self._texts(texts)

    def _encode_texts(self, texts: list[str]) -> torch.Tensor:
        return self.clip.encode_text(self._tokenize(texts).to(self.device), normalize=True)


def _source(model: str) -> str:
    """Return open_clip's name of the model."""
    if model not in PACKAGED:
        return model
    folder = names.toy("weights") / PACKAGED[model]
    if not folder.is_dir():
        raise LoadError(
            f"no CLIP in {folder}; train it with `python -m dpodiff.toy.train --stage clip`"
        )
    return f"local-dir:{folder}"


def _place(source: str, pretrained: str | None) -> str:
    """Return the folder, file or hub id that holds the weights."""
    import open_clip

    if ":" in source:
        return source.partition(":")[2]
    config = open_clip.get_pretrained_cfg(source, pretrained or "")
    return _hub_id(config) or pretrained or source


def _hub_id(config: dict[str, Any]) -> str:
    """Return the file or hub id of an entry in open_clip's table of weights; empty if none."""
    return config.get("file") or config.get("hf_hub", "").rstrip("/")


def _checked_weights(source: str, pretrained: str | None) -> dict[str, Any]:
    """Refuse weights that cannot be loaded safely; return further arguments for open_clip."""
    import open_clip

    kind, _, place = source.rpartition(":")
    if kind == "local-dir":
        if Path(place).is_dir() and not list(Path(place).glob("*.safetensors")):
            raise LoadError(f"the folder {place} holds no safetensors; {CONVERT}")
    elif kind == "hf-hub":
        _download({"hf_hub": f"{place}/"}, source)
    else:
        tag = _checked_tag(source, pretrained)
        if not (config := open_clip.get_pretrained_cfg(source, tag)):
            find(tag)
        else:
            _download(config, f"{source}/{tag}")
            # The architecture alone does not determine which GELU the weights were trained with.
            return {"force_quick_gelu": bool(config.get("quick_gelu"))}
    return {}


def _checked_tag(source: str, pretrained: str | None) -> str:
    """Return the tag or file of an architecture's weights; refuse what open_clip does not know."""
    import open_clip

    known = open_clip.list_models()
    if source not in known:
        near = difflib.get_close_matches(source, known, n=3, cutoff=0.4) or known[:3]
        raise LoadError(
            f"unknown CLIP {source!r}; open_clip has {', '.join(map(repr, near))} and others. "
            f"Known here are {', '.join(map(repr, PACKAGED))} and 'local-dir:FOLDER'"
        )
    tags = open_clip.list_pretrained_tags_by_model(source)
    if pretrained is None:
        raise LoadError(
            f"{source!r} is an architecture without weights: name them in `pretrained`, one of "
            f"{', '.join(map(repr, tags))}, or a safetensors file"
        )
    if not open_clip.get_pretrained_cfg(source, pretrained) and not Path(pretrained).suffix:
        raise LoadError(
            f"unknown weights {pretrained!r} of {source!r}; choose from {', '.join(tags)}, "
            "or give a safetensors file"
        )
    return pretrained


def _download(config: dict[str, Any], name: str) -> None:
    """Download the weights with open_clip, so that their file is known."""
    from open_clip.pretrained import download_pretrained

    try:
        with asking(_hub_id(config) or name, name=name, folder=COPY):
            path = download_pretrained(config)
    except LoadError:
        raise
    except Exception as error:  # from another server or from the network library
        raise LoadError(f"the weights {name!r} cannot be loaded ({error}); {COPY}") from error
    refuse_pickle(Path(path))
