"""Progress bars of other libraries, shown only where they help."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def hidden_bars(hide: bool = True) -> Iterator[None]:
    """Hide the bars of transformers: in a notebook they are widgets that a static page cannot show.

    Args:
        hide: whether to hide them. A download should show its progress.
    """
    from transformers.utils import logging

    shown = hide and logging.is_progress_bar_enabled()
    if shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
