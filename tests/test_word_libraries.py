"""Negative prompt libraries and modifiers: what is packaged, one's own, and which model has which.

CLIP's own vocabulary, which open_clip ships, counts the tokens.
"""

from itertools import chain

import numpy as np
import pytest
from helpers import FakeModel, shade
from open_clip.tokenizer import SimpleTokenizer

from dpodiff import Dictionary, PromptError, attack, improve, modifiers_space, nplib_space
from dpodiff.spaces import MODIFIERS, NEGATIVE, Space
from dpodiff.spaces.lexicons import read_words
from dpodiff.toy.words import NPLIB, PRAISE

LIMIT = 77  # tokens of CLIP, those of start and end included
LONG = (
    "a small brown dog with a red collar and a blue ball in its mouth runs on a wet sandy beach at "
    "sunset while two children and an old man watch from a wooden pier"
)
QUIET = {"loss": shade, "budget": 3, "verify": 0, "progress": False, "lexicon": Dictionary()}


class Clip77(FakeModel):
    """Takes as many tokens as Stable Diffusion."""

    def __init__(self):
        super().__init__()
        self._tokenizer = SimpleTokenizer()

    def tokens(self, text):
        return len(self._tokenizer.encode(text)) + 2

    def check(self, prompt, negative_prompt=""):
        if max(map(self.tokens, (prompt, negative_prompt))) > LIMIT:
            raise PromptError("too long")


def toy():
    model = FakeModel()
    model.name = "toy"
    return model


def words_of(space):
    return {word for slot in space.slots for word in slot.choices[1:]}


def offered(prompt="a dog", **settings):
    settings = {"model": FakeModel(), "space": "modifiers+nplib"} | QUIET | settings
    return improve(prompt, **settings).objective.space


@pytest.mark.parametrize(
    ("file", "least", "most"), [(NEGATIVE, 150, 250), (MODIFIERS, 80, 120)], ids=["-", "+"]
)
def test_a_packaged_library_has_groups_of_different_short_entries(file, least, most):
    groups = read_words(file)
    entries = list(chain.from_iterable(groups.values()))
    assert "" not in groups
    assert least <= len(entries) <= most
    assert len({entry.lower() for entry in entries}) == len(entries)
    assert all(entry == " ".join(entry.lower().split()) for entry in entries)
    assert all(len(entry.split()) <= 5 for entry in entries)


def test_what_is_asked_for_is_never_pushed_away_too():
    asked, pushed = (
        set(chain.from_iterable(read_words(f).values())) for f in (MODIFIERS, NEGATIVE)
    )
    assert not asked & pushed


def test_random_candidates_of_a_long_prompt_fit_the_tokens_of_stable_diffusion():
    model = Clip77()
    space = modifiers_space(LONG, read_words(MODIFIERS)) + nplib_space(LONG, read_words(NEGATIVE))
    rng = np.random.default_rng(0)
    for _ in range(100):
        prompts = space.decode(space.sample(rng))
        model.check(*prompts)
    longest = [max(slot.choices, key=model.tokens) for slot in space.slots]
    model.check(*space.decode(space.choose(longest)))


def test_each_group_gives_at_most_one_word():
    groups = {"blur": ["blurry", "soft"], "light": ["dark"], "a": ["dog"]}
    assert [slot.choices for slot in nplib_space("a dog", groups).slots] == [
        ("", "blurry", "soft"),
        ("", "dark"),
    ]
    assert [slot.text for slot in modifiers_space("a dog", groups).slots] == ["blur", "light"]


def test_a_list_without_groups_is_cut_into_a_few_parts():
    words = [f"w{k}" for k in range(30)]
    for given in (words, {"": words}):
        assert len(nplib_space("a dog", given).slots) == 4
        assert len(modifiers_space("a dog", given).slots) == 8
    assert len(nplib_space("a dog", words[:2]).slots) == 2
    assert nplib_space("a w0", words[:1]) == Space("a w0")


def test_the_toy_model_has_the_words_of_the_toy_world_and_any_other_the_real_ones():
    assert words_of(offered(model=toy())) == {*NPLIB, *PRAISE}
    real = set(chain(*read_words(NEGATIVE).values(), *read_words(MODIFIERS).values()))
    assert words_of(offered()) == real


def test_own_words_by_file_by_list_and_by_group(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("# a note\n\n# blur\nblurry, soft focus,\n\n#light\n  dark\n")
    assert read_words(file) == {"blur": ["blurry", "soft focus"], "light": ["dark"]}
    for given in (file, str(file), read_words(file)):
        space = offered(space="nplib", nplib=given)
        assert [slot.choices[1:] for slot in space.slots] == [("blurry", "soft focus"), ("dark",)]
    space = offered(model=toy(), nplib=["dark"], modifiers=["glossy", "matte"])
    assert words_of(space) == {"dark", "glossy", "matte"}
    result = attack(
        "a dog", model=FakeModel(), encoder="toy", space="nplib", nplib=["dark"], **QUIET
    )
    assert words_of(result.objective.space) == {"dark"}


def test_a_file_that_is_pasted_from_a_negative_prompt_is_read(tmp_path):
    file = tmp_path / "pasted.txt"
    file.write_bytes("\ufeffblurry, bad hands,\r\nugly".encode())
    assert read_words(file) == {"": ["blurry", "bad hands", "ugly"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read .No such file"),
        (b"", "is empty; write one entry a line"),
        (b"# a note\n\n , ,\n", "is empty"),
        (b"\xff\xfe\x00", "a text file in UTF-8"),
    ],
    ids=["missing", "empty", "notes alone", "binary"],
)
def test_a_file_without_words_is_named_before_an_image_is_made(tmp_path, content, message):
    file = tmp_path / "mine.txt"
    if content is not None:
        file.write_bytes(content)
    model = FakeModel()
    for settings in ({"nplib": file}, {"modifiers": str(file)}):
        with pytest.raises(ValueError, match=f"mine.txt: .*{message}"):
            offered(model=model, **settings)
    assert not model.batches


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nplib": []}, "nplib must be the path of a word list"),
        ({"nplib": ["dark", 3]}, "nplib must be"),
        ({"modifiers": {"light": "dark"}}, "modifiers must be"),
        ({"modifiers": 7}, "modifiers must be"),
        (
            {"space": "synonym", "nplib": ["dark"]},
            "nplib is for the space 'nplib'",
        ),
        ({"space": nplib_space("a dog", ["dark"]), "nplib": ["dark"]}, "a Space has its own"),
    ],
)
def test_words_that_are_none_or_of_no_use_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        offered(**settings)


def test_the_toy_dictionary_is_refused_for_prompts_that_it_cannot_read():
    model = FakeModel()
    with pytest.raises(ValueError, match="not astronaut, riding, horse: for fake take lexicon="):
        improve("an astronaut riding a horse", model=model, loss=shade, lexicon="toy", budget=2)
    assert not model.batches
