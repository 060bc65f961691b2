"""Sentences about a result: shown, refused or left out."""

import pytest

import dpodiff

DECLARED = "prompt = 'a cup'\nbudget = 4  # evaluations"


@pytest.mark.parametrize(
    ("given", "default"),
    [
        (None, True),
        ("budget = 4", True),
        ('prompt = "a cup"', True),
        ("budget = 5", False),
        ("prompt = 'a red cup'\nbudget = 4", False),
    ],
)
def test_parameters_are_the_chapters_own_if_no_value_differs(given, default):
    cells = ["", DECLARED] + ([f"# Parameters\n{given}"] if given else [])
    assert dpodiff.check_parameters(cells) is default


def test_a_true_sentence_is_shown_as_text():
    said = dpodiff.conclusion("The loss falls by 0.02.", True)
    assert said._repr_markdown_() == "The loss falls by 0.02."


def test_a_false_sentence_is_an_error_that_quotes_it():
    with pytest.raises(AssertionError, match="not true of the result: The loss falls"):
        dpodiff.conclusion("The loss falls by 0.02.", False)


def test_nothing_is_said_of_other_parameters():
    assert dpodiff.conclusion("The loss falls by 0.02.", False, default=False) is None
