"""Files of answers. Their content is untrusted, so all of it is checked."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from dpodiff.spaces.json_file import read_json
from dpodiff.studies.session import ANSWERS, KEY, VERSION

LARGEST = 10_000_000  # bytes of a file of answers
LONGEST = 100  # characters of a rater's name
FIELDS = ("pair", "left", "choice", "ms")

Given = Union[str, os.PathLike, Mapping[str, Any]]  # noqa: UP007  (needed at run time)


@dataclass(frozen=True)
class Answer:
    """A rater's answer for one pair; `preferred` is "a", "b" or "tie"."""

    pair: str
    left: str
    preferred: str
    seconds: float


@dataclass(frozen=True)
class Rater:
    """One rater's answers by pair; `made_by` is "page", "panel", or "function" for a simulation."""

    name: str
    made_by: str
    answers: dict[str, Answer]


def read_key(key: Given) -> Mapping[str, Any]:
    """Return the key of a study, from its file or from `Study.key`.

    Raises:
        ValueError: if it is not the key of a study.
    """
    data, where = _object(key, "the key")
    wanted = {"study": str, "baseline": str, "ties": bool, "equal": int, "pairs": dict}
    if data.get("format") != KEY or any(not isinstance(data.get(k), t) for k, t in wanted.items()):
        raise ValueError(f"{where} is not the key of a study: give the file NAME.key.json")
    _check_version(data, where)
    for name, pair in data["pairs"].items():
        texts = ("prompt", "repeats", "expected")
        whole = isinstance(pair, dict) and all(isinstance(pair.get(k), str) for k in texts)
        if not whole or not _are_methods(pair.get("methods")):
            raise ValueError(f"{where}, pair {name!r}: damaged, give the key as it was written")
        if pair["repeats"] and pair["repeats"] not in data["pairs"]:
            raise ValueError(f"{where}, pair {name!r}: repeats a pair that is not there")
    if not any(data["baseline"] in pair["methods"] for pair in data["pairs"].values()):
        raise ValueError(f"{where}: no pair shows the baseline {data['baseline'][:40]!r}")
    return data


def read_raters(answers: Given | Iterable[Given], key: Mapping[str, Any]) -> list[Rater]:
    """Return one rater per file.

    Raises:
        ValueError: if a file is damaged, belongs to another study, or to a rater with another file.
            The message names the file and the place in it.
    """
    single = isinstance(answers, str | os.PathLike | Mapping) or not isinstance(answers, Iterable)
    given: list[Given] = [answers] if single else list(answers)  # type: ignore[list-item,arg-type]
    files = [file for one in given for file in _files(one)]
    if not files:
        raise ValueError("there are no answers: give the files that raters have downloaded")
    found: dict[str, tuple[Rater, str]] = {}
    for number, file in enumerate(files, start=1):
        data, where = _object(file, f"answers {number}")
        rater = _rater(data, where, key)
        if rater.name in found:
            raise ValueError(
                f"{where} and {found[rater.name][1]} are both of rater {rater.name!r}: leave one "
                "out, or change the name in it"
            )
        found[rater.name] = rater, where
    return [rater for rater, _ in found.values()]


def _files(given: Given) -> list[Given]:
    """Return the files; a folder is replaced by its JSON files except keys."""
    if not isinstance(given, str | os.PathLike) or not Path(given).is_dir():
        return [given]
    return [path for path in sorted(Path(given).glob("*.json")) if not path.match("*.key.json")]


def _object(given: Given, name: str) -> tuple[Mapping[str, Any], str]:
    """Return the JSON object, and its name for errors."""
    if isinstance(given, Mapping):
        return given, name
    if not isinstance(given, str | os.PathLike):
        raise ValueError(f"{name} must be a file or its content, not {str(given)[:40]!r}")
    path = Path(given)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} is larger than {LARGEST // 1_000_000} MB, as no answers are")
    return read_json(path)[0], str(path)


def _rater(data: Mapping[str, Any], where: str, key: Mapping[str, Any]) -> Rater:
    if data.get("format") != ANSWERS:
        raise ValueError(f"{where} holds no answers: its format must be {ANSWERS!r}")
    _check_version(data, where)
    if data.get("study") != key["study"]:
        raise ValueError(
            f"{where} belongs to study {str(data.get('study'))[:20]!r}, and the key to "
            f"{key['study']!r}"
        )
    name, made_by, given = (data.get(k) for k in ("rater", "made_by", "answers"))
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST:
        raise ValueError(f"{where}: rater must be a name of at most {LONGEST} letters")
    if not name.isprintable():  # control characters could affect a terminal
        raise ValueError(f"{where}: rater must be a name without control characters")
    if made_by not in ("page", "panel", "function"):
        raise ValueError(f"{where}: made_by must be page, panel or function")
    if not isinstance(given, list):
        raise ValueError(f"{where}: answers must be a list")
    answers: dict[str, Answer] = {}
    for number, one in enumerate(given, start=1):
        answer = _answer(one, f"{where}, answer {number}", key)
        if answer.pair in answers:
            raise ValueError(f"{where}, answer {number}: pair {answer.pair!r} is answered twice")
        answers[answer.pair] = answer
    return Rater(name.strip(), made_by, answers)


def _answer(data: Any, where: str, key: Mapping[str, Any]) -> Answer:
    if not isinstance(data, Mapping) or not set(FIELDS) <= data.keys():
        raise ValueError(f"{where}: must be an object with {', '.join(FIELDS)}")
    pair, left, choice, ms = (data[name] for name in FIELDS)
    if not isinstance(pair, str) or pair not in key["pairs"]:
        raise ValueError(f"{where}: the study has no pair {str(pair)[:40]!r}")
    if left not in ("a", "b"):
        raise ValueError(f"{where}: left must be 'a' or 'b', not {str(left)[:40]!r}")
    choices = ("left", "right", "tie") if key["ties"] else ("left", "right")
    if choice not in choices:
        allowed = ", ".join(choices)
        raise ValueError(f"{where}: choice must be one of {allowed}, not {str(choice)[:40]!r}")
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not 0 <= ms < 1e12:
        raise ValueError(f"{where}: ms must be a number of milliseconds, not {str(ms)[:40]!r}")
    other = "b" if left == "a" else "a"
    preferred = {"left": left, "right": other, "tie": "tie"}[choice]
    return Answer(pair, left, preferred, ms / 1000)


def _check_version(data: Mapping[str, Any], where: str) -> None:
    if data.get("version") != VERSION:
        raise ValueError(
            f"{where} has version {str(data.get('version'))[:20]} of the format; this program "
            f"reads version {VERSION}"
        )


def _are_methods(names: Any) -> bool:
    return (
        isinstance(names, list | tuple)
        and len(names) in (0, 2)
        and all(isinstance(name, str) for name in names)
    )
