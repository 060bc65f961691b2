"""Images in rows, on contact sheets, and in sliders."""

import base64
import html
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from dpodiff.checks import check_each, check_texts, check_whole, shown
from dpodiff.plots.base import FONT, BookFigure, no_frame, numbers
from dpodiff.results.result import Result
from dpodiff.spaces.prompts import Prompts, settings_lines

if TYPE_CHECKING:
    import torch

    Images = torch.Tensor | np.ndarray

MOST_COLUMNS = 100
CELL = 1.5  # inches per image
LINE = 0.2  # inches per line of text
LETTERS = 12  # characters per inch
WIDE = 8  # inches; wider figures are shrunk on a page, so their text must be larger


def strip(
    before: "Images | Result",
    after: "Images | None" = None,
    *,
    losses: tuple[Sequence[float], Sequence[float]] | None = None,
    texts: tuple[str, str] = ("before", "after"),
) -> BookFigure:
    """Plot two rows of images, before and after, with one column per seed.

    Args:
        before: images (seeds, 3, height, width) in [0, 1], or a `Result`, which has all the rest.
        after: images of the same shape.
        losses: losses before and after, one per seed, printed below the images.
        texts: texts above the rows, such as prompts.

    Raises:
        ValueError: if the images have another shape, or the rows differ in length.

    Examples:
        >>> before, after = torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)
        >>> texts = "a dark wall", "a white wall"
        >>> figure = dpodiff.plots.strip(before, after, texts=texts)
        >>> figure.savefig("strip.png")
        >>> len(figure.axes)
        4
    """
    if isinstance(before, Result):
        return _strip_of(before)
    shots = [_pixels(before), _pixels(after)]
    if len(shots[0]) != len(shots[1]):
        raise ValueError(f"{len(shots[0])} images before, but {len(shots[1])} after")
    check_texts("texts", texts)
    if len(texts) != 2:
        raise ValueError(f"texts must be two, not {shown(texts)}")
    width = CELL * max(len(shots[0]), 3)
    scale = _text_scale(width)
    titles = [textwrap.fill(text, int(width * LETTERS / scale)) for text in texts]
    heights = [CELL + scale * LINE * (title.count("\n") + 2.5) for title in titles]
    figure = BookFigure(figsize=(width, sum(heights)), layout="constrained")
    parts = figure.subfigures(2, 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, images, row, text in zip(parts, shots, losses or (None, None), titles, strict=True):
        part.suptitle(text, fontsize=scale * FONT, x=0.01, ha="left", parse_math=False)
        axes = part.subplots(1, len(images), squeeze=False)[0]
        labels = [""] * len(images) if row is None else [f"loss {loss:.3f}" for loss in row]
        for ax, image, label in zip(axes, images, labels, strict=True):
            _show(ax, image)
            ax.set_xlabel(label, fontsize=scale * FONT)
    return figure


def contact_sheet(
    images: "Images", titles: Sequence[str] | None = None, columns: int = 8
) -> BookFigure:
    """Plot images in reading order, each under its title.

    Args:
        images: (n, 3, height, width) in [0, 1].
        titles: one per image.
        columns: number of images per row.

    Raises:
        ValueError: if the images have another shape, or the number of titles differs.

    Examples:
        >>> images = torch.ones(3, 3, 8, 8)
        >>> figure = dpodiff.plots.contact_sheet(images, ["a", "b", "c"], columns=3)
        >>> [axes.get_title() for axes in figure.axes]
        ['a', 'b', 'c']
    """
    pixels = _pixels(images)
    check_whole("columns", columns, 1, MOST_COLUMNS)
    if titles is not None:
        check_texts("titles", titles)
    titles = [""] * len(pixels) if titles is None else list(titles)
    if len(titles) != len(pixels):
        raise ValueError(f"{len(pixels)} images, but {len(titles)} titles")
    scale = _text_scale(CELL * columns)
    titles = [textwrap.fill(title, int(CELL * LETTERS / scale)) for title in titles]
    rows = math.ceil(len(pixels) / columns)
    heights = [title.count("\n") + bool(title) for title in titles]  # in lines
    lines = sum(max(heights[i : i + columns]) for i in range(0, len(heights), columns))
    size = (CELL * columns, CELL * rows + scale * LINE * lines)
    figure = BookFigure(figsize=size, layout="compressed")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax, image, title in zip(axes, pixels, titles, strict=False):
        _show(ax, image)
        ax.set_title(title, fontsize=scale * FONT, parse_math=False)
    for ax in axes[len(pixels) :]:
        ax.set_axis_off()
    return figure


class Slider:
    """Frames with a slider below; plain HTML, which works without a kernel.

    Examples:
        >>> slider = dpodiff.plots.slider([torch.zeros(1, 3, 8, 8)], ["step 0"])
        >>> "step 0" in slider._repr_html_()  # what a notebook shows
        True
    """

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


def slider(
    frames: Sequence["Images | BookFigure"], labels: Sequence[str], columns: int = 8
) -> Slider:
    """Return an animation with a slider: one row of images, or one figure, per frame.

    Args:
        frames: images (n, 3, height, width) in [0, 1], or a figure of this package, for each frame.
        labels: one per frame, shown below it.
        columns: number of images per row.

    Raises:
        ValueError: if the number of labels differs from that of the frames.

    Examples:
        >>> frames = [torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8)]
        >>> slider = dpodiff.plots.slider(frames, ["step 0", "step 1"])
        >>> slider._repr_html_().count("<figure ")
        2
    """
    frames = check_each("frames", frames, lambda _, frame: _check_frame(frame))
    check_texts("labels", labels)
    check_whole("columns", columns, 1, MOST_COLUMNS)
    if not frames:
        raise ValueError("frames is empty: a slider needs at least one")
    if len(frames) != len(labels):
        raise ValueError(f"{len(frames)} frames, but {len(labels)} labels")
    figures = (
        f if isinstance(f, BookFigure) else contact_sheet(f, columns=columns) for f in frames
    )
    return Slider([figure._repr_png_() for figure in figures], labels)


def _strip_of(result: Result) -> BookFigure:
    space = result.objective.space
    return strip(
        result.before,
        result.images,
        losses=(result.baseline_losses, result.losses),
        texts=(
            _described("before", Prompts(space.prompt, space.negative_prompt)),
            _described("after", result.prompts),
        ),
    )


def _described(when: str, prompts: Prompts) -> str:
    text = f"{when}: {prompts.positive}"
    if prompts.negative:
        text += f" | negative: {prompts.negative}"
    return " | ".join([text, *map(": ".join, settings_lines(prompts))])


def _text_scale(width: float) -> float:
    """Return the factor that keeps the text of a figure of this width readable on a page."""
    return max(1.0, width / WIDE)


def _pixels(images: "Images | None") -> np.ndarray:
    """Return images (n, 3, height, width) in matplotlib's layout (n, height, width, 3)."""
    pixels = numbers("images", images, "a tensor or an array (n, 3, height, width)")
    if pixels.ndim != 4 or pixels.shape[1] != 3 or not len(pixels):
        raise ValueError(f"images must be (n, 3, height, width), n >= 1, not {pixels.shape}")
    return pixels.transpose(0, 2, 3, 1).clip(0, 1)


def _check_frame(frame: "Images | BookFigure") -> None:
    if not isinstance(frame, BookFigure):
        _pixels(frame)


def _show(ax: Axes, image: np.ndarray) -> None:
    ax.imshow(image, interpolation="nearest")  # small images stay sharp
    no_frame(ax)
