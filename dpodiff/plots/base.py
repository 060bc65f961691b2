"""What all figures share: how they show themselves, their colors and sizes."""

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart with every common color blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")  # a second way to tell curves apart, in print
FONT = 10  # points
WIDTH = 7  # inches, where a figure fills the page


class BookFigure(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=120)
        return buffer.getvalue()


def color_of(index: int) -> str:
    """The color of the curve with this number."""
    return PALETTE[index % len(PALETTE)]


def line_of(index: int) -> str:
    """The line style of the curve with this number."""
    return LINES[index % len(LINES)]


def open_frame(ax: Axes) -> None:
    """Leave the upper and the right side of the plot open."""
    ax.spines[["top", "right"]].set_visible(False)


def no_frame(ax: Axes) -> None:
    """Leave nothing around the plot: no ticks, no sides."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
