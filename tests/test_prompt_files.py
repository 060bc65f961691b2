"""The example prompts of the book can be read."""

from pathlib import Path

import pytest

from dpodiff import read_prompts

FOLDER = Path(__file__).parents[1] / "book/prompts"


@pytest.mark.parametrize(("name", "fewest"), [("hard.txt", 60), ("attack.txt", 30)])
def test_example_prompts_are_read_without_losses(name, fewest):
    prompts = read_prompts(FOLDER / name)
    assert len(prompts) == len((FOLDER / name).read_text().splitlines()) >= fewest
    assert set(prompts.values()) == {None}
