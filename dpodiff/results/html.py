"""Results as HTML without a network: texts are escaped, and images are embedded."""

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from dpodiff.objective.evaluation import mean
from dpodiff.results.record import loss_text

if TYPE_CHECKING:
    import torch

    from dpodiff.results.record import Record
    from dpodiff.spaces.prompts import Prompts

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem }
.pairs { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)) }
.pair { margin: 0 } .pair input { width: 100% }
.both { aspect-ratio: 1; position: relative }
.both img { height: 100%; image-rendering: auto; inset: 0; position: absolute; width: 100% }
.both .after { clip-path: inset(0 0 0 var(--at, 50%)) }
.both::after { background: #fff; content: ""; inset: 0 auto 0 var(--at, 50%); position: absolute }
.both::after { width: 2px }
th { padding-right: 1rem; text-align: left; vertical-align: top }
"""
MOST_ROWS = 10  # rows of a trace
MOVE = "this.parentElement.style.setProperty('--at', this.value + '%')"


class Shown(Protocol):
    """The attributes of `Result` and `SavedResult` that are shown."""

    @property
    def verdict(self) -> str: ...
    @property
    def user_prompts(self) -> "Prompts": ...
    @property
    def prompts(self) -> "Prompts": ...
    @property
    def losses(self) -> tuple[float, ...]: ...
    @property
    def baseline_losses(self) -> tuple[float, ...]: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...
    @property
    def ended_by(self) -> str: ...


def pixels(image: "torch.Tensor") -> Image.Image:
    """Return an image (3, height, width) in [0, 1] with 8 bits per channel."""
    return Image.fromarray((255 * image.permute(1, 2, 0)).round().byte().numpy())


def data_uri(png: bytes) -> str:
    """Return a PNG as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> str:
    """Return a table with escaped cells; the first cell of each row is its header."""
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{_escaped(cell)}</th>" for cell in head) + "</tr>")
    for first, *cells in rows:
        rest = "".join(f"<td>{_escaped(cell)}</td>" for cell in cells)
        lines.append(f"<tr><th>{_escaped(first)}</th>{rest}</tr>")
    return "\n".join([*lines, "</table>"])


def summary(result: Shown) -> str:
    """Return the verdict, prompts and losses as a table."""
    rows = [
        ("verdict", result.verdict),
        ("your prompt", result.user_prompts.positive),
        ("prompt", result.prompts.positive),
        ("negative prompt", result.prompts.negative),
        ("mean loss", loss_text(result.baseline_losses, result.losses)),
        ("ended by", result.ended_by),
    ]
    return table(rows)


def best_records(records: "Sequence[Record]", title: str) -> str:
    """Return a titled table of the best candidates of a search, the best first."""
    judged = [record for record in records if math.isfinite(record.value)]
    best = sorted(judged, key=lambda record: record.value)[:MOST_ROWS]
    rows = [
        (record.index, f"{mean(record.losses):.4f}", record.positive, record.negative)
        for record in best
    ]
    head = ("candidate", "mean loss", "prompt", "negative prompt")
    text = f"<p>{_escaped(title)}</p>"
    return f"{text}{table(rows, head)}" if rows else text


def page(result: Shown, before: "torch.Tensor", after: "torch.Tensor", found: "Prompts") -> str:
    """Return a page with overlaid images before and after, and a slider below each pair.

    Args:
        result: result of a search.
        before: images (seeds, 3, height, width) in [0, 1] of the user's own prompt.
        after: images of the best candidate of the search, whether or not it was verified.
        found: prompts of that candidate.
    """
    title = html.escape(result.user_prompts.positive)
    pairs = [
        _pair(own, new, seed, result.user_prompts, found)
        for own, new, seed in zip(before, after, result.seeds, strict=True)
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n<h1>{title}</h1>\n{summary(result)}\n"
        f"<p>Left of the line: your prompt. Right of it: the best candidate of the search.</p>\n"
        f'<div class="pairs">\n{"".join(pairs)}</div>\n</html>\n'
    )


def _pair(
    before: "torch.Tensor", after: "torch.Tensor", seed: int, own: "Prompts", found: "Prompts"
) -> str:
    images = "".join(
        f'<img class="{kind}" alt="{_escaped(prompts.positive)}" src="{data_uri(_png(image))}">'
        for kind, image, prompts in (("before", before, own), ("after", after, found))
    )
    return (
        f'<figure class="pair"><div class="both">{images}</div>'
        f'<input type="range" value="50" aria-label="before and after, seed {seed}" '
        f'oninput="{MOVE}"><figcaption>seed {seed}</figcaption></figure>\n'
    )


def _png(image: "torch.Tensor") -> bytes:
    buffer = io.BytesIO()
    pixels(image).save(buffer, format="png")
    return buffer.getvalue()


def _escaped(value: object) -> str:
    return html.escape(str(value))
