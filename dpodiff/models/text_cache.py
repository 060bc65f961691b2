"""Encodings of texts, each computed once.

A search encodes the same few texts many times: the user's prompt for the loss, the negative prompt
of a whole population, words that candidates share. The text encoder sees each distinct text once;
batches are assembled from the cache.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch


class TextCache:
    """A least-recently-used cache of text encodings.

    Args:
        encode: function from n distinct texts to a tensor (n, ...), one row per text.
        capacity: bytes kept between calls. A row has 0.1 MB in Stable Diffusion 1, 4 MB in Flux.
    """

    def __init__(self, encode: Callable[[list[str]], torch.Tensor], capacity: int = 2**28) -> None:
        self._encode = encode
        self._capacity = capacity
        self._rows: OrderedDict[str, torch.Tensor] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the rows (len(texts), ...) of texts, in their order, without a graph."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if missing:
            # Rows made in inference mode could not be used in a graph later.
            with torch.inference_mode(False), torch.no_grad():
                # Clones, since a view would keep its whole batch in memory.
                rows = [row.clone() for row in self._encode(missing)]
            self._rows.update(zip(missing, rows, strict=True))
        for text in texts:
            self._rows.move_to_end(text)
        batch = torch.stack([self._rows[text] for text in texts])
        while sum(row.nbytes for row in self._rows.values()) > self._capacity:
            self._rows.popitem(last=False)
        return batch
