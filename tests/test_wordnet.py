"""Against the real database, where it is installed."""

import sys
from pathlib import Path

import pytest

from dpodiff import WordNet, antonym_space, synonym_space
from dpodiff.spaces.lexicons import wordnet


@pytest.fixture(scope="module")
def words():
    pytest.importorskip("nltk")
    try:
        return WordNet()
    except LookupError as error:
        pytest.skip(str(error))


def test_synonyms_the_most_used_first(words):
    assert words.synonyms("huge") == ["vast", "immense", "Brobdingnagian"]
    assert words.synonyms("quickly")[:2] == ["rapidly", "speedily"]


def test_meanings_in_the_order_of_their_use(words):
    synonyms = words.synonyms("plane")
    assert synonyms.index("airplane") < synonyms.index("sheet")
    assert "planing machine" not in synonyms  # a meaning that nobody used


def test_words_of_several_words(words):
    assert "urban center" in words.synonyms("city")
    assert words.synonyms("Hot  Dog")[0] == "hotdog"


@pytest.mark.parametrize("form", ["planes", "PLANES"])
def test_plurals_are_found(words, form):
    assert words.synonyms(form) == words.synonyms("plane")
    assert words.antonyms(form) == words.antonyms("plane")


def test_irregular_forms_are_found(words):
    assert words.antonyms("men")[0] == "woman"
    assert "youngster" in words.synonyms("children")


def test_antonyms(words):
    assert words.antonyms("wet") == ["dry"]
    assert words.antonyms("quickly") == ["slowly"]
    assert words.antonyms("sunset") == ["sunrise"]


def test_antonyms_through_a_similar_adjective(words):
    assert words.antonyms("enormous") == ["small", "little"]
    assert {"unangry", "calm"} <= set(words.antonyms("furious"))


def test_other_things_of_the_kind_where_a_noun_has_no_antonym(words):
    assert words.antonyms("boat")[:4] == ["ship", "fishing boat", "yacht", "bareboat"]
    assert words.antonyms("plane")[:3] == ["autogiro", "drone", "glider"]  # equals by name
    assert "planet" in words.antonyms("star")
    assert "boat" not in words.antonyms("boat")


def test_the_most_used_part_of_speech(words):
    assert "pilot" in words.synonyms("flies")  # the verb
    assert words.antonyms("man") == ["woman", "civilian"]  # the noun: not to man a ship


def test_a_part_of_speech_of_ones_own():
    pytest.importorskip("nltk")
    try:
        words = WordNet(pos={"Flies": "n", "light": "a"})
    except LookupError as error:
        pytest.skip(str(error))
    assert "mosquito" in words.antonyms("flies")
    assert words.antonyms("light")[0] == "heavy"
    with pytest.raises(ValueError, match="'flies' must be in"):
        WordNet(pos={"flies": "noun"})


@pytest.mark.parametrize("word", "a in it of zzzyx !".split())
def test_words_without_answers(words, word):
    assert words.synonyms(word) == words.antonyms(word) == []


def test_answers_hold_no_word_twice_nor_the_word_itself(words):
    for word in "red ball small top run back heart men two dark".split():
        for answer in (words.synonyms(word), words.antonyms(word)):
            lower = [other.lower() for other in answer]
            assert len(set(lower)) == len(lower)
            assert word not in lower


def test_spaces_of_a_prompt(words):
    prompt = "A huge plane flies through the air"
    assert synonym_space(prompt, words).decode((1, 1, 1, 1)).positive == (
        "A vast airplane wing through the aura"
    )
    assert "small" in antonym_space(prompt, words).slots[0].choices


def test_missing_data_is_answered_with_how_to_get_it(monkeypatch, tmp_path):
    nltk = pytest.importorskip("nltk")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(wordnet, "DEBIAN", tmp_path / "none")
    wordnet._database.cache_clear()  # what was read before is known no more
    with pytest.raises(LookupError, match=r"wordnet-base.*nltk\.downloader wordnet"):
        WordNet()


def test_a_missing_package_is_named(monkeypatch):
    wordnet._database.cache_clear()
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(ImportError, match=r"dpodiff\[wordnet\]"):
        WordNet()


def test_lexnames_are_those_of_the_format():
    lines = Path(wordnet.__file__).with_name("lexnames").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [f"{i:02}" for i in range(45)]
    numbers = {"noun": "1", "verb": "2", "adj": "3", "adv": "4"}
    assert all(numbers[line.split("\t")[1].split(".")[0]] == line.split("\t")[2] for line in lines)
