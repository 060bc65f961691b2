"""What a search minimizes: evaluations of candidates, of mixtures and of noise, with their cost.

`objective`   the objective of a search: cache, constraint, batches, cost
`queries`     what a solver may ask of it beside evaluations of candidates
`text`        the loss as a function of mixed words, with its gradient
`noise`       the loss as a function of the noise, with its gradient
`images`      one batch: prompts and seeds -> images -> losses
`memory`      what was seen already, so that nothing is made twice
`evaluation`  the result of one evaluation, and which of two is better
`diagnosis`   from the images of the user's prompt to candidates to try first
`missed`      what the images of the user's prompt miss, in words
`cost`        budget and cost

Imports from `models`, `losses`, `spaces` and `gradients` only.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
