"""A small world in which prompts matter for the same reasons as in Stable Diffusion.

Scenes of one or two icons are rendered and described in words whose frequencies follow Zipf's law.
Many images have defects, like images from a web crawl. A latent diffusion model, two CLIPs, an
image-text matcher and a judge are trained on them from scratch. The parts, in reading order:

`words`     the vocabulary: concepts, their surface words, opposites, the negative prompt library
`scenes`    the content of an image as data, and random scenes
`icons`     the twelve objects as vector drawings
`render`    scene -> 64 x 64 image, with backgrounds and defects
`captions`  scene -> caption in three styles, and back
`matcher`   a loss: which words of a prompt hold for an image
`judge`     an attribute recognizer that no solver uses
`places`    positions of the things of a prompt, by the judge or the matcher
`layers`    common layers of both
`train`     the training of all weights in `weights/`
`model`     the pipelines that `dpodiff.load("toy")` and `load("toy-small")` return
`digests`   hashes of the weights, for the stamps of records

It may import from every folder; other folders get its parts by name from `dpodiff.names` only.
"""

from pathlib import Path

__all__ = ["FOLDERS", "WEIGHTS"]

WEIGHTS = Path(__file__).parent / "weights"
# Folders of the pipelines, by the names that `dpodiff.load` takes.
FOLDERS = {"toy": WEIGHTS / "stable-diffusion", "toy-small": WEIGHTS / "stable-diffusion-small"}
