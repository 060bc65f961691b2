"""Progress bars of other libraries, shown only where they help."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def hidden_bars(hide: bool = True) -> Iterator[None]:
    """Hides the bars of transformers: in a notebook they are widgets a static page cannot show.

    Args:
        hide: whether to. A download should show its progress; opening local files need not.
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
