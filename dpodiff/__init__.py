"""Prompt and noise optimization for text-to-image diffusion models.

    result = dpodiff.improve("a red ball on the sea")

The folders, in the order of the data flow. Each imports only from the folders before it:

`models`     text-to-image models behind one interface
`losses`     images and prompts -> numbers to minimize
`spaces`     the words that may change
`gradients`  gradients of the loss with respect to the words and the noise
`objective`  evaluations of candidates, their cache and their cost
`results`    traces, results, records and statistics
`patches`    how the initial noise decides where things appear
`solvers`    random search, EPO, GPO, HPO, DNO and the loop that runs them
`studies`    blind comparisons of two images by people
`plots`      figures
`api`        `improve`, `attack`, `align`
`sweeps`     `sweep`: many searches in parallel, on one machine or on a cluster
`cli`        the command `dpodiff`

`toy` is a small world for experiments. The other folders never import it.

Names are imported on first use, so `import dpodiff` is fast and does not need torch. The public
names are listed in `__init__.pyi`.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
