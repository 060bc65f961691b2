"""Promptist (Hao et al., 2023), a baseline: a language model that rewrites prompts.

A GPT-2 was trained to turn a user's prompt into one that Stable Diffusion 1.4 draws better. It
mostly adds words of style. It uses no image model and has no budget. For a comparison, its rewrites
form a space of one slot, so that an objective evaluates them like other candidates:

    space = Promptist().space(prompt)
    settings = {"solver": "random", "budget": space.size, "verify": 0}
    result = dpodiff.improve(prompt, space=space, **settings)
"""

from typing import TYPE_CHECKING, Any

from dpodiff.models.pretrained import beside, freeze, load
from dpodiff.spaces.space import Slot, Space

if TYPE_CHECKING:
    import torch

MODEL, TOKENIZER = "microsoft/Promptist", "openai-community/gpt2"
ASK = " Rephrase:"  # the suffix that it was trained with
NEW_TOKENS = 75  # as in the authors' demo, like the beams and the length penalty


class Promptist:
    """Rewrites prompts by beam search; the same prompt always gives the same result.

    Args:
        source: a folder in the transformers format, or a hub id, which may be downloaded. The
            folder may hold the tokenizer; otherwise GPT-2's is used.
        beams: number of beams, which is also the largest number of rewrites.
        device: None is the GPU with the most free memory if there is one, else the CPU.

    Raises:
        ValueError: if `beams` is below 1.
        LoadError: if the weights or the tokenizer cannot be loaded, or are only available as a
            pickle. The message says what would be right.

    Examples:
        >>> promptist = dpodiff.Promptist()  # downloads its weights  # doctest: +SKIP
        >>> rewrites = promptist("a red ball")  # doctest: +SKIP
        >>> space = promptist.space("a red ball")  # doctest: +SKIP
    """

    def __init__(
        self, source: str = MODEL, beams: int = 8, device: "str | torch.device | None" = None
    ) -> None:
        import torch
        from transformers import AutoTokenizer, GPT2LMHeadModel

        from dpodiff.models.devices import choose_device

        if beams < 1:
            raise ValueError(f"beams must be at least 1, not {beams}")
        self.source, self.beams, self.device = source, beams, choose_device(device)
        # Any: transformers has wrong types for its tokenizers and `generate`.
        self.model: Any = load(GPT2LMHeadModel, source, use_safetensors=True, dtype=torch.float32)
        freeze(self.model, self.device)
        tokens = beside(source, "tokenizer_config.json", TOKENIZER)
        self._tokenizer: Any = load(AutoTokenizer, tokens)

    def __repr__(self) -> str:
        return f"Promptist({self.source!r}, beams={self.beams})"

    def __call__(self, prompt: str) -> list[str]:
        """Return the rewrites of a prompt, the likeliest first, all different and not empty.

        Raises:
            ValueError: if the prompt is empty, or too long for the model.
        """
        if not prompt.strip():
            raise ValueError("the prompt is empty: say what the image should show")
        tokens = self._tokenizer(prompt.strip() + ASK, return_tensors="pt").to(self.device)
        length = tokens.input_ids.shape[1]
        if length + NEW_TOKENS > (limit := self.model.config.n_positions):
            raise ValueError(
                f"the prompt has {length} tokens, and Promptist takes {limit - NEW_TOKENS} at most"
            )
        end = self._tokenizer.eos_token_id
        written = self.model.generate(
            **tokens,
            do_sample=False,
            max_new_tokens=NEW_TOKENS,
            num_beams=self.beams,
            num_return_sequences=self.beams,
            length_penalty=-1.0,
            eos_token_id=end,
            pad_token_id=end,
        )
        texts = self._tokenizer.batch_decode(written[:, length:], skip_special_tokens=True)
        return [text for text in dict.fromkeys(text.strip() for text in texts) if text]

    def space(self, prompt: str, negative_prompt: str = "") -> Space:
        """Return a space with one slot of the prompt and its rewrites, the likeliest rewrite first.

        Raises:
            ValueError: as in a call.
        """
        rewrites = [text for text in self(prompt) if text != prompt]
        return Space(prompt, (Slot(prompt, (prompt, *rewrites), start=0),), negative_prompt)
