"""Losses: from images and prompts to one number each, to be minimized; one file per scorer.

    loss(images (batch, 3, height, width) in [0, 1], prompts) -> (batch,)

Any callable of that shape will do. A reward, of which more is better, enters as its negative, and
its `reward` method gives it as published. `load` knows these by name:

    name                  loss            usual range         looks at
    "clip", "clip:..."    SphericalCLIP   0.7 to 1.0          fit to the prompt
    "toy", "toy-heldout"  SphericalCLIP   0.2 to 0.4          the same, in the toy world
    "toy-matcher"         Matcher         0 to 1              whether an image fails the prompt
    "contrastive:..."     Contrastive     0 to 5              the fit beside contrast prompts
    "decomposed:..."      Decomposed      0 to 5              the same, statement by statement
    "hpsv2.1"             HPS             -0.35 to -0.2       what people choose
    "pickscore"           PickScore       -24 to -17          what people choose
    "imagereward"         ImageReward     -2 to 2             what people rank first
    "vqascore"            VQAScore        -1 to 0             whether a chat model says yes
    "aesthetic"           Aesthetic       -7 to -4.5          looks alone, whatever the prompt
    "white", "black"      white, black    -1 to 0, 0 to 1     brightness
    "contrast"            contrast        -2.25 to 0          light beside dark
    "jpeg"                JPEG            some tens of kB     size of the file; no gradient

"toy-matcher-log" is the matcher's logarithm, whose gradient does not vanish.
"contrastive", "contrastive-margin" and "decomposed" take a CLIP behind the colon, as "clip" does,
or "toy". `Weighted` sums losses as they are; `Ensemble` puts them on one scale first. All but JPEG
have a gradient in the images. `is_differentiable` asks; a loss of one's own that has none says so
by an attribute `differentiable = False`.

Imports from `models` only.
"""

from dpodiff.losses.aesthetic import Aesthetic
from dpodiff.losses.base import Reward, check_differentiable, check_prompt, is_differentiable
from dpodiff.losses.clip import SphericalCLIP, spherical_distance
from dpodiff.losses.contrastive import Contrastive
from dpodiff.losses.decomposed import Decomposed
from dpodiff.losses.ensemble import Ensemble, leave_one_out
from dpodiff.losses.hps import HPS
from dpodiff.losses.imagereward import ImageReward
from dpodiff.losses.loading import load
from dpodiff.losses.pickscore import PickScore
from dpodiff.losses.pixels import JPEG, black, contrast, white
from dpodiff.losses.vqascore import VQAScore
from dpodiff.losses.weighted import Weighted

__all__ = [
    "HPS",
    "JPEG",
    "Aesthetic",
    "Contrastive",
    "Decomposed",
    "Ensemble",
    "ImageReward",
    "PickScore",
    "Reward",
    "SphericalCLIP",
    "VQAScore",
    "Weighted",
    "black",
    "check_differentiable",
    "check_prompt",
    "contrast",
    "is_differentiable",
    "leave_one_out",
    "load",
    "spherical_distance",
    "white",
]
