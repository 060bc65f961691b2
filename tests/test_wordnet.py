"""Words from the database of the package, and how such a database is made and read."""

import zipfile
from pathlib import Path

import pytest

from dpodiff import WordNet, antonym_space, synonym_space
from dpodiff.spaces.lexicons import inflection, wordnet, wordnet_database, wordnet_extract

DATA = Path(wordnet.__file__).parent
# A database of six meanings, in the format of wndb(5WN).
TINY = {
    "data.noun": """\
  1 WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.
00000078 06 n 01 vessel 0 002 ~ 00000156 n 0000 ~ 00000243 n 0000 | it floats
00000156 06 n 02 boat 0 cutter 1 002 @ 00000078 n 0000 + 00000078 a 0101 | a small one
00000243 06 n 01 ship 0 001 @ 00000078 n 0000 | a large one
""",
    "data.adj": """\
  1 WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.
00000078 00 a 01 wet 0 003 & 00000224 a 0000 ! 00000169 a 0101 + 00000156 n 0101 | not dry
00000169 00 a 01 dry 0 001 ! 00000078 a 0101 | not wet
00000224 00 s 01 damp 0 001 & 00000078 a 0000 | a little wet
""",
    "index.noun": """\
vessel n 1 1 ~ 1 0 00000078
boat n 1 2 @ + 1 1 00000156
cutter n 1 2 @ + 1 0 00000156
ship n 1 1 @ 1 1 00000243
""",
    "index.adj": """\
wet a 1 3 & ! + 1 0 00000078
dry a 1 1 ! 1 0 00000169
damp a 1 1 & 1 0 00000224
""",
    "cntlist.rev": """\
boat%1:06:00:: 1 7
ship%1:06:00:: 1 3
""",
}


@pytest.fixture(scope="module")
def words():
    return WordNet()


@pytest.fixture(scope="module")
def database():
    return wordnet_database.open_database()


@pytest.fixture
def folder(tmp_path) -> Path:
    """The tiny database as files."""
    (tmp_path / "dict").mkdir()
    for name in wordnet_extract.FILES:
        (tmp_path / "dict" / name).write_text(TINY.get(name, ""), newline="\n")
    return tmp_path / "dict"


def test_synonyms_are_common_words_of_the_likeliest_meaning(words):
    assert words.synonyms("huge") == ["vast", "immense"]  # not Brobdingnagian
    assert words.synonyms("car") == ["automobile", "auto"]  # not machine
    assert words.synonyms("city") == ["metropolis"]  # not urban center
    assert words.synonyms("hold") == []  # of 36 meanings


def test_words_of_several_words(words):
    assert words.synonyms("Hot  Dog")[0] == "hotdog"
    assert "jeep" in words.in_prompt("a sports car").antonyms("sports car")


@pytest.mark.parametrize("form", ["planes", "PLANES"])
def test_plurals_give_plurals(words, form):
    assert words.synonyms(form) == ["airplanes"]
    assert "helicopters" in words.antonyms(form)


def test_irregular_forms_are_found_and_made(words):
    assert words.antonyms("men") == ["women"]
    assert words.synonyms("children") == ["kids", "youngsters"]
    assert words.synonyms("built") == ["constructed"]


def test_the_cases_that_users_quoted(words):
    prompt = "Two dogs and a man riding a horse"
    spaces = [build(prompt, words) for build in (synonym_space, antonym_space)]
    found = {
        choice for space in spaces for slot in space.slots for choice in slot.choices if choice
    }
    assert not found & {"Equus caballus", "sit", "Ii", "head", "eq", "deuce"}
    assert all(choice == choice.lower() or choice in prompt for choice in found)
    in_prompt = words.in_prompt(prompt)
    assert in_prompt.antonyms("riding") == ["walking"]
    assert "foxes" in in_prompt.antonyms("dogs")
    assert in_prompt.synonyms("two") == in_prompt.antonyms("two") == []


def test_words_that_need_a_form_are_left_out_without_lemminflect(words, monkeypatch):
    monkeypatch.setattr(inflection, "find_spec", lambda name: None)
    inflection._say_once.cache_clear()
    with pytest.warns(UserWarning, match=r"dpodiff\[words\]") as caught:
        assert words.synonyms("cars") == words.synonyms("planes") == []
    assert len(caught) == 1
    assert words.synonyms("car") == ["automobile", "auto"]


def test_antonyms(words):
    assert words.antonyms("wet") == ["dry"]
    assert words.antonyms("quickly") == ["slowly"]
    assert words.antonyms("sunset") == ["sunrise"]
    assert words.antonyms("above") == ["below"]


def test_antonyms_through_a_similar_adjective(words):
    assert words.antonyms("enormous") == ["small", "little"]


def test_other_things_of_the_kind_where_a_noun_has_no_antonym(words):
    assert words.antonyms("boat") == ["ship", "yacht"]
    assert words.antonyms("autumn") == ["summer", "spring", "winter"]
    assert {"bedroom", "bathroom"} <= set(words.antonyms("kitchen"))


def test_colors_are_against_other_colors(words):
    space = antonym_space("a red ball", words)
    assert space.slots[0].choices == ("", "blue", "yellow", "green", "orange", "brown")


@pytest.mark.parametrize(
    ("prompt", "word", "tag"),
    [
        ("two flies on a cake", "flies", "n"),
        ("the pilot flies a plane", "flies", "v"),
        ("a man riding a horse", "riding", "v"),
        ("a tall building in the fog", "building", "n"),
        ("children building a snowman", "building", "v"),
        ("a cook in the kitchen", "cook", "n"),
        ("dark background, sharp teeth", "sharp", "a"),
        ("draw a dog", "draw", ""),
        ("a house behind 3 trees", "behind", ""),
    ],
)
def test_the_part_of_speech_in_a_prompt(words, prompt, word, tag):
    assert words.in_prompt(prompt)._tag(word) == tag


def test_a_part_of_speech_of_ones_own():
    words = WordNet(pos={"Flies": "n", "light": "a"})
    assert "mosquitoes" in words.antonyms("flies")
    assert words.antonyms("light")[0] == "heavy"
    assert words.in_prompt("it flies").antonyms("flies") == words.antonyms("flies")
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
    space = synonym_space(prompt, words)
    assert space.decode((1, 1)).positive == "A vast airplane flies through the air"
    assert space.decode((2, 0)).positive == "An immense plane flies through the air"
    assert "small" in antonym_space(prompt, words).slots[0].choices


def test_the_database_is_that_of_wordnet_3_0(database):
    entries = {"noun": 82115, "verb": 13767, "adj": 18156, "adv": 3621}  # by its makers' count
    for part, number in entries.items():
        lines = database.open(f"data.{part}").read().splitlines(keepends=True)
        assert sum(not line.startswith(" ") for line in lines) == number
        place = 0
        for line in lines:
            assert line.startswith((f"{place:08} ", " "))
            place += len(line)


def test_what_the_database_knows_of_a_meaning(database):
    dog = database.synset("dog.n.01")
    assert dog.lexname() == "noun.animal"
    assert [(lemma.name(), lemma.count()) for lemma in dog.lemmas()] == [
        ("dog", 42),
        ("domestic_dog", 0),
        ("Canis_familiaris", 0),
    ]
    assert {kind.name() for kind in dog.hypernyms()} == {"canine.n.02", "domestic_animal.n.01"}
    assert "puppy.n.01" in {kind.name() for kind in dog.hyponyms()}
    assert {whole.name() for whole in dog.member_holonyms()} == {"pack.n.06", "canis.n.01"}
    assert dog.definition() == ""  # glosses are left out
    assert [head.name() for head in database.synset("huge.s.01").similar_tos()] == ["large.a.01"]
    assert [other.name() for other in database.lemma("wet.a.01.wet").antonyms()] == ["dry"]
    assert database.morphy("geese", "n") == "goose"
    assert database.morphy("biggest", "a") == "big"
    assert database.morphy("flew", "v") == "fly"


def test_a_database_of_ones_own(folder):
    own = WordNet(folder=folder)
    assert own.synonyms("boats") == ["cutters"]
    assert own.antonyms("boat") == ["ship"]
    assert own.antonyms("damp") == ["dry"]
    assert own.synonyms("vast") == []


def test_an_extract_answers_as_its_source_does_without_the_glosses(folder, tmp_path):
    texts = wordnet_extract.extract(folder)
    wordnet_extract.write(texts, tmp_path / "small.zip")
    with zipfile.ZipFile(tmp_path / "small.zip") as archive:
        archive.extractall(tmp_path / "small")
    assert texts["data.noun"].splitlines()[1:] == [
        "00000078 06 n 01 vessel 0 002 ~ 00000146 n 0000 ~ 00000221 n 0000 |",
        "00000146 06 n 02 boat 0 cutter 1 002 @ 00000078 n 0000 + 00000078 a 0101 |",
        "00000221 06 n 01 ship 0 001 @ 00000078 n 0000 |",
    ]
    own = WordNet(folder=tmp_path / "small")
    assert own.synonyms("boats") == ["cutters"]
    assert own.antonyms("boat") == ["ship"]
    assert own.antonyms("damp") == ["dry"]


def test_the_same_source_makes_the_same_archive(folder, tmp_path):
    for name in ("one.zip", "two.zip"):
        wordnet_extract.write(wordnet_extract.extract(folder), tmp_path / name)
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dict", "one.zip", "two.zip"]


def test_another_version_is_not_taken_for_this_one(folder):
    text = (folder / "data.noun").read_text()
    (folder / "data.noun").write_text(text.replace("WordNet 3.0", "WordNet 2.1"))
    with pytest.raises(ValueError, match=r"data\.noun is not that of WordNet 3\.0"):
        wordnet_extract.extract(folder)


def test_a_folder_without_a_database_is_answered_with_what_is_missing(folder):
    (folder / "noun.exc").unlink()
    (folder / "cntlist.rev").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"dict holds no .*: noun\.exc, cntlist\.rev missing"
    ):
        WordNet(folder=folder)


def test_the_package_may_lie_in_an_archive(monkeypatch, tmp_path):
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as package:
        for name in (wordnet_extract.ARCHIVE, "lexnames"):
            package.write(DATA / name, name)
    monkeypatch.setattr(
        wordnet_database, "files", lambda package: zipfile.Path(tmp_path / "package.zip")
    )
    inside = wordnet_database._read.__wrapped__(None)  # anew, not what was read before
    assert inside.synset("boat.n.01").lemma_names() == ["boat"]
    assert inside.synset("boat.n.01").lexname() == "noun.artifact"


def test_the_license_of_the_data_is_beside_it(database):
    license = (DATA / "LICENSE-WordNet.txt").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved." in license
    for part in ("noun", "verb", "adj", "adv"):
        lines = database.open(f"data.{part}").read().splitlines()
        head = [line.lstrip(" 0123456789").rstrip() for line in lines if line.startswith(" ")]
        assert head == license.splitlines()


def test_lexnames_are_those_of_the_format():
    lines = (DATA / "lexnames").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == [f"{i:02}" for i in range(45)]
    numbers = {"noun": "1", "verb": "2", "adj": "3", "adv": "4"}
    assert all(numbers[line.split("\t")[1].split(".")[0]] == line.split("\t")[2] for line in lines)


@pytest.mark.parametrize("prompt", ["", "...", " \n", "!?"])
def test_a_prompt_without_words_has_a_lexicon_without_words(prompt):
    lexicon = WordNet().in_prompt(prompt)
    assert synonym_space(prompt, lexicon).slots == ()
    assert antonym_space(prompt, lexicon).slots == ()
