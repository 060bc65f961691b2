"""Files of prompts and of their search spaces, in the formats of DPO-Diff's release.

A list of prompts is a JSON object {prompt: loss}, or a text file with one prompt per line. A space
file has an entry per prompt with the words that may be exchanged:

    {"a plane coming out of fog": {
        "synonym": {"plane": ["aircraft", "jet"], "coming out": ["emerging"]},
        "antonym": {"fog": ["sunshine"]},
        "prompt_id": 0,
        "prompt": "a plane coming out of fog"}}

The loader of the release expects other names, "sub" and "opp", and "keywords". All names are read;
those above are written unless `dialect="released"`. If "a" and "an" do not follow the words of an
entry, it has `"articles": false`.

An entry is read as a dictionary, and `synonym_space` and `antonym_space` make the slots, so a word
gets a slot at each of its places in the prompt. The format has no places, no negative prompt and no
library slots; `Space.to_json` keeps all of them.
"""

import itertools
import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from reprlib import repr  # shortens long values
from typing import Any, Literal

from dpodiff.checks import check_each, check_kind, check_path, check_switch, shown
from dpodiff.spaces.json_file import read_json, write_json
from dpodiff.spaces.lexicons.base import KINDS, Dictionary, Kind, check_kinds, normal
from dpodiff.spaces.lexicons.builders import antonym_space, not_in_prompt, synonym_space
from dpodiff.spaces.lexicons.keywords import extract_keywords
from dpodiff.spaces.space import Space

NAMES = {"synonym": ("synonym", "sub"), "antonym": ("antonym", "opp")}  # here, in the loader
DIALECTS = ("documented", "released")  # index of the names above


def read_prompts(path: str | os.PathLike) -> dict[str, float | None]:
    """Return the prompts of a list in order, with their losses, or None for a text file.

    A file named .json holds {prompt: loss}, any other has one prompt per line. Invalid entries are
    left out with a warning.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if the path is invalid, a .json file does not hold a JSON object, a text file is
            empty, or no entry is valid.

    Examples:
        >>> with open("prompts.txt", "w") as file:
        ...     print("a red ball", file=file)
        ...     print("a blue boat", file=file)
        >>> dpodiff.read_prompts("prompts.txt")
        {'a red ball': None, 'a blue boat': None}
    """
    check_path("path", path, optional=False)
    read = _json_prompts if Path(path).suffix == ".json" else _text_prompts
    prompts, problems = read(path)
    return _with_warnings(path, prompts, problems)


def read_spaces(
    path: str | os.PathLike,
    kinds: Sequence[Kind] = KINDS,
    *,
    mode: Literal["default", "keyword"] = "default",
    droppable: bool = False,
) -> dict[str, Space]:
    """Return the spaces of a space file by prompt, each with the kinds of words that it has.

    Invalid parts are left out with a warning that names prompt, key and reason: an entry that
    cannot be read, or a word that is not in its prompt.

    Args:
        path: path of the file.
        kinds: "synonym" for slots of the positive prompt, "antonym" for slots of the negative one.
        mode: "keyword" makes slots only for the "keywords" of each entry.
        droppable: whether slots of the positive prompt may also drop their word.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if an argument is unknown, the file does not hold a JSON object, or no entry is
            valid.

    Examples:
        >>> with open("spaces.json", "w") as file:
        ...     print('{"a red ball": {"synonym": {"ball": ["sphere"]}}}', file=file)
        >>> spaces = dpodiff.read_spaces("spaces.json")
        >>> print(dpodiff.describe(spaces["a red ball"]))
        'a red ball': 1 slots, 2 candidates
          + ball: sphere
    """
    check_path("path", path, optional=False)
    check_kinds(kinds)
    if not isinstance(mode, str) or mode not in ("default", "keyword"):
        raise ValueError(f"unknown mode {shown(mode)}; choose from default, keyword")
    check_switch("droppable", droppable)
    data, twice = read_json(path)
    problems = [f"{name!r} stands twice in one place, the first was taken" for name in twice]
    spaces = {}
    for prompt, entry in data.items():
        try:
            words = _words(prompt, entry, kinds)
            keywords = _keywords(prompt, entry) if mode == "keyword" else None
        except ValueError as error:
            problems.append(f"prompt {prompt!r}, {error}")
            continue
        articles = entry.get("articles") is not False
        spaces[prompt] = _space(prompt, words, keywords, droppable, articles)
        problems += [
            f"prompt {prompt!r}, key {kind!r}: {word!r} is not in the prompt"
            for kind, found in words.items()
            for word in not_in_prompt(prompt, found)
        ]
    return _with_warnings(path, spaces, problems)


def write_spaces(
    path: str | os.PathLike,
    spaces: Iterable[Space],
    *,
    dialect: Literal["documented", "released"] = "documented",
    like: str | os.PathLike | None = None,
    overwrite: bool = False,
) -> None:
    """Write a space file; the index of a space is its "prompt_id".

    Args:
        path: path of the file.
        spaces: spaces of different prompts.
        dialect: "released" writes the names that the loader of the release reads: "sub", "opp" and
            "keywords". If `like` has no keywords, all words except function words are key words.
        like: a space file, for example the one that the spaces were read from. Its "prompt_id" and
            "keywords" are kept for its prompts; other prompts get the next free numbers.
        overwrite: whether to replace an existing file.

    Raises:
        FileExistsError: if the file exists.
        OSError: if `like` cannot be read.
        ValueError: if reading would not return the same space, since the format cannot represent
            it, naming the prompt; if two spaces have the same prompt; or if the dialect is unknown.
            Nothing is written then.

    Examples:
        >>> words = dpodiff.Dictionary(synonyms={"ball": ["sphere", "orb"]})
        >>> space = dpodiff.synonym_space("a red ball", words)
        >>> dpodiff.write_spaces("spaces.json", [space])
        >>> dpodiff.read_spaces("spaces.json")["a red ball"].slots[0].choices
        ('ball', 'sphere', 'orb')
    """
    check_path("path", path, optional=False)
    check_switch("overwrite", overwrite)
    spaces = check_each("spaces", spaces, lambda name, one: check_kind(name, one, Space, "a Space"))
    if dialect not in DIALECTS:
        raise ValueError(f"the dialect must be one of {', '.join(DIALECTS)}, not {dialect!r}")
    kept = _kept(like)
    used = {entry["prompt_id"] for entry in kept.values() if "prompt_id" in entry}
    free = (number for number in itertools.count() if number not in used)
    entries: dict[str, Any] = {}
    for space in spaces:
        if space.prompt in entries:
            raise ValueError(f"{path}: two spaces of the prompt {space.prompt!r}")
        entry = _entry(path, space, dialect, kept.get(space.prompt, {}))
        if "prompt_id" not in entry:
            entry["prompt_id"] = next(free)
        entries[space.prompt] = {**entry, "prompt": space.prompt}
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path} exists already; overwrite=True replaces it")
    write_json(path, entries)


def _kept(like: str | os.PathLike | None) -> dict[str, dict[str, Any]]:
    """Return the valid "prompt_id" and "keywords" of each prompt in a file."""
    data = {} if like is None else read_json(like)[0]
    kept = {}
    for prompt, entry in data.items():
        found = entry if isinstance(entry, dict) else {}
        kept[prompt] = {}
        if type(found.get("prompt_id")) is int:
            kept[prompt]["prompt_id"] = found["prompt_id"]
        if _is_strings(found.get("keywords")):
            kept[prompt]["keywords"] = found["keywords"]
    return kept


def _entry(
    path: str | os.PathLike, space: Space, dialect: str, kept: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the entry of a space without its prompt; ValueError if reading would change it."""
    words = {kind: _choices(space, kind) for kind in KINDS}
    if _space(space.prompt, words, articles=space.articles) != space:
        raise ValueError(
            f"{path}: the space of the prompt {space.prompt!r} does not fit this format, which "
            "has one list for all places of a word, no negative prompt and no library slots; "
            "Space.to_json keeps everything"
        )
    entry: dict[str, Any] = {NAMES[kind][DIALECTS.index(dialect)]: words[kind] for kind in KINDS}
    if words["synonym"] and not space.articles:
        entry["articles"] = False
    if dialect == "released":
        entry["keywords"] = extract_keywords(space.prompt)
    return entry | dict(kept)


def _space(
    prompt: str,
    words: Mapping[str, Mapping[str, Sequence[str]]],
    keywords: Sequence[str] | None = None,
    droppable: bool = False,
    articles: bool = True,
) -> Space:
    lexicon = Dictionary(words.get("synonym"), words.get("antonym"), articles=articles)
    most = sys.maxsize  # all alternatives of the file are used
    synonyms = synonym_space(prompt, lexicon, keywords=keywords, most=most, droppable=droppable)
    return synonyms + antonym_space(prompt, lexicon, keywords=keywords, most=most)


def _choices(space: Space, kind: Kind) -> dict[str, list[str]]:
    """Return the alternatives of each word on one side of a space, in lower case as in the release.

    If both "Ball" and "ball" occur, the second is used: its alternatives keep their own case.
    """
    side = "positive" if kind == "synonym" else "negative"
    slots = [slot for slot in space.slots if slot.side == side]
    found: dict[str, list[str]] = {}
    for slot in sorted(slots, key=lambda slot: slot.text[:1].isupper()):
        found.setdefault(normal(slot.text), list(slot.choices[1:]))
    return found


def _words(prompt: str, entry: Any, kinds: Sequence[Kind]) -> dict[str, dict[str, list[str]]]:
    """Return the words of an entry by kind; ValueError names the key and the reason."""
    if not isinstance(entry, dict):
        raise ValueError(f"must have an object with words, not {repr(entry)}")
    if (named := entry.get("prompt", prompt)) != prompt:
        raise ValueError(f"key 'prompt': is {named!r}, another prompt than its entry's")
    names = [name for kind in kinds for name in NAMES[kind]]
    if not entry.keys() & set(names):
        raise ValueError(f"has none of the keys {', '.join(names)}")
    words = {}
    for kind in kinds:
        name = next((name for name in NAMES[kind] if name in entry), None)
        if name is not None:
            words[kind] = _checked(entry[name], name)
    return words


def _checked(words: Any, name: str) -> dict[str, list[str]]:
    if not isinstance(words, dict):
        raise ValueError(f"key {name!r}: must be an object {{word: [words]}}, not {repr(words)}")
    for word, others in words.items():
        if not _is_strings(others):
            raise ValueError(f"key {name!r}: {word!r} needs a list of words, not {repr(others)}")
    return words


def _keywords(prompt: str, entry: Mapping[str, Any]) -> list[str]:
    """Return the key words of an entry that are in its prompt; others cannot be exchanged."""
    words: Any = entry.get("keywords")
    if not _is_strings(words):
        raise ValueError(f"key 'keywords': must be a list of words, not {repr(words)}")
    absent = set(not_in_prompt(prompt, words))
    return [word for word in words if word not in absent]


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_number(value: Any) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and abs(value) <= sys.float_info.max  # neither NaN nor infinite


def _json_prompts(path: str | os.PathLike) -> tuple[dict[str, float | None], list[str]]:
    data, twice = read_json(path)
    problems = [f"prompt {prompt!r}: stands twice, the first was taken" for prompt in twice]
    prompts: dict[str, float | None] = {}
    for prompt, loss in data.items():
        if not prompt.strip():
            problems.append(f"prompt {prompt!r}: is empty")
        elif not _is_number(loss):
            problems.append(f"prompt {prompt!r}: its loss must be a number, not {repr(loss)}")
        else:
            prompts[prompt] = float(loss)
    return prompts, problems


def _text_prompts(path: str | os.PathLike) -> tuple[dict[str, float | None], list[str]]:
    prompts: dict[str, float | None] = {}
    problems = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        try:
            text = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            problems.append(f"line {number}: is not UTF-8 text: {error}")
            continue
        if text:
            prompts[text] = None
    if not prompts and not problems:
        problems = ["it is empty"]
    return prompts, problems


def _with_warnings(path: str | os.PathLike, found: dict, problems: list[str]) -> dict:
    """Return the entries after a warning per problem; ValueError if there are only problems."""
    if problems and not found:
        raise ValueError(f"{path}: no entry can be used; the first problem: {problems[0]}")
    for problem in problems:
        warnings.warn(f"{path}: {problem}", stacklevel=3)
    return found
