import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpodiff import Dictionary, antonym_space, nplib_space, synonym_space

LEXICON = Dictionary(
    synonyms={
        "plane": ["aircraft", "jet", "Plane", "airplane", "airliner", "aeroplane", "flyer"],
        "Left  of": ["to the left of"],
        "left": ["departed"],
        "ball": ["sphere"],
    },
    antonyms={"plane": ["boat", "car"], "red": ["green"], "ball": ["ball"]},
)


def texts(space):
    return [slot.text for slot in space.slots]


def test_lookup_ignores_case_and_spacing():
    assert LEXICON.synonyms("LEFT OF") == ["to the left of"]
    assert LEXICON.antonyms("unknown") == []


def test_answers_are_copies():
    LEXICON.synonyms("ball").append("mutated")
    assert LEXICON.synonyms("ball") == ["sphere"]


def test_synonyms_keep_everything_else():
    space = synonym_space('A "plane",  left of a ball!', LEXICON)
    assert texts(space) == ["plane", "left of", "ball"]
    assert space.decode((1, 1, 1)).positive == 'A "aircraft",  to the left of a sphere!'


def test_the_longest_phrase_wins():
    assert texts(synonym_space("left of", LEXICON)) == ["left of"]
    assert texts(synonym_space("left off", LEXICON)) == ["left"]


def test_phrases_end_at_punctuation():
    assert texts(synonym_space("he left, of course", LEXICON)) == ["left"]


def test_phrases_over_any_spacing():
    space = synonym_space("x left\n of y", LEXICON)
    assert space.decode((1,)).positive == "x to the left of y"


def test_at_most_five_different_synonyms():
    (slot,) = synonym_space("plane", LEXICON).slots
    assert slot.choices == ("plane", "aircraft", "jet", "airplane", "airliner", "aeroplane")


def test_synonyms_take_over_a_capital():
    assert synonym_space("Ball", LEXICON).decode((1,)).positive == "Sphere"


def test_antonyms_go_to_the_negative_prompt_once_a_word():
    space = antonym_space("a red plane, a red plane", LEXICON, negative_prompt="ugly")
    assert texts(space) == ["red", "plane"]
    assert space.decode((1, 2)) == ("a red plane, a red plane", "ugly, green, car")


def test_what_the_prompt_asks_for_is_no_antonym():
    (slot,) = antonym_space("a plane over a boat", LEXICON).slots
    assert slot.choices == ("", "car")
    assert antonym_space("a ball", LEXICON).slots == ()


def test_locked_words_are_left_alone():
    assert texts(synonym_space("Plane left of ball", LEXICON, locked=["plane"])) == [
        "left of",
        "ball",
    ]
    # A locked word is not changed as part of a phrase, nor a locked phrase word by word.
    assert texts(synonym_space("ball left of", LEXICON, locked=["of"])) == ["ball", "left"]
    assert texts(synonym_space("ball left of", LEXICON, locked=["left of"])) == ["ball"]


@pytest.mark.parametrize("word", ["boat", "ball plane", "", "!"])
def test_locked_words_must_stand_in_the_prompt(word):
    with pytest.raises(ValueError, match="locked word"):
        synonym_space("a plane, a ball", LEXICON, locked=[word])


def test_library_words_are_dealt_in_order():
    space = nplib_space("a ball", ["blurry", "dark", "ugly", "bad", "Blurry", "dim"], slots=2)
    assert [slot.choices for slot in space.slots] == [
        ("", "blurry", "dark", "ugly"),
        ("", "bad", "dim"),
    ]


def test_what_the_prompt_asks_for_is_no_library_word():
    (slot,) = nplib_space("a blurry ball", ["blurry", "dark"], slots=1).slots
    assert slot.choices == ("", "dark")


@pytest.mark.parametrize("slots", [0, 3])
def test_library_slots_must_fit_the_words(slots):
    with pytest.raises(ValueError, match="2 words"):
        nplib_space("a ball", ["blurry", "dark"], slots=slots)


@given(st.text(st.sampled_from("ab '-,.!\n") | st.characters(), max_size=30))
def test_identity_reproduces_any_prompt(prompt):
    lexicon = Dictionary(synonyms={"a": ["x"], "b a": ["y"]})
    space = synonym_space(prompt, lexicon)
    assert space.decode(space.identity).positive == prompt
