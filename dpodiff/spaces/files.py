"""Files of prompts and of their search spaces, in the formats of DPO-Diff's release.

A list of prompts is a JSON object {prompt: loss}, or a text file with one prompt a line. A space
file has an entry a prompt, with the words that may be exchanged:

    {"a plane coming out of fog": {
        "synonym": {"plane": ["aircraft", "jet"], "coming out": ["emerging"]},
        "antonym": {"fog": ["sunshine"]},
        "prompt_id": 0,
        "prompt": "a plane coming out of fog"}}

The loader of the release wants other names, "sub" and "opp", and "keywords"; all are read, and the
ones above are written unless `dialect="released"` asks for the others. Where "a" and "an" do not
follow the words of an entry, it says `"articles": false`.

Reading is building: the entry is a dictionary, and `synonym_space` and `antonym_space` make the
slots, so a word gets a slot wherever it stands in the prompt. The format knows no places, no
negative prompt and no library slots; `Space.to_json` keeps all of them.
"""

import itertools
import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from reprlib import repr  # cuts what is long
from typing import Any, Literal

from dpodiff.checks import check_each, check_kind, check_path, check_switch, shown
from dpodiff.spaces.json_file import read_json, write_json
from dpodiff.spaces.lexicons.base import KINDS, Dictionary, Kind, check_kinds, normal
from dpodiff.spaces.lexicons.builders import antonym_space, not_in_prompt, synonym_space
from dpodiff.spaces.lexicons.keywords import extract_keywords
from dpodiff.spaces.space import Space

NAMES = {"synonym": ("synonym", "sub"), "antonym": ("antonym", "opp")}  # ours, the loader's
DIALECTS = ("documented", "released")  # the place of their names above


def read_prompts(path: str | os.PathLike) -> dict[str, float | None]:
    """The prompts of a list, in order, with their losses; None where the list is a text file.

    A file named .json is {prompt: loss}, any other has one prompt a line. A bad entry is left out
    with a warning.

    Raises:
        OSError: the file cannot be read.
        ValueError: the path is none, a .json file holds no JSON object, a text file is empty, or no
            entry of the file is good.

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
    """Prompt -> space, of a space file. Of an entry that has one kind of words only, that one.

    What is bad is left out with a warning that names prompt, key and reason: an entry that cannot
    be read, a word that does not stand in its prompt.

    Args:
        path: of the file.
        kinds: "synonym" gives slots of the positive prompt, "antonym" of the negative one.
        mode: "keyword" gives slots to the "keywords" of each entry alone.
        droppable: whether slots of the positive prompt may also drop their word.

    Raises:
        OSError: the file cannot be read.
        ValueError: an argument is unknown, the file holds no JSON object, or no entry of it is
            good.

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
            f"prompt {prompt!r}, key {kind!r}: {word!r} does not stand in the prompt"
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
    """Write a space file; a space's place among the others is its "prompt_id".

    Args:
        path: of the file.
        spaces: of different prompts.
        dialect: "released" writes what the loader of the release reads: "sub", "opp" and
            "keywords", which are all words but function words where `like` has none.
        like: a space file whose "prompt_id" and "keywords" are kept for the prompts that it has,
            e.g. the one that the spaces were read from. A prompt that it lacks gets the next free
            number.
        overwrite: whether a file that is there already may be replaced.

    Raises:
        FileExistsError: there is a file already.
        OSError: `like` cannot be read.
        ValueError: naming the prompt, if reading would not give back the same space, because the
            format cannot hold it; or if two spaces have one prompt; or if the dialect is unknown.
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
    """Prompt -> "prompt_id" and "keywords" of a file, as far as they are a number and words."""
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
    """What a file says of a space, but for its prompt; ValueError if it would not come back."""
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
    most = sys.maxsize  # a file means all that it says
    synonyms = synonym_space(prompt, lexicon, keywords=keywords, most=most, droppable=droppable)
    return synonyms + antonym_space(prompt, lexicon, keywords=keywords, most=most)


def _choices(space: Space, kind: Kind) -> dict[str, list[str]]:
    """Word -> alternatives, of one side of a space; words in lower case, as the release has them.

    Of "Ball" and "ball" the second is taken: its alternatives have no capital that is not theirs.
    """
    side = "positive" if kind == "synonym" else "negative"
    slots = [slot for slot in space.slots if slot.side == side]
    found: dict[str, list[str]] = {}
    for slot in sorted(slots, key=lambda slot: slot.text[:1].isupper()):
        found.setdefault(normal(slot.text), list(slot.choices[1:]))
    return found


def _words(prompt: str, entry: Any, kinds: Sequence[Kind]) -> dict[str, dict[str, list[str]]]:
    """Kind -> word -> alternatives, of an entry; ValueError names the key and the reason."""
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
    """The key words of an entry that stand in its prompt, of others nothing can be exchanged."""
    words: Any = entry.get("keywords")
    if not _is_strings(words):
        raise ValueError(f"key 'keywords': must be a list of words, not {repr(words)}")
    absent = set(not_in_prompt(prompt, words))
    return [word for word in words if word not in absent]


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_number(value: Any) -> bool:
    real = isinstance(value, int | float) and not isinstance(value, bool)
    return real and abs(value) <= sys.float_info.max  # so neither NaN nor infinite


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
    """What was found, after a warning for each problem; ValueError if there are only problems."""
    if problems and not found:
        raise ValueError(f"{path}: no entry can be used; the first problem: {problems[0]}")
    for problem in problems:
        warnings.warn(f"{path}: {problem}", stacklevel=3)
    return found
