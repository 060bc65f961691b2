"""Contours of a function of the plane and paths over them."""

import numpy as np
import pytest

from dpodiff.plots import contours

X, Y = np.linspace(-2, 2, 9), np.linspace(-1, 1, 5)
BOWL = X**2 + Y[:, None] ** 2
PATHS = np.stack([np.full((3, 2), 1.5), np.full((3, 2), 0.5), np.zeros((3, 2))])  # three points


def drawn(**arguments):
    return contours(X, Y, BOWL, xlabel="x", ylabel="y", **arguments).axes[0]


def test_each_point_has_a_line_through_its_steps_and_a_marker_at_the_last():
    *lines, ends = drawn(paths={"left $x_": PATHS}).lines
    assert [line.get_xydata().tolist() for line in lines] == PATHS.swapaxes(0, 1).tolist()
    assert ends.get_xydata().tolist() == PATHS[-1].tolist()


def test_names_of_paths_are_no_formulas():
    ax = drawn(paths={"a $x_": PATHS, "_b": PATHS})
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a $x_", "_b"]


def test_contours_stand_without_paths():
    ax = drawn()
    assert not ax.lines and ax.get_legend() is None and len(ax.collections) == 1


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ((X, Y, BOWL.T), r"values must be \(rows, columns\) = \(5, 9\), not \(9, 5\)"),
        ((X, Y, "bowl"), "values must be numbers"),
        ((X[::-1], Y, BOWL), "x must be 2 coordinates or more in increasing order"),
        ((X, Y[:1], BOWL[:1]), "y must be 2 coordinates or more"),
        ((X, Y, np.where(BOWL > 4, np.nan, BOWL)), "8 of 45 values are not finite"),
    ],
)
def test_a_wrong_grid_is_named(arguments, answer):
    with pytest.raises(ValueError, match=answer):
        contours(*arguments, xlabel="x", ylabel="y")


@pytest.mark.parametrize(
    ("paths", "answer"),
    [
        ([PATHS], "paths must be a mapping from names to paths"),
        ({"up": PATHS[..., :1]}, r"paths\['up'\] must be \(steps, points, 2\), not \(3, 3, 1\)"),
        ({"up": PATHS[:0]}, r"must be \(steps, points, 2\), not \(0, 3, 2\)"),
        ({1: PATHS}, "each name of paths"),
    ],
)
def test_wrong_paths_are_named(paths, answer):
    with pytest.raises(ValueError, match=answer):
        drawn(paths=paths)
