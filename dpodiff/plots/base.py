"""Common parts of figures: display, colors, sizes, and checks."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dpodiff.checks import check_kind, check_text, shown

# Okabe and Ito (2008): distinguishable with every common color blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")  # also distinguish curves in print
FONT = 10  # points
WIDTH = 7  # inches of a figure with the width of the page


class BookFigure(Figure):
    """A figure that a notebook shows without pyplot.

    Examples:
        >>> curves = {"EPO": ([1, 2, 3], [0.9, 0.7, 0.6])}
        >>> figure = dpodiff.plots.lines(curves, xlabel="evaluations", ylabel="best loss")
        >>> figure.savefig("curve.pdf")
        >>> figure.get_size_inches().tolist()
        [6.0, 3.8]
    """

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=120)
        return buffer.getvalue()


def color_of(index: int) -> str:
    """Return the color of a curve by its number."""
    return PALETTE[index % len(PALETTE)]


def line_of(index: int) -> str:
    """Return the line style of a curve by its number."""
    return LINES[index % len(LINES)]


def name_axes(ax: Axes, xlabel: str, ylabel: str) -> None:
    """Name both axes; a "$" does not start a formula.

    Raises:
        ValueError: if a name is not a string.
    """
    check_text("xlabel", xlabel)
    check_text("ylabel", ylabel)
    ax.set_xlabel(xlabel, fontsize=FONT, parse_math=False)
    ax.set_ylabel(ylabel, fontsize=FONT, parse_math=False)


def add_legend(
    ax: Axes, named: Mapping[str, Artist], title: str | None = None, *, outside: bool = False
) -> None:
    """Add a legend of artists by name; "$" and a leading "_" have no special meaning.

    Args:
        ax: axes of the artists.
        named: artists by name; without any there is no legend.
        title: title of the legend.
        outside: whether the legend is to the right of the plot instead of inside.
    """
    if not named:
        return
    legend = ax.legend(
        list(named.values()),
        [f"{number}" for number in range(len(named))],
        title=title,
        fontsize=FONT - 1,
        frameon=False,
        loc="upper left" if outside else "best",
        bbox_to_anchor=(1, 1) if outside else None,
    )
    for text, name in zip(legend.get_texts(), named, strict=True):
        text.set_text(name)
        text.set_parse_math(False)


def check_points(name: str, values: Any) -> None:
    """Check a mapping from names to pairs of x and y of equal length.

    Raises:
        ValueError: if it is not; the message names the argument.
    """
    check_kind(name, values, Mapping, "a mapping from names to x and y")
    for key, pair in values.items():
        check_text(f"each name of {name}", key)
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise ValueError(f"{name}[{key!r}] must be x and y, not {shown(pair)}")
        x, y = (numbers(f"{name}[{key!r}]", part) for part in pair)
        if x.ndim != 1 or x.shape != y.shape:
            raise ValueError(f"{name}[{key!r}] has {x.shape} values of x, but {y.shape} of y")


def numbers(name: str, values: Any, what: str = "numbers") -> np.ndarray:
    """Return values as an array of floating point.

    Raises:
        ValueError: if they are not numbers; the message names the argument.
    """
    try:
        found = np.asarray(values)
    except (
        TypeError,
        ValueError,
        RuntimeError,
    ):  # rows of different lengths, or a tensor with a graph
        found = np.empty(0, object)
    if found.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be {what}, not {shown(values)}")
    return found.astype(float)


def open_frame(ax: Axes) -> None:
    """Remove the upper and the right side of the frame."""
    ax.spines[["top", "right"]].set_visible(False)


def no_frame(ax: Axes) -> None:
    """Remove the frame and the ticks."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
