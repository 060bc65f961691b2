"""The objective of a search: evaluations of candidates, mixtures and noise, with their cost.

`objective`   the objective of a search: cache, constraint, batches, cost
`queries`     what else a solver may ask besides evaluations of candidates
`text`        the loss as a function of mixed words, with its gradient
`noise`       the loss as a function of the noise, with its gradient
`images`      one batch: prompts and seeds -> images -> losses
`memory`      known evaluations and images, so that nothing is made twice
`evaluation`  the result of one evaluation, and which of two is better
`diagnosis`   candidates to try first, from the images of the user's prompt
`missed`      what the images of the user's prompt miss, in words
`cost`        budget and cost

It imports from `models`, `losses`, `spaces` and `gradients` only.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
