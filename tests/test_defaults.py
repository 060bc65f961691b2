"""The page on defaults says what the code does."""

import inspect
import re
from pathlib import Path

import dpodiff
from dpodiff.api.defaults import DEFAULT_SPACE
from dpodiff.models.stable_diffusion import StableDiffusion
from dpodiff.solvers import DNO
from dpodiff.toy.model import Toy

PAGE = Path(__file__).parents[1] / "book" / "defaults.md"
ROWS = re.findall(r"^\| (?!Setting)(\w[^|]*) \|[^|]*\| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
HERE = dict(ROWS)


def default(function, name):
    return inspect.signature(function).parameters[name].default


def test_a_setting_stands_once():
    assert len(HERE) == len(ROWS) > 15


def test_the_numbers_are_those_of_the_code():
    assert HERE["seeds a candidate"] == str(default(dpodiff.improve, "seeds"))
    assert HERE["solver"] == f"`{default(dpodiff.improve, 'solver')}`"
    assert HERE["space of an improvement"] == f"`{DEFAULT_SPACE}`"
    assert HERE["verification"] == f"{default(dpodiff.improve, 'verify')} fresh seeds"
    assert HERE["steps, guidance"] == (
        f"{StableDiffusion.steps}, {StableDiffusion.guidance}; "
        f"for the toy model {Toy.steps}, {Toy.guidance:g}"
    )
    assert HERE["eta"].startswith(f"{default(dpodiff.align, 'eta'):g}:")
    assert HERE["images"] == f"{default(dpodiff.align, 'seeds')} seeds at once"
    assert HERE["samples of the hybrid gradient"] == str(dpodiff.Hybrid().samples)


def test_the_noise_does_not_decay():
    noise = dpodiff.models.noise.draw(dpodiff.load("toy"), [0], 0.0)
    solver = DNO(dpodiff.Space("a red ball"), noise)
    assert solver._optimizer.param_groups[0]["weight_decay"] == 0
    assert HERE["weight decay"].startswith("0,")
