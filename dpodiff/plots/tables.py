"""Tables with prompts."""

from html import escape
from typing import TYPE_CHECKING, Any

from dpodiff.checks import check_kind, check_text, check_whole

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler

# "dataframe" is the style of pandas in the book; MathJax ignores "$" in the other classes.
CLASSES = "dataframe tex2jax_ignore mathjax_ignore"


def table(
    frame: "pd.DataFrame", *, caption: str = "", index: bool = True, precision: int = 3
) -> "Styler":
    """Return a table for a page, with long texts wrapped and prompts shown as written.

    Markup and "$" in a text have no effect.

    Args:
        frame: table to show.
        caption: text above the table.
        index: whether to show the names of the rows.
        precision: digits after the decimal point.

    Raises:
        ValueError: if an argument is invalid.

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
