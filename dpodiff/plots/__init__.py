"""The figures of the book: images, curves, intervals, and the words of a search.

Each function returns a matplotlib figure that a notebook displays, or a `Slider` of several. No
function uses pyplot or other global state. Prompts are printed as they are: a "$" does not start a
formula.

It imports from `results` and the folders before it.
"""

try:
    import matplotlib  # noqa: F401  (an extra; checked here once for all figures)
except ModuleNotFoundError as error:
    raise ImportError("figures need matplotlib: pip install 'dpodiff[plots]'") from error

from dpodiff.plots.base import LINES, PALETTE
from dpodiff.plots.curves import convergence, intervals, lines, scatter
from dpodiff.plots.faithfulness import statements
from dpodiff.plots.heat import heatmaps
from dpodiff.plots.images import Slider, contact_sheet, slider, strip
from dpodiff.plots.plane import contours
from dpodiff.plots.tables import table
from dpodiff.plots.words import distribution, learned, population, triangle

__all__ = [
    "LINES",
    "PALETTE",
    "Slider",
    "contact_sheet",
    "contours",
    "convergence",
    "distribution",
    "heatmaps",
    "intervals",
    "learned",
    "lines",
    "population",
    "scatter",
    "slider",
    "statements",
    "strip",
    "table",
    "triangle",
]
