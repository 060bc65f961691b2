"""Solvers: one a file, all run by the one loop `search`.

`base`            the interface: `ask`, `tell`, `learn`, `recommend`
`loop`            `search`, which runs any solver
`run`             one run of it: budget, incumbent, failures and trace
`random_search`, `epo`, `forward_selection`, `tpe`, `screening`    of words
`llm_search`      of whole prompts, by a language model
`gpo`, `hpo`, `pez`                                                of words, with gradients
`dno`, `zero_order`, `best_of_n`                                   of noise
`joint`           of both, alternately
`recipes`         solvers by name, with every setting written out

Imports from every folder but `plots`, `api` and `toy`. Names are imported on first use, since some
solvers need torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
