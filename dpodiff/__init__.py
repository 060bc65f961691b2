"""Prompt and noise optimization for text-to-image diffusion models.

    result = dpodiff.improve("a red ball on the sea")

The folders, in the order of the data's way; each imports only from those before it:

`models`     text-to-image models behind one interface
`losses`     images and prompts -> numbers to minimize
`spaces`     the words that may change
`gradients`  of the loss, by the words and by the noise
`objective`  evaluations of candidates, their cache and their cost
`results`    traces, results, records, statistics
`patches`    what the starting noise decides
`solvers`    random search, EPO, GPO, HPO, DNO and the loop that runs them
`studies`    which of two images people prefer, asked blind
`plots`      figures
`api`        `improve`, `attack`, `align`
`sweeps`     `sweep`: many searches at once, here or on a cluster
`cli`        the command `dpodiff`

`toy` is a small world to try all of it on; the others never import it.

Names are imported on first use, so `import dpodiff` is fast and does not need torch. The public
names are listed in `__init__.pyi`, once.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
