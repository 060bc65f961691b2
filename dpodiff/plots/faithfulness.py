"""Which statements of a prompt its images hold."""

import textwrap
from typing import TYPE_CHECKING

from matplotlib.colors import LinearSegmentedColormap

from dpodiff.plots.base import FONT, PALETTE, BookFigure, no_frame
from dpodiff.plots.images import CELL, _pixels, _show

if TYPE_CHECKING:
    import pandas as pd

    from dpodiff.plots.images import Images

ROW = 0.32  # inches a statement
MARGIN = 2.2  # inches for the statements' texts
LETTERS = 26  # a line of such a text
# From vermilion over white to blue: the ends differ with every common color blindness.
MISSED_TO_HELD = LinearSegmentedColormap.from_list("held", [PALETTE[1], "white", PALETTE[5]])


def statements(images: "Images", probabilities: "pd.DataFrame") -> BookFigure:
    """Images, and under each of them which statements of the prompt it holds.

    A cell shows the probability of a statement, with a check mark above 1/2 and a cross otherwise.

    Args:
        images: (n, 3, height, width) in [0, 1].
        probabilities: one row per statement, one column per image, as
            `Decomposed.probabilities` gives them.

    Raises:
        ValueError: if the images are not of that shape, or the columns not as many.

    Examples:
        >>> images = torch.ones(2, 3, 8, 8)
        >>> found = dpodiff.faithfulness(images, "a red ball on the sea")
        >>> figure = dpodiff.plots.statements(images, found.probabilities)
        >>> [text.get_text() for text in figure.axes[-1].get_yticklabels()]
        ['red ball', 'ball', 'on the sea']
    """
    pixels = _pixels(images)
    if probabilities.shape[1] != len(pixels):
        raise ValueError(f"{len(pixels)} images, but {probabilities.shape[1]} columns")
    labels = [textwrap.fill(str(text), LETTERS) for text in probabilities.index]
    lines = [label.count("\n") + 1 for label in labels]
    height = ROW * sum(max(1.0, 0.6 * count) for count in lines)
    figure = BookFigure(figsize=(MARGIN + CELL * len(pixels), CELL + height), layout="constrained")
    grid = figure.add_gridspec(2, len(pixels), height_ratios=[CELL, height])
    for column, image in enumerate(pixels):
        _show(figure.add_subplot(grid[0, column]), image)
    ax = figure.add_subplot(grid[1, :])
    ax.imshow(probabilities, cmap=MISSED_TO_HELD, vmin=0, vmax=1, aspect="auto")
    no_frame(ax)
    ax.set_yticks(range(len(labels)), labels, fontsize=FONT, parse_math=False)
    ax.tick_params(length=0)
    for (row, column), value in _cells(probabilities):
        mark = "✓" if value > 0.5 else "✗"
        ax.text(column, row, f"{mark} {value:.2f}", ha="center", va="center", fontsize=FONT)
    return figure


def _cells(table: "pd.DataFrame") -> list[tuple[tuple[int, int], float]]:
    values = table.to_numpy()
    return [
        ((row, column), float(values[row, column]))
        for row in range(values.shape[0])
        for column in range(values.shape[1])
    ]
