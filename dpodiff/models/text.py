"""Text encoders: a tokenizer and a network, for texts and for mixtures.

Families use different outputs: the tokens of the last layer (Stable Diffusion 1 and 2, T5) or of
the layer before it (SDXL, SD3), and the pooled vector of a text (SDXL, SD3, Flux). If a family
needs the pooled vector, it is stored as one more row of the encoding. So an encoding is always one
tensor (batch, row, dim), which can be cached, repeated and differentiated.
"""

import math
import re
import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from diffusers.loaders import TextualInversionLoaderMixin
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase, T5EncoderModel

from dpodiff.models.base import PromptError
from dpodiff.models.mixture import Piece, lay_out, mix_embeddings
from dpodiff.weighted_text import WeightedText, plain


class Encoded(NamedTuple):
    """The output of a text encoder.

    Attributes:
        tokens: (batch, token, dim).
        pooled: pooled vectors (batch, dim); None if the network has none.
    """

    tokens: torch.Tensor
    pooled: torch.Tensor | None

    @property
    def of_text(self) -> torch.Tensor:
        """The pooled vector (batch, dim) of a network that has one.

        Raises:
            ValueError: if the network has none.
        """
        if self.pooled is None:
            raise ValueError("this text encoder has no vector of the whole text, only its tokens")
        return self.pooled


class TextEncoder:
    """A tokenizer with its CLIP, T5, Gemma or Qwen.

    Args:
        tokenizer: tokenizer that pads, and adds start and end tokens. Tokens of textual inversion
            may have several vectors.
        network: a `CLIPTextModel`, a `CLIPTextModelWithProjection`, a `T5EncoderModel`, a
            `Gemma2Model` or a `Qwen3Model`.
        device: device of the token ids and the network.
        limit: number of tokens that texts are padded to; None is the limit of the tokenizer.
        penultimate: whether to return the tokens of the layer before the last.
        masked: whether padding is masked. Its tokens are then zeros, which `mask_of` detects.
        lower: whether texts are read in lower case.
        around: text before and after each text, as in a chat template.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        network: PreTrainedModel,
        *,
        device: torch.device,
        limit: int | None = None,
        penultimate: bool = False,
        masked: bool = False,
        lower: bool = False,
        around: tuple[str, str] = ("", ""),
    ) -> None:
        self.tokenizer, self.network, self.penultimate = tokenizer, network, penultimate
        self._masked, self._lower, self._around = masked, lower, around
        self.device, self.limit = device, limit or tokenizer.model_max_length
        ends = tokenizer("").input_ids  # T5 has no start token, Gemma no end, Qwen neither
        end = [token for token in ends[-1:] if token == tokenizer.eos_token_id]
        before, after = self._bare(list(around))
        self._start, self._end = ends[: len(ends) - len(end)] + before, after + end

    def __call__(self, texts: Sequence[str]) -> Encoded:
        """Encode texts, each padded to the limit; the tokens of a `WeightedText` are weighted.

        Raises:
            PromptError: as in `tokenize`.
        """
        encoded = self._read(self.tokenize(texts))
        weighted = {k: text for k, text in enumerate(texts) if isinstance(text, WeightedText)}
        if not weighted:
            return encoded
        rows = list(encoded.tokens)
        for row, text in weighted.items():
            rows[row] = self._weighted(text, rows[row])
        return Encoded(torch.stack(rows), encoded.pooled)

    def _weighted(self, text: WeightedText, tokens: torch.Tensor) -> torch.Tensor:
        """Return the tokens (token, dim) of a text with its weights, as compel 2 computes them.

        The difference between a token and the token at the same position of the empty text is
        multiplied by its weight. For pieces with weights below 1, this is applied to a weighted
        mean: the text itself has weight 1, and the text with one such piece masked has weight
        tan((1 - weight) pi / 2), which is 0 for a weight of 1 and infinite for 0. Neighbors of
        equal weight form one piece.
        """
        ids, (empty,) = self.tokenize([text]), self._read(self.tokenize([""])).tokens
        scales = tokens.new_ones(len(tokens), 1)
        total, shares, start = tokens, 1.0, len(self._start)
        said = (piece for piece in text.pieces if piece[0].strip())
        for weight, pieces in groupby(said, key=lambda piece: piece[1]):
            count = sum(map(len, self._bare([piece for piece, _ in pieces])))
            place, start = slice(start, start + count), start + count
            scales[place] = weight
            if weight < 1:
                mask = torch.ones_like(ids)
                mask[:, place] = 0
                share = math.tan((1 - weight) * math.pi / 2)
                total = total + share * self._read(ids, mask).tokens[0]
                shares += share
        return empty + scales * (total / shares - empty)

    def tokenize(self, texts: Sequence[str]) -> torch.Tensor:
        """Return token ids (batch, token) of texts, padded to the limit; weights are ignored.

        Raises:
            PromptError: if a text is longer than the limit; nothing is truncated silently.
        """
        texts = [plain(text).strip() for text in texts]
        before, after = self._around
        rows = self.tokenizer(
            [before + text + after for text in self._as_read(texts)],
            padding="max_length",
            padding_side="right",
            max_length=self.limit,
            truncation=False,
            verbose=False,
        ).input_ids
        for text, row in zip(texts, rows, strict=True):
            if len(row) > self.limit:
                raise PromptError(
                    f"{textwrap.shorten(text, 60, placeholder='...')!r} has {len(row)} tokens with "
                    f"start and end; the model takes at most {self.limit}: shorten it"
                )
        return torch.tensor(rows, device=self.device)

    def places(self, text: str, word: str) -> list[int]:
        """Return the token positions of a word, at its first occurrence in a text.

        The start token has position 0.

        Raises:
            ValueError: if the word is not in the text.
        """
        match = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)
        if not word or match is None:
            raise ValueError(f"{word!r} is not in {text!r}")
        before, own = self._bare([text[: match.start()], word])
        first = len(self._start) + len(before)
        return list(range(first, first + len(own)))

    def mixed(self, pieces: Sequence[Piece]) -> Encoded:
        """Encode one prompt with mixed words; differentiable in the weights.

        Raises:
            PromptError: if it has more tokens than the limit.
        """
        ends = len(self._start) + len(self._end)
        layout = lay_out(pieces, self._bare, self.limit - ends)
        padding = self.limit - ends - len(layout.ids)
        if padding < 0:
            total = self.limit - padding
            raise PromptError(f"a mixed prompt has {total} tokens; {self.limit} is the most")
        row = [*self._start, *layout.ids, *self._end, *[self._blank] * padding]
        words = [
            [self._embedded(ids or [self._blank]) for ids in choices]
            for *_, choices in layout.mixed
        ]

        def replace(table: nn.Embedding, inputs: tuple, embedded: torch.Tensor) -> torch.Tensor:
            return mix_embeddings(embedded, layout, words, len(self._start))

        # CLIP takes ids only: positions and the place of the end token are derived from them.
        hook = self._table.register_forward_hook(replace)
        try:
            return self._read(torch.tensor([row], device=self.device))
        finally:
            hook.remove()

    def _embedded(self, ids: list[int]) -> torch.Tensor:
        # Call the table: its weights are elsewhere while the network is offloaded.
        return self._table(torch.tensor(ids, device=self.device))

    def _bare(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(self._as_read(texts), add_special_tokens=False).input_ids

    def _as_read(self, texts: list[str]) -> list[str]:
        """Return the texts with the other vectors of each textual inversion token inserted."""
        texts = [text.lower() for text in texts] if self._lower else texts
        added: Any = self.tokenizer.added_tokens_encoder  # its type is any attribute
        # Without a token of several vectors the loader changes nothing, but warns of long texts.
        if not any(f"{token}_1" in added for token in added):
            return texts
        loader: Any = TextualInversionLoaderMixin()  # its types allow one class of tokenizers only
        return loader.maybe_convert_prompt(texts, self.tokenizer)

    def _read(self, ids: torch.Tensor, mask: torch.Tensor | None = None) -> Encoded:
        shown = torch.ne(ids, self._blank).long()
        if self._masked:
            mask = shown
        output = self.network(ids, attention_mask=mask, output_hidden_states=self.penultimate)
        tokens = output.hidden_states[-2] if self.penultimate else output.last_hidden_state
        if self._masked:
            tokens = tokens * shown[..., None]
        return Encoded(tokens, output.get("text_embeds", output.get("pooler_output")))

    @property
    def _blank(self) -> int:
        blank: Any = self.tokenizer.pad_token_id  # its type allows several
        return blank

    @property
    def _table(self) -> nn.Embedding:
        if isinstance(self.network, T5EncoderModel):
            return self.network.encoder.embed_tokens  # T5 calls this table, not the shared one
        table: Any = self.network.get_input_embeddings()  # its type is any module
        return table


def with_pooled(tokens: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
    """Append `pooled`, padded with zeros, as the last row: (batch, token + 1, dim)."""
    row = F.pad(pooled, (0, tokens.shape[-1] - pooled.shape[-1]))
    return torch.cat([tokens, row[:, None]], dim=1)


def without_pooled(encoding: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the tokens (batch, token, dim) and the pooled vector (batch, width) of an encoding."""
    return encoding[:, :-1], encoding[:, -1, :width]


def mask_of(encoding: torch.Tensor) -> torch.Tensor:
    """Return the mask (batch, token) of a masked encoding: 1 for tokens, 0 for padding."""
    return (encoding != 0).any(dim=-1).long()
