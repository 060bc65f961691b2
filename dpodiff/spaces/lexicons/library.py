"""Libraries of words that do not depend on the prompt: DPO-Diff's NPLib, and modifiers.

A library is a list of words, or groups of words of one kind. What users of Stable Diffusion write
is packaged as two text files, `NEGATIVE` and `MODIFIERS`; `read_words` reads these and one's own.
The toy model knows none of these words: its own stand in `dpodiff.toy.words`.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from dpodiff.checks import check_text, check_texts, check_whole
from dpodiff.spaces.lexicons.builders import different, not_in_prompt
from dpodiff.spaces.space import Slot, Space

FOLDER = Path(__file__).parents[1] / "libraries"
NEGATIVE = FOLDER / "negative.txt"
MODIFIERS = FOLDER / "modifiers.txt"
# Parts of a list without groups, at most.
NPLIB_SLOTS = 4
MODIFIER_SLOTS = 8

Library = Sequence[str] | Mapping[str, Sequence[str]]


def read_words(path: str | os.PathLike) -> dict[str, list[str]]:
    """The words of a library file, by group.

    A file has one entry a line, or several with commas between them, as a negative prompt has. A
    comment "# name" before entries begins a group; comments before other comments are notes.

    Args:
        path: of a text file (UTF-8).

    Returns:
        group -> its entries, in the order of the file; the name of a group without one is "".

    Raises:
        ValueError: naming the file, if it cannot be read, is no text, or holds no entry.

    Examples:
        >>> words = dpodiff.read_words(dpodiff.spaces.NEGATIVE)
        >>> {group: len(entries) for group, entries in words.items()}
        {'defects': 44, 'anatomy': 49, 'composition': 37, 'style': 42, 'text and marks': 32, \
'quality': 44}
        >>> words["defects"][:3]
        ['blurry', 'out of focus', 'soft focus']
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: the word list cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(
            f"{path}: a word list is a text file in UTF-8, with one entry a line"
        ) from None
    groups: dict[str, list[str]] = {}
    group = ""
    for line in lines:
        if line.lstrip().startswith("#"):
            group = line.lstrip(" \t#").rstrip()
        elif entries := [entry for part in line.split(",") if (entry := part.strip())]:
            groups.setdefault(group, []).extend(entries)
    if not groups:
        raise ValueError(f"{path}: the word list is empty; write one entry a line")
    return groups


def nplib_space(
    prompt: str,
    words: Library,
    slots: int | None = None,
    *,
    negative_prompt: str = "",
) -> Space:
    """The negative prompt may name words of a library, at most one from each of its parts.

    Groups of words of one kind are parts of their own: two words for one defect add little, and
    with a word a group at most, negative prompts stay far below the 77 tokens of CLIP. Words
    without groups are cut in order into parts of nearly equal length, as in the released DPO-Diff.
    A word that the prompt itself asks for is no choice.

    Args:
        prompt: the user's prompt.
        words: a list of words, or a mapping from groups to words, such as `read_words` gives. One
            group alone counts as a list.
        slots: parts, into which all words are cut in order. If not given, each group is one, and a
            list is cut into 4, or as many as it has words.
        negative_prompt: the user's own negative prompt; it stays as it is.

    Raises:
        ValueError: if there are no words, no slots, or fewer words than slots.

    Examples:
        >>> library = ["blurry", "dark", "ugly", "cropped"]
        >>> space = dpodiff.nplib_space("a dark sea", library, slots=2)
        >>> print(dpodiff.describe(space))
        'a dark sea': 2 slots, 3 x 2 = 6 candidates
          - (library): blurry | ugly
          - (library): cropped
        >>> words = dpodiff.read_words(dpodiff.spaces.NEGATIVE)
        >>> len(dpodiff.nplib_space("a dark sea", words).slots)
        6
    """
    _check(prompt, words, slots, negative_prompt)
    chosen = tuple(
        Slot("", ("", *part), "negative") for _, part in _parts(prompt, words, slots, NPLIB_SLOTS)
    )
    return Space(prompt, chosen, negative_prompt)


def modifiers_space(
    prompt: str,
    words: Library,
    slots: int | None = None,
    *,
    negative_prompt: str = "",
) -> Space:
    """The positive prompt may end with quality words, such as "sharp, detailed".

    Args:
        prompt: the user's prompt. A word that it has is no choice.
        words: the quality words: a list, or groups as in `nplib_space`.
        slots: parts into which all words are cut as in `nplib_space`, of which each gives at most
            one word. If not given, each group is one; and of a list each word, so that any of them
            may stand together, but a list of more than 8 is cut into 8.
        negative_prompt: the user's own negative prompt; it stays as it is.

    Raises:
        ValueError: if `slots` is 0, or there are fewer words than slots.

    Examples:
        >>> space = dpodiff.modifiers_space("a red ball", ["sharp", "crisp", "detailed"])
        >>> space.decode((1, 0, 1)).positive
        'a red ball, sharp, detailed'
        >>> words = dpodiff.read_words(dpodiff.spaces.MODIFIERS)
        >>> space = dpodiff.modifiers_space("a red ball", words)
        >>> space.decode((1, 2, 3, 0, 0)).positive
        'a red ball, sharp, highly detailed, warm light'
    """
    _check(prompt, words, slots, negative_prompt)
    chosen = tuple(
        Slot(group or "modifier", ("", *part), "modifier")
        for group, part in _parts(prompt, words, slots, MODIFIER_SLOTS)
    )
    return Space(prompt, chosen, negative_prompt)


def _check(prompt: str, words: Library, slots: int | None, negative_prompt: str) -> None:
    check_text("prompt", prompt)
    groups = list(words.values()) if isinstance(words, Mapping) else [words]
    for group in groups:
        check_texts("words", group)
    if not any(groups):
        raise ValueError("words is empty: give at least one word, or leave the space out")
    if slots is not None:
        check_whole("slots", slots)
    check_text("negative_prompt", negative_prompt)


def _parts(
    prompt: str, words: Library, count: int | None, most: int
) -> list[tuple[str, Iterable[str]]]:
    """Names and words of the parts, without repeated words and those of the prompt.

    Args:
        prompt: the user's prompt.
        words: a list or groups.
        count: parts; None for the groups, or for `most` parts of a list at most.
        most: parts of a list.

    Raises:
        ValueError: if there is no part, or fewer words than parts.
    """
    groups = dict(words) if isinstance(words, Mapping) else {"": words}
    free = different(not_in_prompt(prompt, chain.from_iterable(groups.values())))
    if count is None and len(groups) > 1:
        parts = [
            (name, [word for word in different(group) if word in free])
            for name, group in groups.items()
        ]
        return [(name, part) for name, part in parts if part]
    if count is None and not free:
        return []
    count = min(most, len(free)) if count is None else count
    if not 1 <= count <= len(free):
        raise ValueError(f"{len(free)} words fill 1 to {len(free)} slots, not {count}")
    return [("", part) for part in np.array_split(np.array(free, dtype=object), count)]
