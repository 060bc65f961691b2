"""The main functions: one call from a prompt to a better one, to a worse one, or to better noise.

`prompts`    `improve` and `attack`: search the words
`alignment`  `align`: search the noise, or noise and words alternately
`parts`      names -> models, spaces, losses; checks of arguments
`defaults`   what is taken where nothing is given
`checking`   `faithfulness`: which statements of a prompt its images show
`solvers`, `second_losses`  the same for solvers and constraints, and for second losses
`parameters`  `check_parameters`: those that papermill was given
`advice`     what to say to names that a function does not know

May import from every other folder but `toy`, whose parts it gets by name from `dpodiff.names`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
