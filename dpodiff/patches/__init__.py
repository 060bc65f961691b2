"""What the starting noise decides: patches of it that place the things of an image.

`editing`     cut, paste and resample a patch of noise
`positions`   where things appear from the same noise under many prompts, and what that says
`triggers`    which noise fits a layout, before any image is made
`energy`      whether two samples of patches have the same distribution

Positions come from any detector. The idea is that of Ban et al. (2024, arXiv 2406.01970).

Imports from `results` and the folders before it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
