"""The figures of the book: prompts before and after, convergence, contact sheets, intervals.

Each function returns a matplotlib figure that shows itself in a notebook. None touches pyplot or
any other global state. Prompts are printed as they are: a "$" in one is no formula.
"""

import base64
import html
import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dpodiff.trace import Result, Trace

if TYPE_CHECKING:
    import pandas as pd
    import torch

    Images = torch.Tensor | np.ndarray

# Okabe and Ito (2008): told apart with every common colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")  # a second way to tell curves apart, in print
CELL = 1.5  # inches an image
FONT = 10  # points
LINE = 0.2  # inches a line of text
LETTERS = 13  # an inch of text


class _Figure(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=120)
        return buffer.getvalue()


def strip(
    before: "Images | Result",
    after: "Images | None" = None,
    *,
    losses: tuple[Sequence[float], Sequence[float]] | None = None,
    texts: tuple[str, str] = ("before", "after"),
) -> Figure:
    """Two rows of images, before and after, one column a seed.

    Args:
        before: images (seeds, 3, height, width) in [0, 1], or a `Result`, which brings the rest.
        after: images of the same shape.
        losses: before and after, one a seed, printed under each image.
        texts: printed above each row; prompts, for example.

    Raises:
        ValueError: if the images are not of that shape, or the rows not of one length.
    """
    if isinstance(before, Result):
        return _strip_of(before)
    if len(before) != len(after):
        raise ValueError(f"{len(before)} images before, but {len(after)} after")
    width = CELL * max(len(before), 3)
    texts = [textwrap.fill(text, int(width * LETTERS)) for text in texts]
    heights = [CELL + LINE * (text.count("\n") + 2.5) for text in texts]
    figure = _Figure(figsize=(width, sum(heights)), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=heights)
    for part, images, row, text in zip(
        parts, (before, after), losses or (None, None), texts, strict=True
    ):
        part.suptitle(text, fontsize=FONT, x=0.01, ha="left", parse_math=False)
        axes = part.subplots(1, len(images), squeeze=False)[0]
        labels = [""] * len(images) if row is None else [f"loss {loss:.3f}" for loss in row]
        for ax, image, label in zip(axes, _pixels(images), labels, strict=True):
            _show(ax, image)
            ax.set_xlabel(label, fontsize=FONT)
    return figure


def contact_sheet(
    images: "Images", titles: Sequence[str] | None = None, columns: int = 8
) -> Figure:
    """Images in reading order, each under its title.

    Args:
        images: (n, 3, height, width) in [0, 1].
        titles: one an image.
        columns: images a row.

    Raises:
        ValueError: if the images are not of that shape, or the titles not as many.
    """
    pixels = _pixels(images)
    titles = [""] * len(pixels) if titles is None else list(titles)
    if len(titles) != len(pixels):
        raise ValueError(f"{len(pixels)} images, but {len(titles)} titles")
    titles = [textwrap.fill(title, int(CELL * LETTERS)) for title in titles]
    rows = math.ceil(len(pixels) / columns)
    lines = max(title.count("\n") + bool(title) for title in titles)
    size = (CELL * columns, (CELL + LINE * lines) * rows)
    figure = _Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, image, title in zip(axes, pixels, titles, strict=False):
        _show(ax, image)
        ax.set_title(title, fontsize=FONT, parse_math=False)
    for ax in axes[len(pixels) :]:
        ax.set_axis_off()
    return figure


def convergence(traces: Mapping[str, Sequence[Trace]], *, ylabel: str = "best loss") -> Figure:
    """Best value so far against evaluations: the median over runs, and the middle half of them.

    A run that ended early keeps its last value.

    Args:
        traces: the runs of each method, by the name that the legend shows.
        ylabel: what the value is; for attacks it is the negative of the loss.
    """
    figure = _Figure(figsize=(6, 3.8), layout="constrained")
    ax = figure.subplots()
    longest = max(int(t.records[-1].spent) for runs in traces.values() for t in runs)
    evaluations = np.arange(1, longest + 1)
    for index, (name, runs) in enumerate(traces.items()):
        best = np.stack([_best_so_far(trace, evaluations) for trace in runs])
        low, median, high = np.nanquantile(best, [0.25, 0.5, 0.75], axis=0)
        colour = PALETTE[index % len(PALETTE)]
        style = {"color": colour, "linestyle": LINES[index % len(LINES)]}
        ax.step(evaluations, median, where="post", label=f"{name} ({len(runs)})", **style)
        ax.fill_between(evaluations, low, high, color=colour, alpha=0.2, step="post", linewidth=0)
    ax.set_xlabel("cost in evaluations", fontsize=FONT)
    ax.set_ylabel(ylabel, fontsize=FONT)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(title="method (runs)", fontsize=FONT - 1, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


def intervals(frame: "pd.DataFrame", *, xlabel: str = "mean difference, after - before") -> Figure:
    """Mean differences with their confidence intervals, one a line, and where nothing changes.

    Args:
        frame: one row an interval, named by its index, with columns "mean", "low" and "high", as
            `paired_bootstrap` gives them.
        xlabel: what the differences are of.
    """
    figure = _Figure(figsize=(6, 1 + 0.4 * len(frame)), layout="constrained")
    ax = figure.subplots()
    rows = np.arange(len(frame))
    errors = np.stack([frame["mean"] - frame["low"], frame["high"] - frame["mean"]])
    ax.axvline(0, color="0.5", linewidth=1, linestyle="--")
    ax.errorbar(frame["mean"], rows, xerr=errors, fmt="o", color=PALETTE[0], capsize=4)
    ax.set_yticks(rows, [str(name) for name in frame.index], fontsize=FONT, parse_math=False)
    ax.set_ylim(len(frame) - 0.5, -0.5)  # the first row on top
    ax.set_xlabel(xlabel, fontsize=FONT)
    ax.spines[["top", "right"]].set_visible(False)
    return figure


class Slider:
    """Frames with a slider under them; plain HTML, so it works on a page without a kernel."""

    def __init__(self, pngs: Sequence[bytes], labels: Sequence[str]) -> None:
        self._pngs, self._labels = pngs, labels

    def _repr_html_(self) -> str:
        frames = "".join(
            f'<figure style="margin:0;display:{"none" if i else "block"}">'
            f'<img style="max-width:100%" alt="{html.escape(label)}" '
            f'src="data:image/png;base64,{base64.b64encode(png).decode()}">'
            f"<figcaption>{html.escape(label)}</figcaption></figure>"
            for i, (png, label) in enumerate(zip(self._pngs, self._labels, strict=True))
        )
        show = (
            "[...this.previousElementSibling.children].forEach("
            "(f, i) => f.style.display = i == this.value ? 'block' : 'none')"
        )
        return (
            f'<div><div>{frames}</div><input type="range" min="0" max="{len(self._pngs) - 1}" '
            f'value="0" aria-label="frame" style="width:100%" oninput="{show}"></div>'
        )


def slider(frames: Sequence["Images"], labels: Sequence[str], columns: int = 8) -> Slider:
    """An animation that the reader moves: one row of images a frame.

    Args:
        frames: of each frame, images (n, 3, height, width) in [0, 1].
        labels: one a frame, shown under it.
        columns: images a row.

    Raises:
        ValueError: if the labels are not as many as the frames.
    """
    if len(frames) != len(labels):
        raise ValueError(f"{len(frames)} frames, but {len(labels)} labels")
    pngs = [contact_sheet(images, columns=columns)._repr_png_() for images in frames]
    return Slider(pngs, labels)


def _strip_of(result: Result) -> Figure:
    space = result.objective.space
    return strip(
        result.before,
        result.images,
        losses=(result.baseline_losses, result.losses),
        texts=(
            _described("before", space.prompt, space.negative_prompt),
            _described("after", *result.prompts),
        ),
    )


def _described(when: str, positive: str, negative: str) -> str:
    return f"{when}: {positive}" + (f" | negative: {negative}" if negative else "")


def _best_so_far(trace: Trace, evaluations: np.ndarray) -> np.ndarray:
    """The best value known after each number of evaluations; NaN where it was not finite yet."""
    paid = [record.spent for record in trace.records]
    best = np.array([record.best for record in trace.records])
    last = np.searchsorted(paid, evaluations, side="right") - 1  # the last record paid by then
    return np.where((last >= 0) & np.isfinite(best[last]), best[last], np.nan)


def _pixels(images: "Images") -> np.ndarray:
    """Images (n, 3, height, width) as matplotlib wants them: (n, height, width, 3)."""
    pixels = np.asarray(images, dtype=float)
    if pixels.ndim != 4 or pixels.shape[1] != 3 or not len(pixels):
        raise ValueError(f"images must be (n, 3, height, width), n >= 1, not {pixels.shape}")
    return pixels.transpose(0, 2, 3, 1).clip(0, 1)


def _show(ax: Axes, image: np.ndarray) -> None:
    ax.imshow(image, interpolation="nearest")  # small images: crisp pixels, no smoothing
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
