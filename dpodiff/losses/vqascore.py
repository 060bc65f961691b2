"""VQAScore (Lin et al., 2024): a vision-language model is asked if the image shows the prompt.

The question is "Does this image show '...'? Please answer yes or no.", and the score is the
probability that the answer begins with yes. Such models understand relations and counts that CLIP
does not (arXiv 2404.01291). Any image-text-to-text model of transformers can be used. The published
one that is available in transformers is InstructBLIP with Flan-T5.
"""

from typing import Any

import torch

from dpodiff.losses.base import Reward
from dpodiff.models.pretrained import freeze, load
from dpodiff.names import LoadError

QUESTION = "Does this image show '{}'? Please answer yes or no."
YES = ("Yes", "yes", " Yes", " yes")  # spellings in the tokenizers of several models


class VQAScore(Reward):
    """Minus the probability that a vision-language model answers yes; from -1 to 0.

    The probability is that of the first word of the answer among all words, not only among yes and
    no. Images are preprocessed by the model's own processor, which keeps the gradient. The result
    differs from that for image files by the rounding to 8 bits.

    Args:
        source: a folder in the transformers format with weights, processor and tokenizer, or a hub
            id. The default has 4 billion parameters and a download of 16 GB.
        device: None is the GPU with the most free memory if there is one, else the CPU.
        dtype: dtype of the weights; None is float32 on a CPU, bfloat16 on a GPU.
        question: the question, with "{}" in the place of the prompt.

    Attributes:
        differentiable: whether the processor of this model keeps the gradient.

    Raises:
        LoadError: if the weights or the processor cannot be loaded, the weights are only available
            as a pickle, or the model is of another kind.
        ValueError: if the question has no "{}".

    Examples:
        >>> loss = dpodiff.losses.VQAScore()  # downloads its weights  # doctest: +SKIP
        >>> losses = loss(images, ["a red ball"] * len(images))  # doctest: +SKIP
    """

    def __init__(
        self,
        source: str = "Salesforce/instructblip-flan-t5-xl",
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        question: str = QUESTION,
    ) -> None:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        super().__init__(source, device)
        if "{}" not in question:
            raise ValueError(f"the question must have {{}} where the prompt stands: {question!r}")
        self.question = question
        if dtype is None:
            dtype = torch.float32 if self.device.type == "cpu" else torch.bfloat16
        # Any: the annotated types of the Auto classes are too general.
        self.model: Any = load(
            AutoModelForImageTextToText,
            source,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=dtype,
        )
        freeze(self.model, self.device)
        self._processor: Any = load(AutoProcessor, source, trust_remote_code=False)
        if not hasattr(self._processor, "image_processor"):
            raise LoadError(f"{source!r} has no image processor beside its weights")
        self._yes = _single_tokens(self._processor.tokenizer, source)
        self.differentiable = self._keeps_gradient()

    def _score(self, images: torch.Tensor, prompts: list[str]) -> torch.Tensor:
        dtype = torch.promote_types(images.dtype, torch.float32)
        scores = torch.empty(len(images), device=self.device, dtype=dtype)
        # Questions of one length need no padding, which would shift the positions of their words.
        for prompt in dict.fromkeys(prompts):
            rows = torch.tensor([other == prompt for other in prompts], device=self.device)
            scores[rows] = self._ask(images[rows], prompt).to(dtype)
        return scores

    def _ask(self, images: torch.Tensor, prompt: str) -> torch.Tensor:
        """Return P(yes) (batch,) of images for one prompt."""
        inputs = self._inputs(images, self.question.replace("{}", prompt))
        text = self.model.config.get_text_config()
        if text.is_encoder_decoder:
            start = text.decoder_start_token_id
            shape = (len(images), 1)
            inputs["decoder_input_ids"] = torch.full(shape, start, device=self.device)
        logits = self.model(**inputs).logits[:, -1]  # of the first word of the answer
        logits = logits if logits.dtype == torch.float64 else logits.float()
        return logits.softmax(dim=-1)[:, self._yes].sum(dim=-1)

    def _inputs(self, images: torch.Tensor, question: str) -> dict[str, torch.Tensor]:
        """Return the model's inputs, with the graph of the images if the processor keeps it."""
        settings = {"do_rescale": False, "return_tensors": "pt"}  # pixels are in [0, 1] already
        # Some processors read the pixels with numpy, which fails with a graph or on a GPU.
        plain = list(images.detach().cpu())
        text = [self._said(question)] * len(images)
        inputs = self._processor(images=plain, text=text, **settings)
        if images.requires_grad and self.differentiable:
            pixels = self._processor.image_processor(images=list(images), **settings)
            # A flat list could be taken for several images of one text; the order is the same.
            shape = inputs["pixel_values"].shape
            inputs["pixel_values"] = pixels["pixel_values"].reshape(shape)
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        return {name: tensor.to(self.device) for name, tensor in inputs.items()}

    def _said(self, question: str) -> str:
        """Return the question in the chat template of the model, if it has one."""
        if not getattr(self._processor, "chat_template", None):
            return question
        content = [{"type": "image"}, {"type": "text", "text": question}]
        turn = {"role": "user", "content": content}
        return self._processor.apply_chat_template([turn], add_generation_prompt=True)

    def _keeps_gradient(self) -> bool:
        """Return whether the processor keeps the graph of images, tested on one gray image.

        Raises:
            LoadError: if it does not take an image with a question.
        """
        gray = torch.full((1, 3, 64, 64), 0.5, device=self.device)
        try:
            plain = self._inputs(gray, self.question)["pixel_values"]
        except Exception as error:  # from a processor of another kind
            raise LoadError(
                f"{self.source!r} cannot be asked about an image ({error}); VQAScore takes "
                "image-text-to-text models such as InstructBLIP, BLIP-2 or a chat model"
            ) from error
        try:
            pixels = self._inputs(gray.requires_grad_(), self.question)["pixel_values"]
        except RuntimeError:  # from torch: numpy() of a tensor with a graph, or another shape
            return False
        same = torch.allclose(pixels, plain, atol=1e-2)
        return pixels.requires_grad and same


def _single_tokens(tokenizer: Any, source: str) -> list[int]:
    """Return the tokens that mean yes; spellings with several tokens are left out.

    Raises:
        LoadError: if there are none.
    """
    pieces = [tokenizer(word, add_special_tokens=False).input_ids for word in YES]
    whole = {ids[0] for ids in pieces if len(ids) == 1} - {tokenizer.unk_token_id}
    if not whole:
        raise LoadError(f"the tokenizer of {source!r} has no token for yes")
    return sorted(whole)
