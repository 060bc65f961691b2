import pytest
from hypothesis import given, strategies as st

from dpodiff import (
    Dictionary,
    Slot,
    Space,
    antonym_space,
    describe,
    extract_keywords,
    nplib_space,
    synonym_space,
)

LEXICON = Dictionary(
    synonyms={
        "plane": ["aircraft", "jet", "Plane", "airplane", "airliner", "aeroplane", "flyer"],
        "Left  of": ["to the left of"],
        "left": ["departed"],
        "ball": ["sphere"],
        "red ball": ["apple"],
        "coming": ["arriving"],
        "coming out": ["emerging", "spilling forth"],
        "with": ["having"],
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


def test_the_number_of_alternatives_can_be_chosen():
    (slot,) = synonym_space("plane", LEXICON, most=1).slots
    assert slot.choices == ("plane", "aircraft")
    assert antonym_space("plane", LEXICON, most=1).slots[0].choices == ("", "boat")


def test_droppable_words_come_last_and_only_where_there_are_synonyms():
    space = synonym_space("a ball over there", LEXICON, droppable=True)
    assert [slot.choices for slot in space.slots] == [("ball", "sphere", "")]
    assert space.decode(space.identity).positive == "a ball over there"
    assert space.decode((2,)).positive == "an over there"


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
def test_locked_words_and_key_words_must_stand_in_the_prompt(word):
    with pytest.raises(ValueError, match="locked word"):
        synonym_space("a plane, a ball", LEXICON, locked=[word])
    with pytest.raises(ValueError, match="key word"):
        antonym_space("a plane, a ball", LEXICON, keywords=[word])


@pytest.mark.parametrize(
    ("keywords", "found"),
    [
        (None, ["with", "coming out", "red ball"]),
        (["coming", "ball"], ["coming out", "ball"]),  # "out" is a function word, "red" is not
        (["Coming Out", "red ball"], ["coming out", "red ball"]),
        (["with"], ["with"]),
        ([], []),
    ],
)
def test_keyword_mode_gives_slots_to_key_words_alone(keywords, found):
    assert texts(synonym_space("with coming out red ball", LEXICON, keywords=keywords)) == found


def test_keyword_mode_with_locked_words():
    space = antonym_space("a red plane", LEXICON, keywords=["red", "plane"], locked=["red"])
    assert texts(space) == ["plane"]


def test_key_words_are_those_that_a_image_can_show():
    prompt = "The plane flies through the air, with fumes coming out of The left wing below it"
    words = "plane flies air fumes coming left wing below".split()
    assert extract_keywords(prompt) == words
    assert extract_keywords("of the") == []


def test_a_space_in_words():
    space = synonym_space("a left ball", LEXICON, droppable=True)
    space += antonym_space("a left ball", Dictionary(antonyms={"left": ["right", "near"]}))
    assert describe(space).splitlines() == [
        "'a left ball': 3 slots, 3 x 3 x 3 = 27 candidates",
        "  + left: departed | (dropped)",
        "  + ball: sphere | (dropped)",
        "  - left: right | near",
    ]
    assert describe(nplib_space("a ball", ["dark"], 1)).endswith("  - (library): dark")
    assert describe(Space("a ball")) == "'a ball': 0 slots, 1 candidates"


def test_a_large_space_in_words():
    slots = [Slot("", ("", *"abcdefghi"), "negative")] * 12
    assert "= 1,000,000 candidates" in describe(Space("x", tuple(slots[:6])))
    assert "= about 10^12 candidates" in describe(Space("x", tuple(slots)))


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


@pytest.mark.parametrize("words", [[], (), {}, {"defects": []}])
def test_a_library_without_words_is_refused(words):
    with pytest.raises(ValueError, match="words is empty"):
        nplib_space("a ball", words)


@given(st.text(st.sampled_from("ab '-,.!\n") | st.characters(codec="utf-8"), max_size=30))
def test_identity_reproduces_any_prompt(prompt):
    lexicon = Dictionary(synonyms={"a": ["x"], "b a": ["y"]})
    for keywords in (None, extract_keywords(prompt)):
        space = synonym_space(prompt, lexicon, keywords=keywords, droppable=True)
        assert space.decode(space.identity).positive == prompt


@given(st.text(st.sampled_from("ab of-.\n"), max_size=30), st.data())
def test_slots_hold_key_words_and_no_locked_ones(prompt, data):
    words = extract_keywords(prompt)
    chosen = st.lists(st.sampled_from(words), max_size=3) if words else st.just([])
    keywords, locked = data.draw(chosen), data.draw(chosen)
    lexicon = Dictionary(synonyms={"a": ["x"], "b": ["y"], "b of a": ["z"], "of": ["w"]})
    for slot in synonym_space(prompt, lexicon, keywords=keywords, locked=locked).slots:
        held = set(extract_keywords(slot.text))
        assert held & set(keywords) == held
        assert not held & set(locked)
