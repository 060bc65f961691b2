"""Patches of the initial noise, which influence where the things of an image appear.

`editing`     cut, paste and resample a patch of noise
`positions`   positions of things for the same noise under many prompts, and their statistics
`crops`       a detector for any model, by a CLIP loss
`triggers`    how well a noise fits a layout, before any image is made
`energy`      a test of whether two samples of patches have the same distribution

Positions come from any detector. The idea is that of Ban et al. (2024, arXiv 2406.01970).

It imports from `results` and the folders before it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
