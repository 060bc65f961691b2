"""Judge and matcher find the places of things on renders."""

import numpy as np
import pytest
import torch

from dpodiff.toy.judge import Judge
from dpodiff.toy.matcher import Matcher
from dpodiff.toy.places import judge_places, matcher_places
from dpodiff.toy.render import PLACES, SIZE, render_batch
from dpodiff.toy.scenes import RELATIONS, Scene, Thing

PROMPT = "a crimson ball and a blue mug"  # other words of the same concepts
WAYS = {"judge": (Judge, judge_places), "matcher": (Matcher, matcher_places)}


@pytest.mark.parametrize("name", WAYS)
def test_places_are_those_of_the_drawing(name):
    kind, find = WAYS[name]
    things = Thing("ball", "red", "large"), Thing("cup", "blue", "large")
    scenes = [Scene(things, relation, "snow") for relation in RELATIONS]
    images = torch.from_numpy(render_batch(scenes, np.random.default_rng(0)))
    places = find(kind.load(), images, PROMPT)
    drawn = torch.tensor([PLACES[relation] for relation in RELATIONS]) / SIZE
    assert (places - drawn).norm(dim=-1).max() < 6 / SIZE


@pytest.mark.parametrize("name", WAYS)
def test_a_thing_of_another_color_or_kind_is_not_found(name):
    kind, find = WAYS[name]
    things = Thing("ball", "yellow", "large"), Thing("house", "blue", "large")
    image = render_batch([Scene(things, "left of", "snow")], np.random.default_rng(0))
    assert find(kind.load(), torch.from_numpy(image), PROMPT).isnan().all()
