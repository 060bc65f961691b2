"""Build the search space from names of spaces and lists of words."""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

from dpodiff import names
from dpodiff.api.advice import check_known
from dpodiff.api.defaults import is_toy
from dpodiff.api.parts import AnyLexicon, chosen_lexicon
from dpodiff.checks import check_text
from dpodiff.spaces.lexicons import (
    Dictionary,
    antonym_space,
    emphasis_space,
    extract_keywords,
    guidance_space,
    modifiers_space,
    nplib_space,
    read_words,
    synonym_space,
    window_space,
)
from dpodiff.spaces.lexicons.library import MODIFIERS, NEGATIVE, Library
from dpodiff.spaces.slots import WINDOW_SIDES
from dpodiff.spaces.space import Space
from dpodiff.spaces.written import WrittenSpace

if TYPE_CHECKING:
    from dpodiff.models.base import TextToImage
    from dpodiff.objective import Task

SPACES = ("antonym", "emphasis", "guidance", "modifiers", "nplib", "synonym", "window")
OF_LEXICON = ("antonym", "synonym")  # spaces whose words come from a lexicon
# A library: its file or its words.
Words = str | PathLike | Library


def check_space_names(space: str | Space) -> None:
    """Refuse unknown names of spaces, before a model is loaded.

    Raises:
        ValueError: if a name is unknown, naming the known ones.
    """
    if isinstance(space, Space):
        return
    check_text("space", space)
    for name in _space_names(space):
        check_known("space", name, SPACES)


def chosen_keywords(
    keywords: bool | Sequence[str], prompt: str, space: str | Space
) -> Sequence[str] | None:
    """Return the words of the prompt that may change; None if all may.

    Raises:
        ValueError: if they are not a list of words of the prompt, or the space does not use them.
    """
    if keywords is False:
        return None
    _check_has(space, OF_LEXICON, "keywords")
    if keywords is True:
        keywords = extract_keywords(prompt)
    elif not _are_words(keywords):
        raise ValueError(f"keywords must be True, False or a list of words, not {keywords!r}")
    if not keywords:
        raise ValueError(f"there are no key words in {prompt!r}, so no word may change")
    synonym_space(prompt, Dictionary(), keywords=keywords)  # raises if one is not in the prompt
    return keywords


def chosen_library(name: str, words: Words | None, space: str | Space) -> Library | None:
    """Return the words of a given library; None is the default of the model.

    Args:
        name: name of the argument and of the space, "nplib" or "modifiers".
        words: path of a file, a list of words, or groups of words.
        space: the space, by name or as a `Space`.

    Raises:
        ValueError: if there are no words, or the space does not use them.
    """
    if words is None:
        return None
    _check_has(space, (name,), name)
    if isinstance(words, str | PathLike):
        return read_words(words)
    groups = list(words.values()) if isinstance(words, Mapping) else [words]
    if not all(map(_are_words, groups)) or not any(groups):
        raise ValueError(
            f"{name} must be the path of a word list, a list of words, or lists of words by the "
            f"names of their groups, not {words!r}"
        )
    return words


def chosen_space(
    space: str | Space,
    prompt: str,
    negative_prompt: str,
    model: "TextToImage",
    *,
    lexicon: AnyLexicon,
    locked: Sequence[str] = (),
    keywords: Sequence[str] | None = None,
    nplib: Library | None = None,
    modifiers: Library | None = None,
    task: "Task",
) -> Space:
    """Return the given space, or the sum of the named ones; only `improve` may drop words.

    Raises:
        ValueError: if a space has no words.
    """
    if isinstance(space, Space):
        return space
    found = Space(prompt, (), negative_prompt)
    for name in _space_names(space):
        if name == "antonym":
            words = chosen_lexicon(model, lexicon, prompt, "antonym")
            found += antonym_space(
                prompt, words, negative_prompt=negative_prompt, locked=locked, keywords=keywords
            )
        elif name == "synonym":
            found += synonym_space(
                prompt,
                chosen_lexicon(model, lexicon, prompt, "synonym"),
                droppable=task == "improve",
                negative_prompt=negative_prompt,
                locked=locked,
                keywords=keywords,
            )
        elif name == "emphasis":
            found += emphasis_space(prompt, negative_prompt=negative_prompt, locked=locked)
        elif name == "guidance":
            own = getattr(model, "guidance", None)  # a black box has none
            found += guidance_space(prompt, own=own, negative_prompt=negative_prompt)
        elif name == "window":
            found += window_space(prompt, negative_prompt=negative_prompt)
        elif name == "modifiers":
            words = modifiers or _library("modifiers", MODIFIERS, model)
            found += modifiers_space(prompt, words, negative_prompt=negative_prompt)
        else:
            words = nplib or _library("negative library", NEGATIVE, model)
            found += nplib_space(prompt, words, negative_prompt=negative_prompt)
    return found


def _space_names(space: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in space.split("+")))


def _check_has(space: str | Space, needed: Sequence[str], argument: str) -> None:
    """Refuse an argument that the space does not use.

    Raises:
        ValueError: if the space names none of those that use the argument.
    """
    if isinstance(space, Space):
        raise ValueError(f"{argument} chooses words for spaces by name, and a Space has its own")
    if set(needed).isdisjoint(_space_names(space)):
        wanted = " or ".join(map(repr, needed))
        raise ValueError(f"{argument} is for the space {wanted}, which {space!r} does not hold")


def _are_words(words: object) -> bool:
    return (
        isinstance(words, Sequence)
        and not isinstance(words, str)
        and all(isinstance(word, str) and word.strip() for word in words)
    )


def _library(toy: str, file: PathLike, model: "TextToImage") -> Library:
    """Return the default library of a model; a toy model knows only the words of the toy world."""
    return names.toy(toy) if is_toy(model) else read_words(file)


def check_space(space: Space, prompt: str, negative_prompt: str, model: "TextToImage") -> None:
    """Refuse a space in which a search cannot change the images.

    Raises:
        ValueError: if the space is of another prompt or has no alternatives; if it changes a
            negative prompt, the guidance, weights of words or a window that the model ignores; or
            if it has a window but no negative prompt. The message says what would be right.
    """
    if (space.prompt, space.negative_prompt) != (prompt, negative_prompt):
        raise ValueError(f"the space is of another prompt: {space.prompt!r}, not {prompt!r}")
    if space.size == 1 and not isinstance(space, WrittenSpace):
        raise ValueError(
            f"nothing can change in {prompt!r}: none of its words has an alternative; "
            "the space 'nplib' does not depend on them"
        )
    if not model.takes_negative and any(slot.side == "negative" for slot in space.slots):
        raise ValueError(
            f"as it is set, {model.name} ignores negative prompts, which this space "
            "changes: use space='modifiers+synonym', or set the model's guidance above 1"
        )
    if getattr(model, "guidance", 0.0) <= 1 and any(s.side == "guidance" for s in space.slots):
        raise ValueError(
            f"as it is set, {model.name} is not guided, so there is no guidance to choose: leave "
            "'guidance' out of the space, or set the model's guidance above 1"
        )
    if not getattr(model, "takes_emphasis", False) and any(
        slot.side == "emphasis" for slot in space.slots
    ):
        raise ValueError(
            f"{model.name} takes no weights of words: leave 'emphasis' out of the space; Stable "
            "Diffusion 1 and 2 and the toy models take them"
        )
    if any(slot.side in WINDOW_SIDES for slot in space.slots):
        _check_window(space, model)


def _check_window(space: Space, model: "TextToImage") -> None:
    """Refuse a space in which a window changes nothing.

    Raises:
        ValueError: if the model takes no window, or there is no negative prompt.
    """
    if not (getattr(model, "takes_window", False) and model.takes_negative):
        raise ValueError(
            f"as it is set, {model.name} takes no window for a negative prompt: leave 'window' out "
            "of the space; models that are guided, and no black boxes, take one"
        )
    if not (space.negative_prompt or any(slot.side == "negative" for slot in space.slots)):
        raise ValueError(
            "a window needs a negative prompt that acts in it: give a negative_prompt, or search "
            "one as well, as in space='nplib+window'"
        )
