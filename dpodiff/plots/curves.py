"""Curves and intervals: the progress of a search, and evidence for claims."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.ticker import MaxNLocator

from dpodiff.checks import check_each, check_kind, check_switch, check_text, shown
from dpodiff.plots.base import (
    FONT,
    PALETTE,
    BookFigure,
    add_legend,
    check_points,
    color_of,
    line_of,
    name_axes,
    numbers,
    open_frame,
)
from dpodiff.results.trace import Trace

if TYPE_CHECKING:
    import pandas as pd

MARKERS = "os^Dv"
CENT = 1e-9  # tolerance, since prices are sums of fractions

Points = tuple[Sequence[float], Sequence[float]]  # x and y
Bought = tuple[np.ndarray, np.ndarray]  # of a run: cost so far, and the best value at that cost


def lines(
    curves: Mapping[str, Points],
    *,
    xlabel: str,
    ylabel: str,
    markers: bool = False,
    bands: Mapping[str, Points] | None = None,
) -> BookFigure:
    """Plot curves in one figure.

    Args:
        curves: x and y of each curve by its name in the legend; `""` is not in the legend.
        xlabel, ylabel: names of the axes.
        markers: whether to mark the points.
        bands: lower and upper ends of a band around some of the curves, by the same names.

    Raises:
        ValueError: if an argument is invalid.

    Examples:
        >>> curves = {"EPO": ([1, 2, 3], [0.9, 0.7, 0.6])}
        >>> curves["random"] = ([1, 2, 3], [0.9, 0.8, 0.8])
        >>> figure = dpodiff.plots.lines(curves, xlabel="evaluations", ylabel="best loss")
        >>> figure.axes[0].get_xlabel(), len(figure.axes[0].lines)
        ('evaluations', 2)
    """
    check_points("curves", curves)
    check_switch("markers", markers)
    check_points("bands", bands or {})
    figure = BookFigure(figsize=(6, 3.8), layout="constrained")
    ax = figure.subplots()
    named: dict[str, Artist] = {}
    for index, (name, (x, y)) in enumerate(curves.items()):
        color = color_of(index)
        (named[name],) = ax.plot(
            x,
            y,
            marker=MARKERS[index % len(MARKERS)] if markers else None,
            markersize=5,
            label=name or None,
            color=color,
            linestyle=line_of(index),
        )
        if bands is not None and name in bands:
            low, high = bands[name]
            ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    if all((numbers("x", x) % 1 == 0).all() for x, _ in curves.values()):
        ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))  # no half steps
    name_axes(ax, xlabel, ylabel)
    add_legend(ax, {name: line for name, line in named.items() if name})
    open_frame(ax)
    return figure


def scatter(
    clouds: Mapping[str, Points], *, xlabel: str, ylabel: str, diagonal: bool = False
) -> BookFigure:
    """Plot points in one figure.

    Args:
        clouds: x and y of each group by its name in the legend.
        xlabel, ylabel: names of the axes.
        diagonal: whether to draw the line x = y.

    Raises:
        ValueError: if an argument is invalid.

    Examples:
        >>> points = {"prompts": ([0.1, 0.2, 0.3], [0.1, 0.3, 0.2])}
        >>> figure = dpodiff.plots.scatter(points, xlabel="before", ylabel="after")
        >>> figure.axes[0].get_ylabel()
        'after'
    """
    check_points("clouds", clouds)
    check_switch("diagonal", diagonal)
    figure = BookFigure(figsize=(4.6, 3.8), layout="constrained")
    ax = figure.subplots()
    named: dict[str, Artist] = {}
    for index, (name, (x, y)) in enumerate(clouds.items()):
        color, marker = color_of(index), MARKERS[index % len(MARKERS)]
        named[name] = ax.scatter(x, y, s=28, color=color, marker=marker, alpha=0.7, label=name)
    if diagonal:
        left = ax.get_xlim()[0]
        ax.axline((left, left), slope=1, color="0.5", linestyle="--", linewidth=1)
    name_axes(ax, xlabel, ylabel)
    add_legend(ax, named)
    open_frame(ax)
    return figure


def convergence(
    runs: "Mapping[str, Sequence[Trace]] | pd.DataFrame",
    *,
    ylabel: str = "best loss",
    relative: bool = False,
    means: bool = False,
) -> BookFigure:
    """Plot the best value so far against the cost: the median and the middle half over runs.

    A run that ended early keeps its last value.

    Args:
        runs: traces of each method by its name in the legend; or the curves of a record, a frame
            with the columns "solver", "spent" and "best". Each combination of its other columns is
            one run.
        ylabel: name of the value; for attacks it is the negative of the loss.
        relative: whether to subtract each run's first value, that of the user's own prompt. Then
            runs of different prompts can be in one plot.
        means: whether to draw only the means over runs, which claims are about.

    Raises:
        ValueError: if an argument is invalid, or there is no run.

    Examples:
        >>> curves = dpodiff.Recorded.load("claims").of("random", "epo").curves
        >>> curves = curves[curves["search_seed"] == 0]
        >>> figure = dpodiff.plots.convergence(curves, relative=True)
        >>> figure.axes[0].get_xlabel(), len(figure.axes[0].lines)
        ('cost in evaluations', 2)
    """
    check_switch("relative", relative)
    check_switch("means", means)
    bought = {name: [_bought(run) for run in group] for name, group in _grouped(runs).items()}
    figure = BookFigure(figsize=(6, 3.8), layout="constrained")
    ax = figure.subplots()
    longest = max(math.ceil(spent[-1] - CENT) for group in bought.values() for spent, _ in group)
    evaluations = np.arange(1, longest + 1)
    named: dict[str, Artist] = {}
    for index, (name, group) in enumerate(bought.items()):
        best = np.stack([_best_so_far(run, evaluations, relative) for run in group])
        color = color_of(index)
        if means:
            middle = np.nanmean(best, axis=0)
        else:
            low, middle, high = np.nanquantile(best, [0.25, 0.5, 0.75], axis=0)
            ax.fill_between(
                evaluations, low, high, step="post", color=color, alpha=0.2, linewidth=0
            )
        label = f"{name} ({len(group)})"
        (named[label],) = ax.step(
            evaluations,
            middle,
            where="post",
            label=label,
            color=color,
            linestyle=line_of(index),
        )
    name_axes(ax, "cost in evaluations", ylabel)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    add_legend(ax, named, title="method (runs)")
    open_frame(ax)
    return figure


def intervals(
    frame: "pd.DataFrame", *, xlabel: str = "mean difference, after - before"
) -> BookFigure:
    """Plot mean differences with their confidence intervals, one per line, and the line of zero.

    Args:
        frame: one row per interval, named by its index, with the columns "mean", "low" and "high",
            as `paired_bootstrap` returns them. If an end is infinite, only the mean is drawn.
        xlabel: name of the difference.

    Raises:
        ValueError: if the frame has no row, or lacks a column.

    Examples:
        >>> claims = [("EPO beats random search", "epo", "random")]
        >>> table = dpodiff.Recorded.load("claims").contrasts(claims, "loss, search seeds")
        >>> figure = dpodiff.plots.intervals(table)
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['EPO beats random search']
    """
    _check_columns("frame", frame, ("mean", "low", "high"))
    check_text("xlabel", xlabel)
    figure = BookFigure(figsize=(6, 1 + 0.4 * len(frame)), layout="constrained")
    ax = figure.subplots()
    rows = np.arange(len(frame))
    errors = np.stack([frame["mean"] - frame["low"], frame["high"] - frame["mean"]])
    errors = np.where(np.isfinite(errors).all(axis=0), errors, np.nan)
    ax.axvline(0, color="0.5", linewidth=1, linestyle="--")
    ax.errorbar(frame["mean"], rows, xerr=errors, fmt="o", color=PALETTE[0], capsize=4)
    ax.set_yticks(rows, [str(name) for name in frame.index], fontsize=FONT, parse_math=False)
    ax.set_ylim(len(frame) - 0.5, -0.5)  # the first row at the top
    ax.xaxis.set_major_locator(MaxNLocator(5))
    figure.supxlabel(
        xlabel, fontsize=FONT, parse_math=False
    )  # long names leave little room below the axes alone
    open_frame(ax)
    return figure


def _grouped(
    runs: "Mapping[str, Sequence[Trace]] | pd.DataFrame",
) -> "Mapping[str, Sequence[Trace | pd.DataFrame]]":
    if isinstance(runs, Mapping):
        for name, group in runs.items():
            check_text("each name of runs", name)
            check_each(f"runs[{name!r}]", group, _check_run)
        if not any(runs.values()):
            raise ValueError("runs is empty: there is nothing to draw")
        return runs
    _check_columns("runs", runs, ("solver", "spent", "best"))
    others = [column for column in runs if column not in ("solver", "spent", "best")]
    return {
        str(name): [run for _, run in group.groupby(others, dropna=False)]
        for name, group in runs.groupby("solver", sort=False)
    }


def _check_run(name: str, run: Any) -> None:
    if not isinstance(run, Trace) or not run.records:
        raise ValueError(f"{name} must be a Trace with records, not {shown(run)}")


def _check_columns(name: str, frame: Any, columns: Sequence[str]) -> None:
    import pandas as pd

    check_kind(name, frame, pd.DataFrame, f"a frame with columns {', '.join(columns)}")
    if missing := [column for column in columns if column not in frame]:
        raise ValueError(f"{name} lacks the column {missing[0]!r}")
    if not len(frame):
        raise ValueError(f"{name} has no row")


def _bought(run: "Trace | pd.DataFrame") -> Bought:
    if isinstance(run, Trace):
        spent = [record.spent for record in run.records]
        return np.array(spent), np.array([record.best for record in run.records])
    return run["spent"].to_numpy(float), run["best"].to_numpy(float)


def _best_so_far(run: Bought, evaluations: np.ndarray, relative: bool) -> np.ndarray:
    """Return the best value after each number of evaluations; NaN before the first finite one."""
    spent, best = run
    last = np.searchsorted(spent, evaluations + CENT, side="right") - 1  # last record paid for
    value = np.where((last >= 0) & np.isfinite(best[last]), best[last], np.nan)
    return value - best[0] if relative else value
