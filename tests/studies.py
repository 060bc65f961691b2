"""Small studies of flat images: the baseline is dark, and each method has its own lightness."""

import numpy as np

import dpodiff

LIGHT = {"before": 0.2, "search": 0.6, "rewriter": 0.8}


def flat(light: float, prompts: int = 8, seeds: int = 3) -> dict[str, np.ndarray]:
    """Images (seeds, 3, 4, 4) by prompt, all of them different by a little."""
    images = np.full((prompts, seeds, 3, 4, 4), light)
    images += np.linspace(0, 0.1, prompts * seeds).reshape(prompts, seeds, 1, 1, 1)
    return {f"prompt {k}": images[k] for k in range(prompts)}


def small(*methods: str, prompts: int = 8, **settings) -> dpodiff.Study:
    """A study of these methods against the baseline, or of "search" alone."""
    names = ["before", *(methods or ["search"])]
    return dpodiff.study({name: flat(LIGHT[name], prompts) for name in names}, **settings)


def lighter(left, right, prompt):
    """A rater of perfect sight, who finds noise worse than any flat image."""
    if left.equal(right):
        return "tie"
    if (left.std() > 0.1) != (right.std() > 0.1):
        return "left" if left.std() < right.std() else "right"
    return "left" if left.mean() > right.mean() else "right"
