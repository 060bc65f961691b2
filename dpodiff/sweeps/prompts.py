"""The prompts of a sweep: numbered prompts from a list or a file."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpodiff.spaces.files import read_prompts, read_spaces
from dpodiff.spaces.json_file import read_json
from dpodiff.spaces.space import Space

Id = int | str
# A path, prompts, spaces, or a mapping from ids to them; see `sweep`.
Prompts = str | os.PathLike | Sequence[str | Space] | Mapping[Any, Any]
DIGITS = 12  # digits of the hash of a space


@dataclass(frozen=True)
class Item:
    """A prompt of a sweep with its number or name, and its own space if it has one."""

    id: Id
    prompt: str
    space: Space | None = None

    @property
    def digest(self) -> str:
        """Hash of the space; empty without one."""
        if self.space is None:
            return ""
        text = json.dumps(self.space.to_json(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def items(prompts: Prompts, task: str, ids: str | Sequence[Id] | None) -> list[Item]:
    """Return the prompts, or those with the given ids.

    Raises:
        OSError: if a file cannot be read.
        ValueError: if they are invalid; the message says what would be right.
    """
    if isinstance(prompts, str | os.PathLike):
        prompts = _read(Path(prompts), task)
    if isinstance(prompts, Mapping):
        found = [_item(place, *pair) for place, pair in enumerate(prompts.items())]
    else:
        found = [_item(place, place, one) for place, one in enumerate(prompts)]
    if not found:
        raise ValueError("there is no prompt to sweep over")
    if not all(isinstance(item.id, int) for item in found):
        found = [Item(str(item.id), item.prompt, item.space) for item in found]
    return found if ids is None else _chosen(found, ids)


def _read(path: Path, task: str) -> Mapping[str, Any]:
    """Return the prompts of a file, or their spaces if it has words for them."""
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}; for one prompt give a list: [{path!s}]")
    if path.suffix != ".json":
        return read_prompts(path)
    data, _ = read_json(path)
    if not any(isinstance(entry, dict) for entry in data.values()):
        return read_prompts(path)
    return read_spaces(path, ["synonym"]) if task == "attack" else read_spaces(path)


def _item(place: int, key: Any, value: Any) -> Item:
    if isinstance(value, Space):
        return Item(place if key == value.prompt else key, value.prompt, value)
    if isinstance(value, str):
        return Item(key, value)
    if isinstance(key, str) and (value is None or isinstance(value, int | float)):
        return Item(place, key)  # an item of `read_prompts`: a prompt and its loss
    raise ValueError(f"a prompt must be a string or a Space, not {value!r}")


def _chosen(found: Sequence[Item], ids: str | Sequence[Id]) -> list[Item]:
    """Return the items with these ids, each once, in the order of the ids."""
    by_id = {item.id: item for item in found}
    wanted = _parsed(ids, by_id) if isinstance(ids, str) else list(ids)
    if unknown := [one for one in wanted if one not in by_id]:
        raise ValueError(f"ids={ids!r}: there is no prompt {unknown[0]}; {_known(found)}")
    return [by_id[one] for one in dict.fromkeys(wanted)]


def _known(found: Sequence[Item]) -> str:
    names = [str(item.id) for item in found]
    return f"they are {', '.join(names) if len(names) < 6 else f'{names[0]} to {names[-1]}'}"


def _parsed(text: str, known: Mapping[Id, Item]) -> list[Id]:
    """Return the ids in a text such as "0,3-5"; other texts are ids themselves."""
    wanted: list[Id] = []
    for part in map(str.strip, text.split(",")):
        first, dash, last = part.partition("-")
        if part in known:
            wanted.append(part)
        elif part.isdecimal():
            wanted.append(int(part))
        elif dash and first.strip().isdecimal() and last.strip().isdecimal():
            if int(first) > int(last):
                raise ValueError(f"ids={text!r}: {part} has no numbers in it; write {last}-{first}")
            if int(last) - int(first) > len(known):
                raise ValueError(f"ids={text!r}: {part} is longer than the {len(known)} prompts")
            wanted += range(int(first), int(last) + 1)
        else:
            raise ValueError(
                f"ids={text!r}: {part!r} is not an id; write numbers and ranges, 0,3-5"
            )
    return wanted
