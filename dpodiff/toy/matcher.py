"""An image-text matcher for the toy world: which words of a prompt hold for an image.

The logit of a word is the sum of two parts. The first is BLIP's image-text matching (Li et al.,
2022): words attend to each other and to the cells of the image. The second binds attributes to
objects: the word is compared with each cell, and cells are weighted by how well they fit the object
that the word describes. So "red" of "a red ball" is tested at the ball. There is one output per
word, which shows which word an image misses. The loss is the probability of failure:

    1 - P(clean) * product over content words of P(word holds)

On renders that were not used in training, the area under the ROC curve is 0.98 for objects, 0.97
for colors, 0.96 for sizes and 1.00 for backgrounds, but 0.69 for relations.

It is trained on renders and on images processed by a denoiser, with captions in which some words
are exchanged. The judge is not involved (see `dpodiff.toy.train.matcher`).
"""

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from dpodiff.losses.base import check_pairs
from dpodiff.models.devices import choose_device
from dpodiff.names import LoadError
from dpodiff.toy import WEIGHTS
from dpodiff.toy.captions import parse
from dpodiff.toy.layers import conv_block
from dpodiff.toy.words import concept_of

WIDTH, HEADS, LAYERS = 112, 4, 2
CELLS = 8  # cells per side
COLORS = 3 * 4  # mean colors of the quarters of a cell
LENGTH = 12  # largest number of content words of a prompt
FORMS = ("failure", "log")


@functools.cache
def vocabulary() -> dict[str, int]:
    """Return the numbers of the content words, from 1 on; 0 is padding."""
    words = sorted({word.removesuffix(" of").split()[-1] for word in concept_of()})
    return {word: number for number, word in enumerate(words, start=1)}


@functools.cache
def content_words(prompt: str) -> tuple[str, ...]:
    """Return the content words of a prompt in order, at most LENGTH.

    Examples:
        >>> from dpodiff.toy.matcher import content_words
        >>> content_words("a red ball left of a cup, on the sea")
        ('red', 'ball', 'left', 'cup', 'sea')
    """
    words = re.findall(r"[^\W_]+", prompt.lower())
    return tuple(word for word in words if word in vocabulary())[:LENGTH]


def owners_of(words: Sequence[str]) -> tuple[str, ...]:
    """Return for each content word the object that it describes; an object describes itself.

    Examples:
        >>> from dpodiff.toy.matcher import owners_of
        >>> owners_of(("red", "ball", "left", "cup", "sea"))
        ('ball', 'ball', '', 'cup', '')
    """
    kinds = _kinds(words)
    owned = ("object", "color", "size")  # attributes precede their object
    return tuple(
        _first_object(words[place:]) if kind in owned else "" for place, kind in enumerate(kinds)
    )


def related_by(words: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return for each content word that is a relation the objects before and after it.

    Examples:
        >>> from dpodiff.toy.matcher import related_by
        >>> related_by(("red", "ball", "left", "cup", "sea"))
        (('', '', 'ball', '', ''), ('', '', 'cup', '', ''))
    """
    before, behind = [""] * len(words), [""] * len(words)
    for place, kind in enumerate(_kinds(words)):
        if kind == "relation":
            before[place] = _first_object(words[:place][::-1])
            behind[place] = _first_object(words[place:])
    return tuple(before), tuple(behind)


def _kinds(words: Sequence[str]) -> list[str]:
    """Return the kind of each content word; `concept_of` lacks "left" and "right"."""
    return [concept_of().get(word, ("relation", ""))[0] for word in words]


def _first_object(words: Sequence[str]) -> str:
    return next((word for word, kind in zip(words, _kinds(words)) if kind == "object"), "")


class Matcher(nn.Module):
    """The probability that an image does not show its prompt, or has a defect.

    Less is better. "failure" is the probability, from 0 to 1: its mean over seeds estimates the
    share of failed images. "log" is minus the logarithm of the probability of success, from 0 on.
    Its gradient does not vanish for images that are certainly wrong.

    Args:
        form: "failure" or "log".

    Attributes:
        differentiable: True.

    Raises:
        ValueError: if the form is unknown.

    Examples:
        >>> from dpodiff.toy import matcher, render, scenes
        >>> scene = scenes.Scene((scenes.Thing("ball", "red", "large"),), background="sea")
        >>> image = torch.from_numpy(render.render_batch([scene], np.random.default_rng(0)))
        >>> loss = matcher.Matcher.load()
        >>> bool(loss(image, ["a red ball on the sea"]) < loss(image, ["a red box on the sea"]))
        True
    """

    differentiable = True

    def __init__(self, form: str = "failure") -> None:
        super().__init__()
        if not isinstance(form, str) or form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
        self.form = form
        self.body = nn.Sequential(
            conv_block(3, 40, 2),
            conv_block(40, 80, 2),
            conv_block(80, WIDTH, 2),
            conv_block(WIDTH, WIDTH, 1),
        )
        self.places = nn.Parameter(0.02 * torch.randn(CELLS * CELLS, WIDTH))
        self.words = nn.Embedding(1 + len(vocabulary()), WIDTH, padding_idx=0)
        self.looks = nn.Embedding(1 + len(vocabulary()), WIDTH, padding_idx=0)
        self.local = nn.Linear(WIDTH + COLORS, WIDTH)
        self.directions = nn.Embedding(1 + len(vocabulary()), 2, padding_idx=0)
        self.order = nn.Parameter(0.02 * torch.randn(LENGTH, WIDTH))
        layer = nn.TransformerDecoderLayer(
            WIDTH, HEADS, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True
        )
        self.reader = nn.TransformerDecoder(layer, LAYERS)
        self.holds = nn.Linear(WIDTH, 1)
        self.clean = nn.Linear(2 * WIDTH, 1)

    @classmethod
    def load(
        cls,
        path: Path = WEIGHTS / "matcher.safetensors",
        device: "str | torch.device" = "cpu",
        form: str = "failure",
    ) -> "Matcher":
        """Return the trained matcher of the toy world."""
        from safetensors.torch import load_file

        matcher = cls(form)
        matcher.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        return matcher.eval().requires_grad_(False).to(device)

    def __repr__(self) -> str:
        return f"Matcher(form={self.form!r})"

    def forward(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the loss of each image for its own prompt; differentiable in the images.

        Args:
            images: (batch, 3, 64, 64) in [0, 1].
            prompts: one per image.

        Returns:
            losses (batch,), float32.

        Raises:
            ValueError: if the images have another layout or range, or the numbers of images and
                prompts differ.
        """
        check_pairs(images, prompts)
        cells = self.cells(images)
        success = self._log_success(cells, prompts)
        return -success if self.form == "log" else 1 - success.exp()

    def cells(self, images: torch.Tensor) -> torch.Tensor:
        """Return cell features (batch, 64, 124) of images (batch, 3, 64, 64), colors last."""
        images = 2 * images.float() - 1
        quarters = nn.functional.adaptive_avg_pool2d(images, 2 * CELLS)
        colors = nn.functional.pixel_unshuffle(quarters, 2)
        return torch.cat([self.body(images), colors], 1).flatten(2).transpose(1, 2)

    def local_features(self, cells: torch.Tensor) -> torch.Tensor:
        """Return features (batch, cells, WIDTH) for the comparison with words."""
        return nn.functional.silu(self.local(cells))

    def where(self, local: torch.Tensor, objects: Sequence[Sequence[str]]) -> torch.Tensor:
        """Return weights (batch, LENGTH, cells) of the cells that fit an object best."""
        return (self.looks(_numbers(objects, local.device)) @ local.mT).softmax(-1)

    def word_logits(self, cells: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return logits (batch, LENGTH) that each content word holds; infinite for padding."""
        words = [content_words(prompt) for prompt in prompts]
        numbers = _numbers(words, cells.device)
        texts = self.words(numbers) + self.order
        read = self.reader(texts, cells[..., :WIDTH] + self.places)
        local = self.local_features(cells)
        fits = self.looks(numbers) @ local.mT  # (batch, LENGTH, cells)
        bound = (fits * self.where(local, [owners_of(one) for one in words])).sum(-1)
        before, behind = zip(*[related_by(one) for one in words])
        apart = (self.where(local, before) - self.where(local, behind)) @ _places(
            cells
        )  # (batch, LENGTH, 2) in cells
        related = (self.directions(numbers) * apart).sum(-1)
        logits = self.holds(read).squeeze(-1) + bound + related
        return logits.masked_fill(numbers == 0, torch.inf)

    def clean_logits(self, cells: torch.Tensor) -> torch.Tensor:
        """Return logits (batch,) that an image has no defect."""
        cells = cells[..., :WIDTH]
        return self.clean(torch.cat([cells.mean(1), cells.amax(1)], -1)).squeeze(-1)

    @torch.no_grad()
    def statements(self, images: torch.Tensor, prompt: str) -> dict[str, list[float]]:
        """Return the probabilities, per image, that each content word holds and that it is "clean".

        Args:
            images: (batch, 3, 64, 64) in [0, 1].
            prompt: what all images should show.
        """
        cells = self.cells(images)
        shares = self.word_logits(cells, [prompt] * len(images)).sigmoid().T.tolist()
        found = dict(zip(content_words(prompt), shares))
        return found | {"clean": self.clean_logits(cells).sigmoid().tolist()}

    def _log_success(self, cells: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the log probability (batch,) that all content words hold and the image is clean.

        If the prompt asks for a defect, the image need not be clean.
        """
        words = nn.functional.logsigmoid(self.word_logits(cells, prompts)).sum(-1)
        clean = nn.functional.logsigmoid(self.clean_logits(cells))
        asked = torch.tensor([parse(prompt).defect is None for prompt in prompts])
        return words + clean * asked.to(clean)


def _numbers(rows: Sequence[Sequence[str]], device: "str | torch.device") -> torch.Tensor:
    """Return the numbers (rows, LENGTH) of words in the vocabulary; 0 is padding."""
    numbers = torch.zeros(len(rows), LENGTH, dtype=torch.long)
    for row, words in zip(numbers, rows):
        row[: len(words)] = torch.tensor([vocabulary().get(word, 0) for word in words])
    return numbers.to(device)


def _places(cells: torch.Tensor) -> torch.Tensor:
    """Return the row and column of each cell, (cells, 2)."""
    side = torch.arange(CELLS, dtype=cells.dtype, device=cells.device)
    return torch.cartesian_prod(side, side)


def load_matcher(device: "str | torch.device | None" = None, form: str = "failure") -> Matcher:
    """Load the matcher, as `dpodiff.losses.load("toy-matcher")` does.

    Args:
        device: None is the GPU with the most free memory if there is one, else the CPU.
        form: "failure" or "log".

    Raises:
        LoadError: if the weights are missing.

    Examples:
        >>> from dpodiff.toy.matcher import load_matcher
        >>> load_matcher(form="log")
        Matcher(form='log')
    """
    path = WEIGHTS / "matcher.safetensors"
    if not path.is_file():
        raise LoadError(f"no matcher in {path}; train it with `python -m dpodiff.toy.train`")
    return Matcher.load(path, choose_device(device), form)
