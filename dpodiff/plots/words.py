"""The words of a search: weights of choices, learned distributions, and populations."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.ticker import MaxNLocator

from dpodiff.checks import (
    check_each,
    check_finite,
    check_kind,
    check_text,
    check_texts,
    check_whole,
    shown,
)
from dpodiff.plots.base import FONT, PALETTE, WIDTH, BookFigure, no_frame, numbers, open_frame
from dpodiff.plots.images import MOST_COLUMNS
from dpodiff.spaces.slots import SIGNS
from dpodiff.spaces.space import Candidate, Slot, Space

ROW = 0.34  # inches per row of words
NOTHING = "–"  # shown for the empty choice
LETTERS = 12.5  # characters per inch of small print
SHADES = LinearSegmentedColormap.from_list("shades", ["white", PALETTE[0]])


def distribution(space: Space, probabilities: Sequence[Sequence[float]]) -> BookFigure:
    """Plot a table of all choices, one slot per row; darker words are more likely.

    Args:
        space: space of the choices.
        probabilities: (choices,) per slot, as in the state of GPO.

    Raises:
        ValueError: if a slot does not have one probability per choice; the message names it.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly"], slots=1)
        >>> figure = dpodiff.plots.distribution(space, [[0.2, 0.7, 0.1]])
        >>> [text.get_text() for text in figure.axes[0].texts][2:]
        ['blurry', '0.70', 'ugly', '0.10']
    """
    _check(space, probabilities)
    columns = max(len(slot.choices) for slot in space.slots)
    figure, ax = _table(len(space.slots), columns)
    for y, (slot, row) in enumerate(zip(space.slots, probabilities)):
        for x, (word, p) in enumerate(zip(slot.choices, row)):
            dark = p > 0.7
            _cell(ax, x, y, word, SHADES(float(p)), "white" if dark else "black", columns)
            ax.text(
                x + 0.96,
                y + 0.93,
                f"{p:.2f}",
                fontsize=7,
                ha="right",
                va="bottom",
                color="white" if dark else "0.2",
            )
    _name_rows(ax, [_slot_name(slot) for slot in space.slots])
    return figure


def learned(
    space: Space,
    history: Sequence[Sequence[Sequence[float]]],
    *,
    xlabel: str = "gradient step",
    ylabel: str = "probability",
    columns: int = 3,
) -> BookFigure:
    """Plot the probabilities of each slot's choices during a search, one small plot per slot.

    The final choice has a thick line, the slot's first choice a dashed one, and the others are
    gray.

    Args:
        space: space of the choices.
        history: probabilities (choices,) per slot, for each moment.
        xlabel: name of the moments.
        ylabel: name of the shares.
        columns: number of plots per row.

    Raises:
        ValueError: if a slot does not have one probability per choice; the message names it.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly"], slots=1)
        >>> history = [[[0.4, 0.3, 0.3]], [[0.1, 0.7, 0.2]]]  # of two steps
        >>> dpodiff.plots.learned(space, history).axes[0].get_title()
        '− library: blurry'
    """
    check_whole("columns", columns, 1, MOST_COLUMNS)
    check_text("xlabel", xlabel)
    check_text("ylabel", ylabel)
    history = check_each("history", history, lambda _, moment: _check(space, moment))
    if not history:
        raise ValueError("history is empty: at least one moment is needed")
    rows = math.ceil(len(space.slots) / columns)
    figure = BookFigure(figsize=(WIDTH, 1.5 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for ax, slot, values in zip(axes, space.slots, zip(*history)):
        values = np.asarray(values, dtype=float)  # (moment, choice)
        winner = int(values[-1].argmax())
        ax.plot(values, color="0.75", linewidth=0.8)
        ax.plot(values[:, 0], color=PALETTE[1], linestyle="--")
        ax.plot(values[:, winner], color=PALETTE[0], linewidth=2)
        title = f"{_slot_name(slot)}: {slot.choices[winner] or NOTHING}"
        ax.set_title(title, fontsize=FONT - 1, parse_math=False)
        ax.set_ylim(0, 1)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        open_frame(ax)
    for ax in axes[len(space.slots) :]:
        ax.set_axis_off()
    for ax in axes[: len(space.slots)][-columns:]:
        ax.tick_params(labelbottom=True)  # also without a plot below
    figure.supxlabel(xlabel, fontsize=FONT, parse_math=False)
    figure.supylabel(ylabel, fontsize=FONT, parse_math=False)
    return figure


def population(
    space: Space, candidates: Sequence[Candidate], values: Sequence[float], *, parents: int = 0
) -> BookFigure:
    """Plot candidates as rows of words, the best at the top; equal words have equal colors.

    Args:
        space: space of the candidates; a white cell leaves its slot unchanged.
        candidates: at least one candidate.
        values: one per candidate, printed beside it; lower is better.
        parents: number of the best candidates, which are separated by a line.

    Raises:
        ValueError: if a candidate does not fit the space, or the number of values differs.

    Examples:
        >>> space = dpodiff.nplib_space("a red ball", ["blurry", "ugly"], slots=1)
        >>> figure = dpodiff.plots.population(space, [(1,), (2,)], values=[0.5, 0.4])
        >>> [text.get_text() for text in figure.axes[0].texts]  # the best on top
        ['ugly', 'blurry']
    """
    check_kind("space", space, Space, "a Space")
    candidates = check_each("candidates", candidates, lambda _, one: space.check(one))
    values = check_each("values", values, check_finite)
    check_whole("parents", parents, 0)
    if not candidates:
        raise ValueError("candidates is empty: at least one is needed")
    if len(candidates) != len(values):
        raise ValueError(f"{len(candidates)} candidates, but {len(values)} values")
    ranked = sorted(zip(values, candidates))
    columns = len(space.slots)
    figure, ax = _table(len(ranked), columns)
    for y, (_, candidate) in enumerate(ranked):
        for x, (slot, choice) in enumerate(zip(space.slots, candidate)):
            _cell(ax, x, y, slot.choices[choice], _tint(choice), "black", columns)
    if parents:
        ax.axhline(min(parents, len(ranked)), color="black", linewidth=2)
    _name_rows(ax, [f"{value:.3f}" for value, _ in ranked])
    signed = len({slot.side for slot in space.slots}) > 1
    names = _numbered([_slot_name(slot, signed) for slot in space.slots])
    ax.set_xticks(
        np.arange(columns) + 0.5,
        [_fitted(name, columns) for name in names],
        fontsize=FONT - 1,
        parse_math=False,
    )
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    return figure


def triangle(
    clouds: Mapping[str, np.ndarray], corners: Sequence[str], center: np.ndarray | None = None
) -> BookFigure:
    """Plot weights over three choices as points in triangles, side by side.

    Args:
        clouds: points (n, 3), each nonnegative with sum 1, by the title of their triangle.
        corners: the three choices.
        center: a point (3,) marked by a cross in all triangles.

    Raises:
        ValueError: if an argument is invalid.

    Examples:
        >>> points = np.random.default_rng(0).dirichlet([1, 1, 1], size=50)
        >>> corners = "red", "green", "blue"
        >>> figure = dpodiff.plots.triangle({"even": points}, corners)
        >>> figure.axes[0].get_title()
        'even'
    """
    check_kind("clouds", clouds, Mapping, "a mapping from titles to points (n, 3)")
    check_texts("corners", corners)
    if not clouds or len(corners) != 3:
        raise ValueError(f"a triangle has points and 3 corners, not {shown(clouds)}, {corners!r}")
    for title, points in clouds.items():
        check_text("each title of clouds", title)
        _check_point(f"clouds[{title!r}]", points, 2)
    if center is not None:
        _check_point("center", center, 1)
    places = np.array([[0, 0], [1, 0], [0.5, math.sqrt(3) / 2]])
    side = WIDTH / max(len(clouds), 2)  # inches
    figure = BookFigure(figsize=(side * len(clouds), side + 0.4), layout="constrained")
    axes = figure.subplots(1, len(clouds), squeeze=False)[0]
    for ax, (title, points) in zip(axes, clouds.items()):
        ax.fill(*places.T, facecolor="0.96", edgecolor="0.5")
        ax.scatter(*(np.asarray(points) @ places).T, s=9, color=PALETTE[0], alpha=0.35, linewidth=0)
        if center is not None:
            ax.scatter(*(np.asarray(center) @ places), s=90, color=PALETTE[1], marker="x")
        for word, (x, y), side in zip(corners, places, ("top", "top", "bottom")):
            ax.text(
                x,
                y + (0.04 if y else -0.04),
                word or NOTHING,
                fontsize=FONT,
                ha="center",
                va=side,
                parse_math=False,
            )
        ax.set_title(title, fontsize=FONT, parse_math=False)
        ax.set(xlim=(-0.15, 1.15), ylim=(-0.15, 1.05), aspect="equal")
        no_frame(ax)
    return figure


def _check_point(name: str, points: np.ndarray, dimensions: int) -> None:
    found = numbers(name, points)
    if found.ndim != dimensions or found.shape[-1] != 3:
        raise ValueError(f"{name} must have 3 weights a point, not {found.shape}")


def _check_row(name: str, row: Sequence[float]) -> None:
    found = numbers(name, row)
    if found.ndim != 1 or not (np.isfinite(found) & (found >= 0)).all():
        raise ValueError(f"{name} must be a row of numbers from 0 on, not {shown(row)}")


def _check(space: Space, probabilities: Sequence[Sequence[float]]) -> None:
    check_kind("space", space, Space, "a Space")
    check_each("probabilities", probabilities, _check_row)
    if len(probabilities) != len(space.slots):
        raise ValueError(f"{len(space.slots)} slots need as many rows, not {len(probabilities)}")
    for slot, row in zip(space.slots, probabilities):
        if len(row) != len(slot.choices):
            raise ValueError(f"{slot} needs {len(slot.choices)} probabilities, not {len(row)}")


def _table(rows: int, columns: int) -> tuple[BookFigure, Axes]:
    figure = BookFigure(figsize=(WIDTH, ROW * rows + 0.4), layout="constrained")
    ax = figure.subplots()
    no_frame(ax)
    ax.set(xlim=(0, max(columns, 1)), ylim=(max(rows, 1), 0))  # the first row at the top
    return figure, ax


def _cell(ax: Axes, x: int, y: int, word: str, fill: object, ink: str, columns: int) -> None:
    ax.fill([x, x + 1, x + 1, x], [y, y, y + 1, y + 1], facecolor=fill, edgecolor="0.8")
    ax.text(
        x + 0.5,
        y + 0.45,
        _fitted(word or NOTHING, columns),
        fontsize=FONT - 1,
        linespacing=0.9,
        ha="center",
        va="center",
        color=ink,
        parse_math=False,
    )


def _name_rows(ax: Axes, names: Sequence[str]) -> None:
    ax.set_yticks(np.arange(len(names)) + 0.5, names, fontsize=FONT - 1, parse_math=False)
    ax.tick_params(length=0)


def _slot_name(slot: Slot, signed: bool = True) -> str:
    """Return the word of a slot with the sign of its side."""
    sign = f"{SIGNS.get(slot.side, '+').replace('-', '−')} "
    return (sign if signed else "") + (slot.text or "library")


def _numbered(names: Sequence[str]) -> list[str]:
    """Return the names, with numbers for those that occur several times."""
    often, seen, numbered = Counter(names), Counter(), []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name} {seen[name]}" if often[name] > 1 else name)
    return numbered


def _fitted(word: str, columns: int) -> str:
    """Return a word in at most two lines of the column's width; the rest is cut."""
    room = max(3, int(0.85 * WIDTH / columns * LETTERS))
    if len(word) <= room:
        return word
    space, half = word.rfind(" ", 0, room + 1), min(math.ceil(len(word) / 2), room - 1)
    first, rest = (
        (word[:space], word[space + 1 :]) if space > 0 else (word[:half] + "-", word[half:])
    )
    return first + "\n" + (rest if len(rest) <= room else rest[: room - 1] + "…")


def _tint(choice: int) -> tuple[float, float, float]:
    """Return white for a slot left unchanged, else a light color for each choice."""
    if choice == 0:
        return (1.0, 1.0, 1.0)
    # All palette colors except black, then paler versions.
    color = np.array(to_rgb(PALETTE[(choice - 1) % 6]))
    depth = 0.55 if choice <= 6 else 0.25
    red, green, blue = (1 - depth * (1 - color)).tolist()
    return red, green, blue
