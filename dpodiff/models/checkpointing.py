"""Gradient checkpointing: a graph that is recomputed in the backward pass (Chen et al., 2016)."""

from collections.abc import Callable
from typing import Any

from torch.utils.checkpoint import checkpoint


def again(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a deterministic function whose graph is recomputed in the backward pass."""
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)
