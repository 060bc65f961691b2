"""Load parts of the toy world by name, and name parts for traces and errors.

Only this module knows where the parts of the toy world are. The core never imports `dpodiff.toy`.
It asks for a part by name here, and the part is imported on first use.
"""

import importlib
from functools import partial
from typing import Any

TOY = "toy"  # the name of its model, its loss, its lexicon and its text encoder
# Names of the toy models -> the key of the digest of their weights in a stamp.
TOYS = {TOY: "weights", "toy-small": "small weights"}

_PARTS = {
    "model": "dpodiff.toy.model:load_toy",  # (name, device, dtype) -> Model
    "weights": "dpodiff.toy:WEIGHTS",  # folder
    "weights digest": "dpodiff.toy.digests:weights_digest",  # (name of a model) -> hash
    "scorers digest": "dpodiff.toy.digests:scorers_digest",  # () -> hash
    "matcher": "dpodiff.toy.matcher:load_matcher",  # (device, form) -> loss
    "lexicon": "dpodiff.toy.words:toy_lexicon",  # () -> Lexicon
    "negative library": "dpodiff.toy.words:NPLIB",  # words
    "modifiers": "dpodiff.toy.words:PRAISE",  # words
    "first words": "dpodiff.toy.words:FIRST",  # lists of words
}


class LoadError(OSError, ValueError):
    """A model, a loss, an encoder or a language model that cannot be loaded.

    The message says what is wrong and what would be right: the name is unknown, the files are
    missing and cannot be downloaded, or they have another format. It is an `OSError`, as libraries
    raise for missing files, and a `ValueError`, since the name is an argument. A missing package
    raises an `ImportError` instead, which names the extra to install.

    Examples:
        >>> try:
        ...     dpodiff.load("tyo")
        ... except dpodiff.LoadError as error:
        ...     print(str(error).split(";")[0])
        there is no model or folder 'tyo'
    """


def toy(part: str) -> Any:
    """Return a part of the toy world by one of the names above."""
    module, _, name = _PARTS[part].partition(":")
    return getattr(importlib.import_module(module), name)


def name_of(part: Any) -> str:
    """Return the name of a loss or a constraint for traces and errors.

    A partial is named by its function and the names of its arguments, and an object by its class.
    Values are left out, since one of them may be an API key. The package's own objects are named by
    their `repr`, and so are objects that own a named method.
    """
    if isinstance(part, partial):
        arguments = ["..."] * len(part.args) + [f"{name}=..." for name in part.keywords]
        return f"partial({', '.join([name_of(part.func), *arguments])})"
    owner = getattr(part, "__self__", None)
    if _says_what_it_is(owner):
        return f"{owner!r}.{part.__name__}"
    if hasattr(part, "__qualname__"):
        return part.__qualname__
    return repr(part) if _says_what_it_is(part) else type(part).__qualname__


def _says_what_it_is(part: Any) -> bool:
    """Return whether it is an object of the package with a `repr` of its own."""
    kind = type(part)
    return kind.__module__.startswith("dpodiff.") and kind.__repr__ is not object.__repr__
