"""The main functions: improve a prompt, attack it, or optimize the noise in one call.

`prompts`    `improve` and `attack`: search the words
`prompt_search`  what they do: check the arguments, connect the parts, search, verify
`alignment`  `align`: search the noise, or noise and words alternately
`parts`      names -> models, spaces, losses; checks of arguments
`defaults`   default models, losses, spaces and lexicons
`checking`   `faithfulness`: which statements of a prompt its images show
`solvers`, `second_losses`  names -> solvers and constraints; names -> second losses
`parameters`  `check_parameters`: checks the parameters that papermill sets
`advice`     error messages for unknown names

It may import from every other folder except `toy`, whose parts come from `dpodiff.names`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
