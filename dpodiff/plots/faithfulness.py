"""The statements of a prompt that its images show."""

import textwrap
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap

from dpodiff.checks import check_kind
from dpodiff.plots.base import FONT, BookFigure, no_frame
from dpodiff.plots.images import CELL, _pixels, _show

if TYPE_CHECKING:
    import pandas as pd

    from dpodiff.plots.images import Images

ROW = 0.32  # inches per statement
MARGIN = 2.2  # inches for the statements' texts
LETTERS = 26  # characters per line of such a text
# Pale orange and blue, distinguishable with every common color blindness, and marks as well.
MISSED, HELD = "#F5C9A6", "#BFE0F5"


def statements(
    images: "Images", probabilities: "pd.DataFrame", holds: "pd.DataFrame"
) -> BookFigure:
    """Plot images with the statements of the prompt that each of them shows.

    A cell shows the probability of a statement. It is blue with a check mark if the image fits the
    prompt better than each contrast of the statement, and orange with a cross otherwise.

    Args:
        images: (n, 3, height, width) in [0, 1].
        probabilities: one row per statement, one column per image, as `Faithfulness` and
            `losses.Decomposed` return them.
        holds: table of booleans with the same shape.

    Raises:
        ValueError: if the shapes of the images or the tables are wrong.

    Examples:
        >>> images = torch.ones(2, 3, 8, 8)
        >>> found = dpodiff.faithfulness(images, "a red ball on the sea")
        >>> figure = dpodiff.plots.statements(images, found.probabilities, found.holds)
        >>> [text.get_text() for text in figure.axes[-1].get_yticklabels()]
        ['red ball', 'ball', 'on the sea']
    """
    import pandas as pd

    pixels = _pixels(images)
    for name, table in {"probabilities": probabilities, "holds": holds}.items():
        check_kind(
            name, table, pd.DataFrame, "a frame with a row per statement and a column per image"
        )
    if probabilities.shape[1] != len(pixels):
        raise ValueError(f"{len(pixels)} images, but {probabilities.shape[1]} columns")
    if holds.shape != probabilities.shape:
        raise ValueError(f"holds is {holds.shape}, but probabilities {probabilities.shape}")
    labels = [textwrap.fill(str(text), LETTERS) for text in probabilities.index]
    lines = [label.count("\n") + 1 for label in labels]
    height = ROW * sum(max(1.0, 0.6 * count) for count in lines)
    figure = BookFigure(figsize=(MARGIN + CELL * len(pixels), CELL + height), layout="constrained")
    grid = figure.add_gridspec(2, len(pixels), height_ratios=[CELL, height])
    for column, image in enumerate(pixels):
        _show(figure.add_subplot(grid[0, column]), image)
    ax = figure.add_subplot(grid[1, :])
    colors = ListedColormap([MISSED, HELD])
    ax.imshow(holds.to_numpy(dtype=float), cmap=colors, vmin=0, vmax=1, aspect="auto")
    ax.hlines([row + 0.5 for row in range(len(labels) - 1)], -0.5, len(pixels) - 0.5, color="white")
    no_frame(ax)
    ax.set_yticks(range(len(labels)), labels, fontsize=FONT, parse_math=False)
    ax.tick_params(length=0)
    for row, column in np.ndindex(*holds.shape):
        mark = "✓" if holds.iat[row, column] else "✗"
        text = f"{mark} {probabilities.iat[row, column]:.2f}"
        ax.text(column, row, text, ha="center", va="center", fontsize=FONT)
    return figure
