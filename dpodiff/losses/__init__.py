"""Losses: from images and prompts to one number per image, which is minimized.

    loss(images (batch, 3, height, width) in [0, 1], prompts) -> (batch,)

Any callable of this form is a loss. A reward, where more is better, is negated; its method `reward`
returns it as published. `load` knows these names:

    name                  loss            usual range         measures
    "clip", "clip:..."    SphericalCLIP   0.7 to 1.0          fit to the prompt
    "toy", "toy-heldout"  SphericalCLIP   0.2 to 0.4          fit to the prompt, in the toy world
    "toy-matcher"         Matcher         0 to 1              whether an image fails the prompt
    "contrastive:..."     Contrastive     0 to 5              fit relative to contrast prompts
    "decomposed:..."      Decomposed      0 to 5              the same for each statement
    "hpsv2.1"             HPS             -0.35 to -0.2       what people choose
    "pickscore"           PickScore       -24 to -17          what people choose
    "imagereward"         ImageReward     -2 to 2             what people rank first
    "vqascore"            VQAScore        -1 to 0             whether a chat model answers yes
    "aesthetic"           Aesthetic       -7 to -4.5          looks, without the prompt
    "white", "black"      white, black    -1 to 0, 0 to 1     brightness
    "contrast"            contrast        -2.25 to 0          contrast of the brightness
    "jpeg"                JPEG            some tens of kB     file size; no gradient

"toy-matcher-log" is the matcher's logarithm, whose gradient does not vanish.
"contrastive", "contrastive-margin" and "decomposed" take the name of a CLIP after the colon, as
"clip" does, or "toy". `Weighted` sums raw losses; `Ensemble` puts them on one scale first. All
losses except JPEG have a gradient in the images, which `is_differentiable` tells. A custom loss
without a gradient sets the attribute `differentiable = False`.

It imports from `models` only.
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
