"""Solvers, one per file. The loop `search` runs all of them.

`base`            the interface: `ask`, `tell`, `learn`, `recommend`
`loop`            `search`, which runs any solver
`run`             the state of one search: budget, incumbent, failures and trace
`listed`          no search, given candidates only
`random_search`, `epo`, `forward_selection`, `tpe`, `screening`    search of words
`llm_search`      search of whole prompts by a language model
`gpo`, `hpo`, `pez`                                                search of words with gradients
`dno`, `zero_order`, `best_of_n`                                   search of noise
`joint`           search of words and noise, alternately
`recipes`         solvers by name with all settings

It imports from every folder except `plots`, `api` and `toy`. Names are imported on first use, since
some solvers need torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
