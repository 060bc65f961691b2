"""The fit of an image to its prompt, relative to prompts that differ in one statement.

The spherical loss of CLIP measures the fit to one prompt, and a search can lower it without a
better image. `Contrastive` compares this fit with the fit to contrast prompts (see
`dpodiff.spaces.contrasts`), in one of two forms. Let c_0 be the cosine of the image and the prompt,
c_j the cosines with the contrast prompts, and s the scale that CLIP was trained with:

    "softmax"    - log( exp(s c_0) / sum_{j >= 0} exp(s c_j) )      TextNorm (arXiv 2404.01863)
    "margin"     max_{j >= 1} c_j - c_0                             the worst contrast only
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, get_args

import torch

from dpodiff.checks import check_callable, check_kind
from dpodiff.losses.base import by_prompt, check_pairs, no_contrast
from dpodiff.losses.clip import SphericalCLIP

if TYPE_CHECKING:
    import pandas as pd

Form = Literal["softmax", "margin"]


class Contrastive:
    """The fit of an image to its prompt, relative to contrast prompts; less is better.

    Args:
        clip: CLIP for images and texts; any that `SphericalCLIP` takes.
        contrasts: function from a prompt to the texts of its contrast prompts, as below. It is
            called once per prompt.
        form: "softmax" (range from 0) or "margin" (range -2 to 2).

    Attributes:
        differentiable: True.

    Raises:
        ValueError: if the form is unknown.

    Examples:
        >>> from dpodiff.toy import words
        >>> lexicon = words.toy_lexicon()
        >>> clip = dpodiff.SphericalCLIP("toy", device="cpu")
        >>> def others(prompt):
        ...     return [c.prompt for c in dpodiff.contrast_prompts(prompt, lexicon)]
        >>> loss = dpodiff.losses.Contrastive(clip, others)
        >>> from dpodiff.toy.render import render_batch
        >>> from dpodiff.toy.scenes import Scene, Thing
        >>> scene = Scene((Thing("ball", "blue", "large"),), background="sky")
        >>> image = torch.from_numpy(render_batch([scene], np.random.default_rng(0)))
        >>> loss.margins(image, "a red ball in the sky")["contrast"][0]  # drawn instead
        'a blue ball in the sky'
    """

    differentiable = True

    def __init__(
        self,
        clip: SphericalCLIP,
        contrasts: Callable[[str], Sequence[str]],
        form: Form = "softmax",
    ) -> None:
        check_kind("clip", clip, SphericalCLIP, "a SphericalCLIP")
        check_callable("contrasts", contrasts, "a callable from a prompt to contrast prompts")
        if not isinstance(form, str) or form not in get_args(Form):
            raise ValueError(f"form must be one of {', '.join(get_args(Form))}, not {form!r}")
        self.clip, self.contrasts, self.form = clip, contrasts, form
        self._contrasts: dict[str, tuple[str, ...]] = {}

    def __repr__(self) -> str:
        return f"Contrastive({self.clip!r}, form={self.form!r})"

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the loss of each image for its own prompt; differentiable in the images.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            prompts: one per image.

        Returns:
            losses (batch,), float32.

        Raises:
            ValueError: if the images have another layout or range, the numbers of images and
                prompts differ, or a prompt has no contrast prompt.
        """
        check_pairs(images, prompts)
        return by_prompt(self.clip.features(images), prompts, self._losses)

    def check(self, prompt: str) -> None:
        """Refuse a prompt that has no contrast prompt, before any image is made.

        Raises:
            ValueError: if it has none; the message says what would be right.
        """
        self._contrasts_of(prompt)

    @torch.no_grad()
    def margins(self, images: torch.Tensor, prompt: str) -> "pd.DataFrame":
        """Return a table of the contrast prompts: which statement of the prompt the images miss.

        Args:
            images: (batch, 3, height, width) in [0, 1].
            prompt: what all images should show.

        Returns:
            one row per contrast prompt, the worst first: "contrast"; "margin", the mean cosine of
            the images with the prompt minus that with the contrast; "better", the share of images
            that fit the prompt better.
        """
        import pandas as pd

        check_pairs(images, [prompt] * len(images))
        cosines = self._cosines(self.clip.features(images), prompt)  # (batch, 1 + contrasts)
        margins = (cosines[:, :1] - cosines[:, 1:]).float().cpu()
        table = pd.DataFrame(
            {
                "contrast": self._contrasts_of(prompt),
                "margin": margins.mean(dim=0).numpy(),
                "better": (margins > 0).float().mean(dim=0).numpy(),
            }
        )
        return table.sort_values("margin", ignore_index=True)

    def _cosines(self, features: torch.Tensor, prompt: str) -> torch.Tensor:
        """Return cosines (batch, 1 + contrasts) of features with the prompt and its contrasts."""
        return features @ self.clip.text_features([prompt, *self._contrasts_of(prompt)]).T

    def _losses(self, features: torch.Tensor, prompt: str) -> torch.Tensor:
        cosines = self._cosines(features, prompt)
        if self.form == "margin":
            return cosines[:, 1:].amax(dim=1) - cosines[:, 0]
        scale = self.clip.clip.logit_scale.exp()
        return -(scale * cosines).log_softmax(dim=1)[:, 0]

    def _contrasts_of(self, prompt: str) -> tuple[str, ...]:
        if prompt not in self._contrasts:
            found = tuple(dict.fromkeys(self.contrasts(prompt)))
            if not found:
                raise no_contrast(prompt)
            self._contrasts[prompt] = found
        return self._contrasts[prompt]
