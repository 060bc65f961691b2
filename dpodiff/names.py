"""Parts by name, and names of parts.

This is the one place that knows where the parts of the toy world are. The core never imports
`dpodiff.toy`. It asks here for a part by name, and the part is imported on first use.
"""

import importlib
from typing import Any

TOY = "toy"  # the name of its model, its loss, its lexicon and its text encoder

_PARTS = {
    "model": "dpodiff.toy.model:load_toy",  # (name, device, dtype) -> Model
    "weights": "dpodiff.toy:WEIGHTS",  # folder
    "lexicon": "dpodiff.toy.words:toy_lexicon",  # () -> Lexicon
    "negative library": "dpodiff.toy.words:NPLIB",  # words
}


def toy(part: str) -> Any:
    """A part of the toy world: "model", "weights", "lexicon" or "negative library"."""
    module, _, name = _PARTS[part].partition(":")
    return getattr(importlib.import_module(module), name)


def name_of(part: Any) -> str:
    """What a loss or a constraint is called in traces and errors."""
    return getattr(part, "__qualname__", repr(part))
