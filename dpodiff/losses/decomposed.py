"""The statements of a prompt that an image misses, and a loss for all statements.

A prompt makes several statements: an object, its color, its position, the background. TIFA (Hu et
al., 2023, arXiv 2303.11897) asks a model about each statement. Here each statement is compared with
contrast prompts that differ only in this statement (see `dpodiff.spaces.statements`), so any CLIP
can be used. Let c_0 be the cosine of the image and the prompt, c_j the cosines with the contrast
prompts of a statement, and s the scale that CLIP was trained with:

    p(statement) = exp(s c_0) / (exp(s c_0) + sum_j exp(s c_j))
    loss = mean over statements of - log p
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from dpodiff.losses.base import by_prompt, check_pairs, no_contrast
from dpodiff.losses.clip import SphericalCLIP

if TYPE_CHECKING:
    import pandas as pd


class Decomposed:
    """Minus the mean log-probability of the prompt's statements; at least 0, less is better.

    Args:
        clip: CLIP for images and texts; any that `SphericalCLIP` takes.
        statements: function from a prompt to a mapping from its statements to the texts of their
            contrast prompts, as `dpodiff.contrasts_of` returns. It is called once per prompt.

    Attributes:
        differentiable: True.

    Examples:
        >>> from dpodiff.toy.words import toy_lexicon
        >>> from dpodiff.toy.render import render_batch
        >>> from dpodiff.toy.scenes import Scene, Thing
        >>> def statements(prompt):
        ...     return dpodiff.contrasts_of(prompt, toy_lexicon())
        >>> loss = dpodiff.losses.Decomposed(dpodiff.SphericalCLIP("toy", device="cpu"), statements)
        >>> scene = Scene((Thing("ball", "blue", "large"),), background="sky")
        >>> image = torch.from_numpy(render_batch([scene], np.random.default_rng(0)))
        >>> loss.table(image, "a red ball in the sky")[["statement", "holds"]]
            statement  holds
        0    red ball    0.0
        1        ball    1.0
        2  in the sky    1.0
    """

    differentiable = True

    def __init__(
        self, clip: SphericalCLIP, statements: Callable[[str], Mapping[str, Sequence[str]]]
    ) -> None:
        self.clip, self.statements = clip, statements
        self._known: dict[str, dict[str, tuple[str, ...]]] = {}

    def __repr__(self) -> str:
        return f"Decomposed({self.clip!r})"

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the loss of each image for its own prompt; differentiable in the images.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            prompts: one per image.

        Returns:
            losses (batch,), float32.

        Raises:
            ValueError: if the images have another layout or range, the numbers of images and
                prompts differ, or a prompt has no statement.
        """
        check_pairs(images, prompts)
        return by_prompt(self.clip.features(images), prompts, self._losses)

    def check(self, prompt: str) -> None:
        """Refuse a prompt that has no statement, before any image is made.

        Raises:
            ValueError: if it has none; the message says what would be right.
        """
        self._statements_of(prompt)

    @torch.no_grad()
    def probabilities(self, images: torch.Tensor, prompt: str) -> "pd.DataFrame":
        """Return the probability of each statement for each image.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            prompt: what all images should show.

        Returns:
            one row per statement, one column per image, with values from 0 to 1.
        """
        import pandas as pd

        check_pairs(images, [prompt] * len(images))
        scores = self._log_probabilities(self.clip.features(images), prompt).exp()
        index = pd.Index(self._statements_of(prompt), name="statement")
        return pd.DataFrame(scores.T.float().cpu().numpy(), index=index)

    @torch.no_grad()
    def holds(self, images: torch.Tensor, prompt: str) -> "pd.DataFrame":
        """Return whether each image fits the prompt better than each contrast of a statement.

        Unlike a threshold of the probability, this does not depend on the number of contrasts.

        Args:
            images, prompt: as in `probabilities`.

        Returns:
            one row per statement, one column per image, with booleans.
        """
        import pandas as pd

        check_pairs(images, [prompt] * len(images))
        own, groups = self._cosines(self.clip.features(images), prompt)
        rows = [(own > others.amax(dim=1)).cpu().numpy() for others in groups]
        return pd.DataFrame(rows, index=pd.Index(self._statements_of(prompt), name="statement"))

    @torch.no_grad()
    def table(self, images: torch.Tensor, prompt: str) -> "pd.DataFrame":
        """Return a table of the statements that the images show or miss.

        Args:
            images, prompt: as in `probabilities`.

        Returns:
            one row per statement, in the order of the prompt: "statement"; "score", its mean
            probability; "holds", the share of images that fit the prompt better than each of its
            contrasts; "instead", the contrast that the images fit best.
        """
        import pandas as pd

        holds = self.holds(images, prompt)
        _, groups = self._cosines(self.clip.features(images), prompt)
        others = zip(self._statements_of(prompt).values(), groups, strict=True)
        return pd.DataFrame(
            {
                "statement": list(holds.index),
                "score": self.probabilities(images, prompt).mean(axis=1).to_numpy(),
                "holds": holds.mean(axis=1).to_numpy(),
                "instead": [texts[int(near.mean(dim=0).argmax())] for texts, near in others],
            }
        )

    def _losses(self, features: torch.Tensor, prompt: str) -> torch.Tensor:
        return -self._log_probabilities(features, prompt).mean(dim=1)

    def _log_probabilities(self, features: torch.Tensor, prompt: str) -> torch.Tensor:
        """Return the log-probabilities (batch, statements)."""
        own, groups = self._cosines(features, prompt)
        scale = self.clip.clip.logit_scale.exp()
        rows = [
            (scale * torch.cat([own[:, None], others], dim=1)).log_softmax(dim=1)[:, 0]
            for others in groups
        ]
        return torch.stack(rows, dim=1)

    def _cosines(
        self, features: torch.Tensor, prompt: str
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Return cosines (batch,) with the prompt, and (batch, contrasts) of each statement."""
        groups = list(self._statements_of(prompt).values())
        texts = [prompt, *(text for group in groups for text in group)]
        cosines = features @ self.clip.text_features(texts).T
        return cosines[:, 0], cosines[:, 1:].split([len(group) for group in groups], dim=1)

    def _statements_of(self, prompt: str) -> dict[str, tuple[str, ...]]:
        if prompt not in self._known:
            found = {text: tuple(others) for text, others in self.statements(prompt).items()}
            found = {text: others for text, others in found.items() if others}
            if not found:
                raise no_contrast(prompt)
            self._known[prompt] = found
        return self._known[prompt]
