"""Promptist: the authors' demo by hand, rewrites as a space, and missing weights."""

import pytest
import tiny_rewards
from helpers import FakeModel, shade
from transformers import AutoTokenizer, GPT2LMHeadModel

from dpodiff import LoadError, Objective, RandomSearch, search
from dpodiff.objective.cost import Budget
from dpodiff.spaces.promptist import Promptist

PROMPT = "a red ball on the sea"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("promptist") / "tiny"
    tiny_rewards.promptist(path)
    return str(path)


@pytest.fixture(scope="module")
def promptist(folder):
    return Promptist(folder, device="cpu")


@pytest.fixture(scope="module")
def rewrites(promptist):
    return promptist(f" {PROMPT} ")


def test_rewrites_are_those_of_the_authors_demo(rewrites, folder):
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(PROMPT + " Rephrase:", return_tensors="pt")
    end = tokenizer.eos_token_id
    written = model.generate(
        **tokens,
        do_sample=False,
        max_new_tokens=75,
        num_beams=8,
        num_return_sequences=8,
        eos_token_id=end,
        pad_token_id=end,
        length_penalty=-1.0,
    )
    asked = tokenizer.decode(tokens.input_ids[0], skip_special_tokens=True)
    texts = [
        t.removeprefix(asked).strip()
        for t in tokenizer.batch_decode(written, skip_special_tokens=True)
    ]
    assert rewrites == list(filter(None, dict.fromkeys(texts)))


def test_rewrites_are_different(rewrites):
    assert 1 <= len(rewrites) <= 8
    assert len(set(rewrites)) == len(rewrites)
    assert all(rewrites)


def test_fewer_beams_give_fewer_rewrites(folder):
    assert len(Promptist(folder, beams=1, device="cpu")(PROMPT)) == 1


def test_a_search_judges_the_rewrites_beside_the_prompt(promptist, rewrites):
    space = promptist.space(PROMPT, "blurry")
    assert space.decode(space.identity) == (PROMPT, "blurry")
    assert [space.decode((k,)).positive for k in range(1, space.size)] == rewrites
    goal = Objective(FakeModel(), shade, space, range(2))
    result = search(RandomSearch(space), goal, Budget(space.size), progress=False)
    assert len(result.trace.records) == space.size
    assert result.prompts.positive in {PROMPT, *rewrites}


def test_an_empty_prompt_and_one_too_long_are_refused(promptist):
    with pytest.raises(ValueError, match="prompt is empty"):
        promptist("  ")
    with pytest.raises(ValueError, match=r"Promptist takes 53 at most"):
        promptist("a red ball " * 40)


def test_a_beam_is_needed(folder):
    with pytest.raises(ValueError, match="beams must be at least 1"):
        Promptist(folder, beams=0)


def test_missing_weights_say_what_would_be_right(tmp_path, monkeypatch):
    (tmp_path / "pytorch_model.bin").touch()
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(LoadError, match=r"pytorch_model.bin but no .*save_file"):
        Promptist(str(tmp_path))

    def offline(*args, **settings):
        raise OSError("no network")

    monkeypatch.setattr(GPT2LMHeadModel, "from_pretrained", offline)
    with pytest.raises(LoadError, match="microsoft/Promptist cannot be loaded: .*local folder"):
        Promptist()
