"""Tiny random vision-language models as transformers saves them, for tests.

An InstructBLIP encodes image and question and decodes the answer; a LLaVA and a Qwen2-VL, whose
patches of all images are one list, go on writing a chat.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Punctuation, Sequence, Whitespace
from transformers import (
    BertTokenizer,
    BlipImageProcessor,
    CLIPImageProcessor,
    CLIPVisionConfig,
    InstructBlipConfig,
    InstructBlipForConditionalGeneration,
    InstructBlipProcessor,
    InstructBlipQFormerConfig,
    InstructBlipVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
    T5Config,
)

SIZE = 16  # pixels a side that both look at
QUERIES = 3
SPECIAL = ["<pad>", "</s>", "<unk>", "<image>"]
ASKED = "does Does this image show Please answer yes Yes no or ' ? . , USER : ASSISTANT".split()
THINGS = "a the on in red blue green ball box sea".split()
CHAT = (
    "{% for message in messages %}USER : {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}ASSISTANT :"
)
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
TOWER |= {"num_attention_heads": 2}


def instructblip(folder: Path) -> InstructBlipForConditionalGeneration:
    """Writes an InstructBLIP on a T5, with its processor and both of its tokenizers."""
    words = _tokenizer()
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *THINGS]))
    asked = BertTokenizer(str(folder / "vocab.txt"))
    images = BlipImageProcessor(size={"height": SIZE, "width": SIZE})
    InstructBlipProcessor(images, words, asked, QUERIES).save_pretrained(folder)
    torch.manual_seed(0)
    config = InstructBlipConfig(
        vision_config=InstructBlipVisionConfig(
            **TOWER, image_size=SIZE, patch_size=8, initializer_range=0.02
        ),
        qformer_config=InstructBlipQFormerConfig(
            **TOWER, vocab_size=len(asked), encoder_hidden_size=32
        ),
        text_config=T5Config(
            vocab_size=len(words),
            d_model=32,
            d_kv=16,
            d_ff=64,
            num_layers=1,
            num_heads=2,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        ),
        num_query_tokens=QUERIES,
        image_token_index=words.convert_tokens_to_ids("<image>"),
    )
    return _saved(InstructBlipForConditionalGeneration(config), folder)


def llava(folder: Path) -> LlavaForConditionalGeneration:
    """Writes a LLaVA on a Llama, with a chat template."""
    words = _tokenizer()
    images = CLIPImageProcessor(
        size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}
    )
    LlavaProcessor(
        images,
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=CHAT,
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    torch.manual_seed(1)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            **TOWER | {"num_hidden_layers": 2}, image_size=SIZE, patch_size=8
        ),
        text_config=LlamaConfig(**TOWER, vocab_size=len(words), pad_token_id=0),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    return _saved(LlavaForConditionalGeneration(config), folder)


def qwen2_vl(folder: Path) -> Qwen2VLForConditionalGeneration:
    """Writes a Qwen2-VL, with a chat template."""
    words = _tokenizer()
    signs = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    words.add_tokens(signs, special_tokens=True)
    image, video, start, end = words.convert_tokens_to_ids(signs)
    Qwen2VLProcessor(
        Qwen2VLImageProcessor(size={"shortest_edge": 28**2, "longest_edge": 56**2}),
        words,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=CHAT.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>"),
    ).save_pretrained(folder)
    torch.manual_seed(2)
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    text = TOWER | {"num_key_value_heads": 2, "pad_token_id": 0, "rope_parameters": rope}
    config = Qwen2VLConfig(
        vision_config={"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2},
        text_config=text | {"vocab_size": len(words)},
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    return _saved(Qwen2VLForConditionalGeneration(config), folder)


def _tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *ASKED, *THINGS])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Sequence([Whitespace(), Punctuation()])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )


def _saved(model, folder: Path):
    """The model with weights larger than at first, so that images and words matter."""
    for weight in model.parameters():
        weight.data = (5 * weight.data if weight.ndim > 1 else weight.data).half().float()
    model.save_pretrained(folder)
    return model.eval()
