"""Text encoders of every kind: a tokenizer and its network, for whole texts and for mixtures.

Families differ in which outputs they use: the tokens of the last layer (Stable Diffusion 1 and 2,
T5) or of the one before (SDXL, SD3), and the vector that pools a whole text (SDXL, SD3, Flux).
Where a family needs such a vector, it travels as one more row of the encoding, so that an encoding
is always one tensor (batch, row, dim): to be cached, repeated and differentiated like any other.
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
    """What a text encoder makes of texts.

    Attributes:
        tokens: (batch, token, dim).
        pooled: (batch, dim), of the whole text; None where the network has none.
    """

    tokens: torch.Tensor
    pooled: torch.Tensor | None

    @property
    def of_text(self) -> torch.Tensor:
        """The pooled vector (batch, dim) of a network that has one.

        Raises:
            ValueError: if it has none.
        """
        if self.pooled is None:
            raise ValueError("this text encoder has no vector of the whole text, only its tokens")
        return self.pooled


class TextEncoder:
    """A tokenizer and its CLIP, T5, Gemma or Qwen.

    Args:
        tokenizer: pads, and adds its start and end tokens. Tokens that textual inversion added may
            stand for several vectors.
        network: a `CLIPTextModel`, a `CLIPTextModelWithProjection`, a `T5EncoderModel`, a
            `Gemma2Model` or a `Qwen3Model`.
        device: of the token ids; that of the network.
        limit: tokens that texts are padded to; None is what the tokenizer says.
        penultimate: whether to give the tokens of the layer before the last.
        masked: whether the network looks away from padding. Its tokens are zeros then, which
            `mask_of` finds again.
        lower: whether texts are read in lower case.
        around: what stands before and after each text, as in the template of a chat.
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
        """The texts, each padded to the limit; the tokens of a `WeightedText` are weighted.

        Raises:
            PromptError: as `tokenize`.
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
        """The tokens (token, dim) of a text with its weights, as compel 2 computes them.

        A token's distance from the one at its place in the empty text is multiplied by its weight.
        Where pieces weigh less than 1, that is done to a mean of the text itself, which counts 1,
        and for each such piece of the text with that piece masked, which counts
        tan((1 - weight) pi / 2): nothing at weight 1, and all at 0. Neighbors of one weight are one
        piece.
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
        """Token ids (batch, token) of the texts, padded to the limit; weights are left out.

        Raises:
            PromptError: if a text is longer; nothing is cut off in silence.
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
                    f"{textwrap.shorten(text, 60, placeholder='...')!r} has {len(row)} tokens, its "
                    f"start and end counted; the model takes at most {self.limit}: shorten it"
                )
        return torch.tensor(rows, device=self.device)

    def places(self, text: str, word: str) -> list[int]:
        """The places of a word's tokens, at its first place in a text; the start token counts.

        Raises:
            ValueError: if the word does not stand there.
        """
        match = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)
        if not word or match is None:
            raise ValueError(f"{word!r} does not stand in {text!r}")
        before, own = self._bare([text[: match.start()], word])
        first = len(self._start) + len(before)
        return list(range(first, first + len(own)))

    def mixed(self, pieces: Sequence[Piece]) -> Encoded:
        """One prompt with mixed words; differentiable in the weights.

        Raises:
            PromptError: if it takes more tokens than the limit.
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

        # CLIP takes ids only: positions and the place of its end token come from them.
        hook = self._table.register_forward_hook(replace)
        try:
            return self._read(torch.tensor([row], device=self.device))
        finally:
            hook.remove()

    def _embedded(self, ids: list[int]) -> torch.Tensor:
        # By a call, not by its weight, which is elsewhere while the network is offloaded.
        return self._table(torch.tensor(ids, device=self.device))

    def _bare(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(self._as_read(texts), add_special_tokens=False).input_ids

    def _as_read(self, texts: list[str]) -> list[str]:
        """The texts, each token of textual inversion followed by those of its other vectors."""
        texts = [text.lower() for text in texts] if self._lower else texts
        loader: Any = TextualInversionLoaderMixin()  # its types know one class of tokenizers only
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
        blank: Any = self.tokenizer.pad_token_id  # the type allows for several
        return blank

    @property
    def _table(self) -> nn.Embedding:
        if isinstance(self.network, T5EncoderModel):
            return self.network.encoder.embed_tokens  # its own table shares weights, is not called
        table: Any = self.network.get_input_embeddings()  # typed as any module
        return table


def with_pooled(tokens: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
    """An encoding (batch, token + 1, dim): `pooled`, filled up with zeros, is its last row."""
    row = F.pad(pooled, (0, tokens.shape[-1] - pooled.shape[-1]))
    return torch.cat([tokens, row[:, None]], dim=1)


def without_pooled(encoding: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens (batch, token, dim) and the pooled vector (batch, width) of an encoding."""
    return encoding[:, :-1], encoding[:, -1, :width]


def mask_of(encoding: torch.Tensor) -> torch.Tensor:
    """Which tokens (batch, token) of a masked encoder's encoding are no padding: 1, else 0."""
    return (encoding != 0).any(dim=-1).long()
