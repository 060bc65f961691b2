"""Search spaces: the words of a prompt that may change, and their alternatives.

`prompts`      the texts, guidance and window of a candidate
`slots`        one position of a prompt with its alternatives
`space`        the product of the slots of one prompt, and its candidates
`lexicons`     sources of alternatives: dictionaries, WordNet, language models, lists
`contrasts`    contrast prompts, which differ from the prompt in one word
`diagnosis`    candidates against what was drawn instead of the prompt
`statements`   the statements of a prompt
`files`        spaces and prompts as JSON files
`constraints`  constraints on candidates, such as a similar meaning
`promptist`    a language model that rewrites prompts, as a baseline
`written`      a space of whole prompts that grows during a search
`writer`       a language model that writes whole prompts

It imports from `models` and `losses` only, and from these only text encoders.
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
