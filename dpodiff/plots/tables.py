"""Tables that show prompts."""

from html import escape
from typing import TYPE_CHECKING, Any

from dpodiff.checks import check_kind, check_text, check_whole

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

# The style that pandas' own tables have in the book; MathJax leaves a "$" alone in the others.
CLASSES = "dataframe tex2jax_ignore mathjax_ignore"


def table(
    frame: "pd.DataFrame", *, caption: str = "", index: bool = True, precision: int = 3
) -> "Styler":
    """A table for a page: long texts are wrapped, and prompts are shown as they are written.

    Markup in a text is no markup, and a "$" no formula.

    Args:
        frame: to be shown.
        caption: above the table.
        index: whether to show the names of the rows.
        precision: digits of numbers after the point.

    Raises:
        ValueError: if an argument is none of these.

    Examples:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"prompt": ["a <b>red</b> ball"], "loss": [0.12345]})
        >>> shown = dpodiff.plots.table(frame).to_html()
        >>> "a &lt;b&gt;red&lt;/b&gt; ball" in shown, "0.123" in shown
        (True, True)
    """
    import pandas as pd

    check_kind("frame", frame, pd.DataFrame, "a pandas.DataFrame")
    check_text("caption", caption)
    check_whole("precision", precision, 0, 15)
    style: Any = frame.style.format(precision=precision, escape="html")
    for axis in ("index", "columns"):
        style = style.format_index(escape="html", axis=axis)
    style = style.set_properties(**{"white-space": "normal"})
    style = style.set_table_attributes(f'class="{CLASSES}"')
    if caption:
        style = style.set_caption(escape(caption))
    return style if index else style.hide(axis="index")
