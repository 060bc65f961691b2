"""Files of prompts and of their search spaces, in the formats of DPO-Diff's release.

A list of prompts is a JSON object {prompt: loss}, or a text file with one prompt a line. A space
file has an entry a prompt, with the words that may be exchanged:

    {"a plane coming out of fog": {
        "synonym": {"plane": ["aircraft", "jet"], "coming out": ["emerging"]},
        "antonym": {"fog": ["sunshine"]},
        "prompt_id": 0,
        "prompt": "a plane coming out of fog"}}

The loader of the release wants other names, "sub" and "opp", and "keywords"; all are read, and the
ones above are written. Reading is building: the entry is a dictionary, and `synonym_space` and
`antonym_space` make the slots, so a word gets a slot wherever it stands in the prompt. The format
knows no places, no negative prompt and no library slots; `Space.to_json` keeps all of them.
"""

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
from dpodiff.spaces.space import Space

NAMES = {"synonym": ("synonym", "sub"), "antonym": ("antonym", "opp")}  # ours, the loader's


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
        spaces[prompt] = _space(prompt, words, keywords, droppable)
        problems += [
            f"prompt {prompt!r}, key {kind!r}: {word!r} does not stand in the prompt"
            for kind, found in words.items()
            for word in not_in_prompt(prompt, found)
        ]
    return _with_warnings(path, spaces, problems)


def write_spaces(
    path: str | os.PathLike, spaces: Iterable[Space], *, overwrite: bool = False
) -> None:
    """Write a space file; a space's place among the others is its "prompt_id".

    Args:
        path: of the file.
        spaces: of different prompts.
        overwrite: whether a file that is there already may be replaced.

    Raises:
        FileExistsError: there is a file already.
        ValueError: naming the prompt, if reading would not give back the same space, because the
            format cannot hold it; or if two spaces have one prompt. Nothing is written then.

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
    entries: dict[str, Any] = {}
    for index, space in enumerate(spaces):
        words = {kind: _choices(space, kind) for kind in KINDS}
        if space.prompt in entries:
            raise ValueError(f"{path}: two spaces of the prompt {space.prompt!r}")
        if _space(space.prompt, words) != space:
            raise ValueError(
                f"{path}: the space of the prompt {space.prompt!r} does not fit this format, which "
                "has one list for all places of a word, no negative prompt and no library slots; "
                "Space.to_json keeps everything"
            )
        entries[space.prompt] = {**words, "prompt_id": index, "prompt": space.prompt}
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path} exists already; overwrite=True replaces it")
    write_json(path, entries)


def _space(
    prompt: str,
    words: Mapping[str, Mapping[str, Sequence[str]]],
    keywords: Sequence[str] | None = None,
    droppable: bool = False,
) -> Space:
    lexicon = Dictionary(words.get("synonym"), words.get("antonym"))
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
