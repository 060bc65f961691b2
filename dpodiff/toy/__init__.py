"""A small world in which prompts matter for the same reasons as in Stable Diffusion.

Scenes of one or two icons are drawn, described in words whose frequencies follow Zipf's law, and
made dirty in the way of a web crawl; a latent diffusion model, two CLIPs, an image-text matcher
and a judge are trained on them from nothing. The parts, in reading order:

`words`     the vocabulary: concepts, their surface words, opposites, the negative prompt library
`scenes`    what an image shows, as data, and how scenes are drawn at random
`icons`     the twelve objects as vector drawings
`render`    scene -> 64 x 64 image, with backgrounds and defects
`captions`  scene -> sentence in three styles, and back
`matcher`   a loss: which words of a prompt hold for an image
`judge`     an attribute recognizer that no solver ever sees
`places`    where both of them find the things of a prompt
`layers`    what both of these are made of
`train`     the recipe that makes every weight in `weights/`
`model`     the pipelines as `dpodiff.load("toy")` and `load("toy-small")` return them
`digests`   hashes of the weights, for the stamps of records

May import from every folder; none imports it, but for the parts that `dpodiff.names` gives by name.
"""

from pathlib import Path

__all__ = ["FOLDERS", "WEIGHTS"]

WEIGHTS = Path(__file__).parent / "weights"
# Of the pipelines, by the names that `dpodiff.load` takes.
FOLDERS = {"toy": WEIGHTS / "stable-diffusion", "toy-small": WEIGHTS / "stable-diffusion-small"}
