"""Search spaces: which words of a prompt may change, and into what.

`prompts`      what a candidate stands for: two texts, guidance and window
`slots`        what may change in a prompt, and into what
`space`        the product of the slots of one prompt, and its candidates
`lexicons`     where alternatives come from: dictionaries, WordNet, language models, lists
`contrasts`    the prompt with one thing said otherwise
`diagnosis`    candidates against what was drawn instead
`statements`   a prompt taken apart into what it says
`files`        spaces and prompts as JSON files
`constraints`  which candidates are allowed, such as those that keep the meaning
`promptist`    a language model that rewrites prompts, as a baseline
`written`      a space of whole prompts, which grows
`writer`       a language model that writes them

Imports from `models` and `losses` only, and from these only what encodes text.
"""

from dpodiff.spaces import lexicons
from dpodiff.spaces.files import read_prompts, read_spaces, write_spaces
from dpodiff.spaces.lexicons.library import MODIFIERS, NEGATIVE
from dpodiff.spaces.prompts import GuidedPrompts, Prompts
from dpodiff.spaces.slots import Slot
from dpodiff.spaces.space import Candidate, Space
from dpodiff.spaces.writer import PromptWriter
from dpodiff.spaces.written import WrittenSpace

__all__ = [
    "MODIFIERS",
    "NEGATIVE",
    "Candidate",
    "GuidedPrompts",
    "PromptWriter",
    "Prompts",
    "Slot",
    "Space",
    "WrittenSpace",
    "lexicons",
    "read_prompts",
    "read_spaces",
    "write_spaces",
]
