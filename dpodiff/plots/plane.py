"""Contours of a function of the plane, with paths."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist

from dpodiff.checks import check_kind, check_text
from dpodiff.plots.base import BookFigure, add_legend, color_of, name_axes, numbers
from dpodiff.plots.curves import MARKERS

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LEVELS = 9  # number of contour lines


def contours(
    x: "ArrayLike",
    y: "ArrayLike",
    values: "ArrayLike",
    *,
    paths: "Mapping[str, ArrayLike] | None" = None,
    xlabel: str,
    ylabel: str,
) -> BookFigure:
    """Plot contours of a function of the plane, with the paths of points.

    Args:
        x: (columns,) coordinates of the grid, increasing.
        y: (rows,) coordinates of the grid, increasing.
        values: (rows, columns) values of the function on the grid.
        paths: groups of paths (steps, points, 2) by their names in the legend. A line joins the
            steps of each point, and a marker shows the last one.
        xlabel, ylabel: names of the axes.

    Raises:
        ValueError: if an argument is invalid.

    Examples:
        >>> axis = np.linspace(-2, 2, 21)
        >>> bowl = axis**2 + axis[:, None] ** 2
        >>> path = [[[1.5, 1.0]], [[0.5, 0.2]], [[0.0, 0.0]]]  # one point in three steps
        >>> figure = dpodiff.plots.contours(
        ...     axis, axis, bowl, paths={"descent": path}, xlabel="x", ylabel="y"
        ... )
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['descent']
    """
    x, y, values = (numbers(*pair) for pair in (("x", x), ("y", y), ("values", values)))
    _check_grid(x, y, values)
    groups = _checked_paths({} if paths is None else paths)
    figure = BookFigure(figsize=(6, 4.6), layout="constrained")
    ax = figure.subplots()
    drawn = ax.contour(x, y, values, levels=LEVELS, cmap="Greys", linewidths=1)
    drawn.set_clim(values.min() - np.ptp(values) / 2, values.max())  # keeps the lowest line visible
    named: dict[str, Artist] = {}
    for index, (name, path) in enumerate(groups.items()):
        color, marker = color_of(index), MARKERS[index % len(MARKERS)]
        ax.plot(*path.transpose(2, 0, 1), color=color, linewidth=0.8, alpha=0.6)
        (named[name],) = ax.plot(*path[-1].T, marker, color=color, markersize=5)
    ax.set_aspect("equal")
    name_axes(ax, xlabel, ylabel)
    add_legend(ax, named, outside=True)
    return figure


def _check_grid(x: np.ndarray, y: np.ndarray, values: np.ndarray) -> None:
    for name, axis in (("x", x), ("y", y)):
        if axis.ndim != 1 or len(axis) < 2 or not (np.diff(axis) > 0).all():
            raise ValueError(f"{name} must be 2 coordinates or more in increasing order")
    if values.shape != (len(y), len(x)):
        wanted = len(y), len(x)
        raise ValueError(f"values must be (rows, columns) = {wanted}, not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.sum(~np.isfinite(values))} of {values.size} values are not finite")


def _checked_paths(paths: Any) -> dict[str, np.ndarray]:
    """Return paths as arrays (steps, points, 2); ValueError if they have another shape."""
    check_kind("paths", paths, Mapping, "a mapping from names to paths")
    found = {}
    for name, path in paths.items():
        check_text("each name of paths", name)
        found[name] = numbers(f"paths[{name!r}]", path)
        shape = found[name].shape
        if len(shape) != 3 or 0 in shape or shape[2] != 2:
            raise ValueError(f"paths[{name!r}] must be (steps, points, 2), not {shape}")
    return found
