"""Search spaces: which words of a prompt may change, and into what.

`space`        slots, candidates, and the prompts that a candidate stands for
`lexicons`     where alternatives come from: dictionaries, WordNet, language models
`contrasts`    the prompt with one thing said otherwise
`statements`   a prompt taken apart into what it says
`files`        spaces and prompts as JSON files
`constraints`  which candidates are allowed, such as those that keep the meaning
`promptist`    a language model that rewrites prompts, as a baseline

Imports from `models` and `losses` only, and from these only what encodes text.
"""

from dpodiff.spaces import lexicons
from dpodiff.spaces.files import read_prompts, read_spaces, write_spaces
from dpodiff.spaces.space import Candidate, Prompts, Slot, Space

__all__ = [
    "Candidate",
    "Prompts",
    "Slot",
    "Space",
    "lexicons",
    "read_prompts",
    "read_spaces",
    "write_spaces",
]
