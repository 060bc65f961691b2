"""Libraries of words that do not depend on the prompt: DPO-Diff's NPLib, and modifiers.

A library is a list of words, or groups of related words. The package has two text files with words
that users of Stable Diffusion write, `NEGATIVE` and `MODIFIERS`; `read_words` reads these and your
own files. The toy model does not know these words: its own are in `dpodiff.toy.words`.
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
# Largest number of parts of a list without groups.
NPLIB_SLOTS = 4
MODIFIER_SLOTS = 8

Library = Sequence[str] | Mapping[str, Sequence[str]]


def read_words(path: str | os.PathLike) -> dict[str, list[str]]:
    """Return the words of a library file, by group.

    A file has one entry per line, or several separated by commas, as in a negative prompt. A
    comment "# name" before entries starts a group; comments before other comments are ignored.

    Args:
        path: path of a text file (UTF-8).

    Returns:
        entries by group, in the order of the file; the name of a group without one is "".

    Raises:
        ValueError: if the file cannot be read, is not text, or has no entries; the message names
            it.

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
    """Return a space in which the negative prompt may have library words, one from each part.

    Each group of related words is a part: two words for one defect add little, and with one word
    per group negative prompts stay far below the 77 tokens of CLIP. Words without groups are split
    in order into parts of nearly equal length, as in the released DPO-Diff. Words of the prompt
    itself are left out.

    Args:
        prompt: the user's prompt.
        words: a list of words, or a mapping from groups to words, as `read_words` returns it. A
            single group counts as a list.
        slots: number of parts into which all words are split in order. By default each group is a
            part, and a list is split into 4 parts, or fewer if it has fewer words.
        negative_prompt: the user's own negative prompt, which does not change.

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
    """Return a space in which quality words, such as "sharp, detailed", may follow the prompt.

    Args:
        prompt: the user's prompt. Its own words are left out.
        words: the quality words, as a list or as groups as in `nplib_space`.
        slots: number of parts as in `nplib_space`; each gives at most one word. By default each
            group is a part. In a list each word is a part, so that any of them can be combined, but
            a list of more than 8 words is split into 8 parts.
        negative_prompt: the user's own negative prompt, which does not change.

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
    """Return names and words of the parts, without repetitions and without the prompt's words.

    Args:
        prompt: the user's prompt.
        words: a list or groups.
        count: number of parts; None for the groups, or for up to `most` parts of a list.
        most: largest number of parts of a list.

    Raises:
        ValueError: if there are no parts, or fewer words than parts.
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
