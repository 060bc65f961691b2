"""Heat maps of tables."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from dpodiff.checks import check_kind, check_switch, check_text, check_texts, check_whole
from dpodiff.plots.base import FONT, BookFigure, name_axes, numbers

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CELL = 0.42  # least side in inches
LETTER = 0.09  # inches
COLORS = {"high": "cividis", "low": "cividis_r"}  # by the numbers that are light
COLUMNS = 2  # number of maps side by side


def heatmaps(
    frames: "Mapping[str, pd.DataFrame]",
    *,
    xlabel: str,
    ylabel: str,
    shared: bool = True,
    digits: int = 2,
    lower_is_better: Sequence[str] = (),
) -> BookFigure:
    """Plot tables of numbers as colors; cells without a number stay white.

    A high number has a light color, except in the tables of `lower_is_better`.

    Args:
        frames: tables with the same row and column names, by their titles.
        xlabel: name of the columns.
        ylabel: name of the rows.
        shared: whether all tables have one color scale instead of one each.
        digits: digits after the decimal point.
        lower_is_better: titles of the tables in which a low number has a light color.

    Raises:
        ValueError: if there is no table, a table has no numbers, `lower_is_better` names no table,
            or another argument is invalid.

    Examples:
        >>> import pandas as pd
        >>> table = pd.DataFrame([[0.1, 0.4], [float("nan"), 0.2]], index=[0, 1], columns=[1, 2])
        >>> figure = dpodiff.plots.heatmaps({"removed": table}, xlabel="end", ylabel="start")
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['0.10', '0.40', '0.20']
    """
    check_kind("frames", frames, Mapping, "a mapping from names to tables")
    check_switch("shared", shared)
    check_whole("digits", digits, 0, 9)
    check_texts("lower_is_better", lower_is_better)
    if unknown := set(lower_is_better) - set(frames):
        raise ValueError(f"lower_is_better has titles that frames does not have: {sorted(unknown)}")
    values = {name: numbers(f"frames[{name!r}]", frame) for name, frame in frames.items()}
    if not values or not all(np.isfinite(table).any() for table in values.values()):
        raise ValueError("frames must be tables with numbers, at least one of them")
    everything = np.concatenate([table.ravel() for table in values.values()])
    across = min(COLUMNS, len(frames))
    down = -(-len(frames) // across)
    figure = BookFigure(
        figsize=_size(next(iter(frames.values())), across, down), layout="compressed"
    )
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for place, (ax, (name, frame)) in enumerate(zip(axes, frames.items(), strict=False)):
        check_text("each name of frames", name)
        light = "low" if name in lower_is_better else "high"
        _draw(ax, values[name], everything if shared else values[name], digits, light)
        ax.set_title(name, fontsize=FONT, parse_math=False)
        ax.set_xticks(range(len(frame.columns)), [str(name) for name in frame.columns])
        first = place % across == 0  # row names only at the left
        ax.set_yticks(range(len(frame.index)), [str(name) * first for name in frame.index])
        name_axes(ax, xlabel, ylabel if first else "")
    for ax in axes[len(frames) :]:  # empty places
        ax.set_visible(False)
    return figure


def _size(frame: "pd.DataFrame", across: int, down: int) -> tuple[float, float]:
    """Return the size in inches for several tables like this one, with their names."""
    rows, columns = ([str(name) for name in names] for names in (frame.index, frame.columns))
    longest = max(len(line) for name in columns for line in name.splitlines() or [""])
    side = max(CELL, LETTER * longest)
    names = LETTER * max(map(len, rows))
    return 0.5 + names + across * (0.5 + side * len(columns)), down * (1 + side * len(rows))


def _draw(
    ax: "Axes", values: np.ndarray, scale: np.ndarray, digits: int, light: Literal["low", "high"]
) -> None:
    """Draw cells with their numbers, colored from the lowest to the highest of a scale."""
    low, high = np.nanmin(scale), np.nanmax(scale)
    ax.imshow(values, cmap=COLORS[light], vmin=low, vmax=high)
    ax.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            half = "low" if value < (low + high) / 2 else "high"
            ink = "black" if half == light else "white"
            text = f"{round(value, digits) + 0.0:.{digits}f}"  # avoids a negative zero
            ax.text(column, row, text, ha="center", va="center", color=ink, fontsize=9)
