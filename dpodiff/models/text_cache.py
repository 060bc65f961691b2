"""Encodings of texts, each made once.

A search asks for the same few prompts again and again: the user's own for the loss, the one
negative prompt of a whole population, words that many candidates share. Text encoders see each
distinct text once; batches are gathered from what is known.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch


class TextCache:
    """Remembers the rows an encoder makes of texts, the least recently used forgotten first.

    Args:
        encode: from n distinct texts to a tensor (n, ...), one row a text.
        capacity: bytes kept between calls. A row is 0.1 MB in Stable Diffusion 1, 4 MB in Flux.
    """

    def __init__(self, encode: Callable[[list[str]], torch.Tensor], capacity: int = 2**28) -> None:
        self._encode = encode
        self._capacity = capacity
        self._rows: OrderedDict[str, torch.Tensor] = OrderedDict()

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """The rows (len(texts), ...) of the texts, in their order, without a graph."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._rows]
        if missing:
            # Under inference mode, rows could not take part in a gradient later.
            with torch.inference_mode(False), torch.no_grad():
                # Clones, since a view would keep its whole batch alive.
                rows = [row.clone() for row in self._encode(missing)]
            self._rows.update(zip(missing, rows, strict=True))
        for text in texts:
            self._rows.move_to_end(text)
        batch = torch.stack([self._rows[text] for text in texts])
        while sum(row.nbytes for row in self._rows.values()) > self._capacity:
            self._rows.popitem(last=False)
        return batch
