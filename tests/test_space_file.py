import json
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings, strategies as st

from dpodiff import (
    Dictionary,
    Slot,
    Space,
    antonym_space,
    nplib_space,
    read_prompts,
    read_spaces,
    synonym_space,
    write_spaces,
)
from dpodiff.spaces.json_file import write_json

PROMPT = "A plane flies with fumes coming out "
ENTRY = {
    "synonym": {"plane": ["jet", "Jet", "airship"], "coming out": ["emerging", "emerging"]},
    "antonym": {"plane": ["boat"], "fumes": []},
    "prompt_id": 3,
    "prompt": PROMPT,
}
RELEASED = {
    "sub": ENTRY["synonym"],
    "opp": ENTRY["antonym"],
    "keywords": ["plane", "sky"],
    "prompt_id": 3,
    "prompt": PROMPT,
}
LEXICON = Dictionary(
    synonyms={"a": ["one"], "b": ["bee", "be"], "a b": ["AB"], "ß": ["ss", "s"]},
    antonyms={"a": ["none"], "b": ["c"], "é": ["e"]},
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.json"


def read(path, data, **options):
    """What a file with this content gives, with a warning being an error."""
    path.write_text(json.dumps(data))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_spaces(path, **options)


@pytest.mark.parametrize("entry", [ENTRY, RELEASED], ids=["documented", "released"])
def test_both_formats(path, entry):
    space = read(path, {PROMPT: entry})[PROMPT]
    assert [(slot.text, slot.choices) for slot in space.slots] == [
        ("plane", ("plane", "jet", "airship")),
        ("coming out", ("coming out", "emerging")),
        ("plane", ("", "boat")),
    ]
    assert space.decode((1, 1, 1)) == ("A jet flies with fumes emerging ", "boat")


def test_one_kind_alone(path):
    (slot,) = read(path, {PROMPT: ENTRY}, kinds=["antonym"])[PROMPT].slots
    assert slot.side == "negative"
    only_synonyms = {"synonym": ENTRY["synonym"]}
    assert len(read(path, {PROMPT: only_synonyms})[PROMPT].slots) == 2


def test_keyword_mode_takes_the_key_words_of_the_file(path):
    space = read(path, {PROMPT: RELEASED}, mode="keyword")[PROMPT]
    assert {slot.text for slot in space.slots} == {"plane"}


def test_words_may_be_dropped_to_improve(path):
    space = read(path, {PROMPT: ENTRY}, droppable=True)[PROMPT]
    assert [slot.choices[-1] for slot in space.slots] == ["", "", "boat"]


def test_all_that_a_file_says_counts(path):
    words = [f"w{i}" for i in range(9)]
    (slot,) = read(path, {"a ball": {"synonym": {"ball": words}}})["a ball"].slots
    assert slot.choices == ("ball", *words)


def test_words_stand_wherever_the_prompt_has_them(path):
    space = read(path, {"Ball on ball": {"synonym": {"ball": ["orb"]}}})["Ball on ball"]
    assert space.decode((1, 1)).positive == "Orb on orb"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, "must have an object with words, not 3"),
        ({}, "has none of the keys synonym, sub, antonym, opp"),
        ({"synonym": ["jet"]}, r"key 'synonym': must be an object .*not \['jet'\]"),
        ({"sub": {"ball": "jet"}}, "key 'sub': 'ball' needs a list of words, not 'jet'"),
        ({"opp": {"ball": [1]}}, r"key 'opp': 'ball' needs a list of words, not \[1\]"),
        (ENTRY | {"prompt": "a boat"}, "key 'prompt': is 'a boat', another prompt"),
        ({"synonym": {"x": list(range(10**5))}}, r"not \[0, 1, 2"),
    ],
)
def test_a_bad_entry_is_named_and_the_rest_kept(path, entry, message):
    good = {f"a ball {i}": {"synonym": {"ball": ["orb"]}} for i in range(599)}
    path.write_text(json.dumps({"a bad ball": entry} | good))
    with pytest.warns(UserWarning, match=message) as caught:
        spaces = read_spaces(path)
    assert list(spaces) == list(good)
    (warning,) = caught
    assert str(warning.message).startswith(f"{path}: prompt 'a bad ball', ")
    assert len(str(warning.message)) < 400


def test_key_words_that_are_missing_are_named(path):
    path.write_text(json.dumps({PROMPT: ENTRY, "b": {"sub": {"b": ["c"]}, "keywords": ["b"]}}))
    with pytest.warns(UserWarning, match="key 'keywords': must be a list of words, not None"):
        assert list(read_spaces(path, mode="keyword")) == ["b"]


def test_a_word_that_is_not_in_the_prompt_is_named_and_the_rest_kept(path):
    path.write_text(json.dumps({"a ball": {"synonym": {"ball": ["orb"], "boat": ["ship"]}}}))
    with pytest.warns(UserWarning, match="prompt 'a ball', key 'synonym': 'boat' is not in"):
        assert len(read_spaces(path)["a ball"].slots) == 1


def test_a_prompt_that_stands_twice_is_named(path):
    path.write_text('{"a": {"opp": {"a": ["b"]}}, "a": {"opp": {"a": ["c"]}}}')
    with pytest.warns(UserWarning, match="'a' stands twice"):
        assert read_spaces(path)["a"].decode((1,)).negative == "b"


@pytest.mark.parametrize("reader", [read_spaces, read_prompts])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a JSON file"),
        (b"{", "not a JSON file"),
        (b"\xff\xfe{}", "not a JSON file"),
        (b"[" * 10**5, "not a JSON file"),
        (b"[1]", r"must hold an object \{...\}, not '\[1\]'"),
        (b'{"a": "b", "c": "d"}', "no entry can be used; the first problem: prompt 'a'"),
    ],
)
def test_a_file_of_something_else_is_one_clear_error(path, reader, content, message):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        reader(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n  \n"])
def test_a_text_file_without_a_prompt_is_refused(tmp_path, content):
    (tmp_path / "empty.txt").write_bytes(content)
    with pytest.raises(ValueError, match="it is empty"):
        read_prompts(tmp_path / "empty.txt")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kinds": ("foo",)}, "unknown kind 'foo' of words; choose from synonym, antonym"),
        ({"kinds": "synonym"}, "kinds must be a list of strings, not 'synonym'"),
        ({"kinds": ()}, "kinds is empty"),
        ({"mode": "KEYWORD"}, "unknown mode 'KEYWORD'; choose from default, keyword"),
    ],
)
def test_unknown_settings_of_reading_are_answered_with_the_known_ones(path, settings, message):
    write_spaces(path, [])
    with pytest.raises(ValueError, match=message):
        read_spaces(path, **settings)


def test_a_file_is_replaced_on_request_alone_and_stays_where_and_how_it_is(path, tmp_path):
    link = tmp_path / "link.json"
    link.symlink_to(path)
    path.write_text("mine")
    path.chmod(0o600)
    with pytest.raises(FileExistsError, match="exists already; overwrite=True replaces it"):
        write_spaces(link, [])
    assert path.read_text() == "mine"
    write_spaces(link, [], overwrite=True)
    assert link.is_symlink() and path.read_text() == "{}"
    assert path.stat().st_mode & 0o777 == 0o600


def test_threads_may_write_one_file(path):
    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(write_json, path, {"n": n, "text": "x" * 9999}) for n in range(80)]
        for done in writing:
            done.result()
            assert len(json.loads(path.read_text())["text"]) == 9999
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_an_empty_file_of_spaces_is_one(path):
    assert read(path, {}) == {}


def test_the_documented_format_is_written(path):
    spaces = [
        synonym_space("A ball", Dictionary({"a": ["one"]}), droppable=True),
        antonym_space("a Red ball", Dictionary(antonyms={"red": ["green", "blue"]})),
    ]
    write_spaces(path, spaces)
    assert json.loads(path.read_text()) == {
        "A ball": {
            "synonym": {"a": ["One", ""]},
            "antonym": {},
            "prompt_id": 0,
            "prompt": "A ball",
        },
        "a Red ball": {
            "synonym": {},
            "antonym": {"red": ["green", "blue"]},
            "prompt_id": 1,
            "prompt": "a Red ball",
        },
    }
    assert list(read_spaces(path).values()) == spaces


def test_the_dialect_of_the_released_loader(path):
    lexicon = Dictionary({"ball": ["orb"]}, {"ball": ["box"]})
    space = synonym_space("the red ball", lexicon) + antonym_space("the red ball", lexicon)
    write_spaces(path, [space], dialect="released")
    assert json.loads(path.read_text()) == {
        "the red ball": {
            "sub": {"ball": ["orb"]},
            "opp": {"ball": ["box"]},
            "keywords": ["red", "ball"],
            "prompt_id": 0,
            "prompt": "the red ball",
        }
    }
    assert read_spaces(path) == {"the red ball": space}
    assert read_spaces(path, mode="keyword") == {"the red ball": space}
    with pytest.raises(ValueError, match="must be one of documented, released, not 'sub'"):
        write_spaces(path, [space], dialect="sub")


@pytest.mark.parametrize("dialect", ["documented", "released"])
def test_numbers_and_key_words_of_a_file_are_kept(path, tmp_path, dialect):
    path.write_text(json.dumps({PROMPT: RELEASED, "a ball": {"sub": {}, "prompt_id": "x"}}))
    ball = synonym_space("a ball", Dictionary({"ball": ["orb"]}))
    spaces = read_spaces(path) | {"a ball": ball}
    write_spaces(tmp_path / "new.json", spaces.values(), dialect=dialect, like=path)
    entries = json.loads((tmp_path / "new.json").read_text())
    assert (entries[PROMPT]["prompt_id"], entries[PROMPT]["keywords"]) == (3, ["plane", "sky"])
    assert entries["a ball"]["prompt_id"] == 0
    assert read_spaces(tmp_path / "new.json") == spaces


def test_whether_articles_follow_the_words_is_kept(path):
    for articles, text in [(True, "an orb"), (False, "a orb")]:
        space = synonym_space("a ball", Dictionary({"ball": ["orb"]}, articles=articles))
        write_spaces(path, [space], overwrite=True)
        assert read_spaces(path) == {"a ball": space}
        assert space.decode((1,)).positive == text
        assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space


@settings(deadline=None)
@given(
    prompts=st.lists(st.text(st.sampled_from("abABßé ,-"), max_size=12), unique=True, max_size=4),
    droppable=st.booleans(),
    most=st.integers(1, 3),
)
def test_spaces_of_a_lexicon_come_back(tmp_path_factory, prompts, droppable, most):
    path = tmp_path_factory.mktemp("spaces") / "file.json"
    spaces = {
        prompt: synonym_space(prompt, LEXICON, droppable=droppable, most=most)
        + antonym_space(prompt, LEXICON, most=most)
        for prompt in prompts
    }
    write_spaces(path, spaces.values())
    assert read_spaces(path) == spaces


@pytest.mark.parametrize(
    "space",
    [
        Space("a ball", (), "ugly"),
        nplib_space("a ball", ["dark", "ugly"], 2),
        Space("ball on ball", (Slot("ball", ("ball", "orb"), start=8),)),
        Space("a b", (Slot("b", ("b", "c")), Slot("a", ("a", "c"), start=0))),
    ],
    ids=["negative prompt", "library", "one place of two", "other order"],
)
def test_a_space_that_the_format_cannot_hold_is_refused(path, space):
    path.write_text("before")
    good = Space("x")
    with pytest.raises(ValueError, match=f"prompt {space.prompt!r} does not fit this format"):
        write_spaces(path, [good, space])
    with pytest.raises(ValueError, match="two spaces of the prompt 'x'"):
        write_spaces(path, [good, good])
    assert path.read_text() == "before"


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file.json"
    write_json(path, {"a": "é"})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": "é"}
    assert list(path.parent.iterdir()) == [path]


def test_prompts_with_losses(path):
    path.write_text('{"a plane flies ": 0.85, "a ball": 1}')
    assert read_prompts(path) == {"a plane flies ": 0.85, "a ball": 1.0}


def test_prompts_one_a_line(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_bytes("\ufeffa plane\r\n\r\n  a bäll \na plane".encode())
    assert read_prompts(path) == {"a plane": None, "a bäll": None}


@pytest.mark.parametrize("loss", ['"high"', "null", "true", "NaN", "Infinity", "1" + "0" * 400])
def test_a_bad_prompt_is_named_and_the_others_kept(path, loss):
    good = ", ".join(f'"a ball {i}": 0.8' for i in range(599))
    path.write_text(f'{{{good}, "a bad ball": {loss}}}')
    with pytest.warns(
        UserWarning, match="prompt 'a bad ball': its loss must be a number"
    ) as caught:
        assert len(read_prompts(path)) == 599
    assert len(caught) == 1


def test_empty_and_repeated_prompts_are_named(path):
    path.write_text('{" ": 1, "a ball": 2, "a ball": 3}')
    with pytest.warns(UserWarning, match="prompt") as caught:
        assert read_prompts(path) == {"a ball": 2.0}
    assert [str(warning.message).split(": ", 1)[1] for warning in caught] == [
        "prompt 'a ball': stands twice, the first was taken",
        "prompt ' ': is empty",
    ]


def test_a_line_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_bytes(b"a plane\n\xff\xff\na ball\n")
    with pytest.warns(UserWarning, match=r"prompts\.txt: line 2: is not UTF-8 text"):
        assert list(read_prompts(path)) == ["a plane", "a ball"]


def test_a_missing_file_is_named(path):
    for reader in (read_spaces, read_prompts):
        with pytest.raises(FileNotFoundError, match=r"file\.json"):
            reader(path)
