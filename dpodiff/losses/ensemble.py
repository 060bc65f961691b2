"""Several losses on one scale, and a test of which one disagrees with the others.

A search exploits errors of its loss. Several losses share fewer errors. They have different scales,
so each is first measured on images of the user's own prompt. With m its mean and s its standard
deviation there,

    z_k = (loss_k - m_k) / s_k

0 is a typical image of the prompt, and -1 one whose loss k is lower by one standard deviation. The
z_k of each image are combined:

    "mean"     mean_k z_k
    "worst"    max_k z_k                      only the highest loss counts
    "bound"    mean_k z_k + kappa std_k z_k   disagreement counts against the image

std is the standard deviation over the K members, with divisor K. So with two losses and kappa = 1,
"bound" equals "worst". It is pessimistic, since a loss is minimized.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch

from dpodiff.checks import check_each, check_finite, shown
from dpodiff.losses.base import check_pairs, check_prompt, is_differentiable, values
from dpodiff.losses.loading import Statements, load
from dpodiff.names import name_of

if TYPE_CHECKING:
    import pandas as pd


Combine = Literal["mean", "worst", "bound"]
LEAST = 1e-12  # added to the variance: the root has no derivative at 0


class Ensemble:
    """Losses on one scale, combined per image; less is better.

    Calibrate it once, by `fit` on images of the user's own prompt, or by giving location and scale.
    Before that a call raises an error, since raw losses cannot be compared.

    Args:
        losses: the members, at least two: losses, names for `losses.load`, or a mapping from labels
            to them.
        combine: "mean", "worst" or "bound", as above.
        kappa: number of standard deviations that "bound" adds.
        statements: as in `losses.load`, for members that need it and are given by name, such as
            "contrastive:toy".
        location: numbers to subtract, one per loss; None is not calibrated.
        scale: numbers to divide by after that, one per loss; None is not calibrated.

    Attributes:
        differentiable: whether all members are differentiable.

    Raises:
        ValueError: if there are fewer than two losses, or an argument is invalid.
        LoadError: if a loss cannot be loaded by its name.

    Examples:
        >>> from dpodiff.losses import contrast, white
        >>> location, scale = [-0.5, -1], [0.5, 1]
        >>> losses = dpodiff.Ensemble([white, contrast], "worst", location=location, scale=scale)
        >>> losses
        Ensemble(white, contrast, combine='worst')
        >>> losses(torch.ones(1, 3, 8, 8), ["a white wall"])  # white gives -1, contrast 0
        tensor([1.])
        >>> images = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        >>> fitted = dpodiff.Ensemble([white, contrast]).fit(images, ["a wall"] * 8)
        >>> abs(fitted(images, ["a wall"] * 8).mean().item()) < 1e-5
        True
    """

    def __init__(
        self,
        losses: "Mapping[str, Callable | str] | Sequence[Callable | str]",
        combine: Combine = "mean",
        *,
        kappa: float = 1.0,
        statements: Statements | None = None,
        location: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
    ) -> None:
        if isinstance(losses, str) or not isinstance(losses, Mapping | Sequence):
            raise ValueError(f"losses must be a list or a mapping of losses, not {shown(losses)}")
        self.losses = _named(losses, statements)
        if not isinstance(combine, str) or combine not in get_args(Combine):
            raise ValueError(
                f"combine must be one of {', '.join(get_args(Combine))}, not {combine!r}"
            )
        check_finite("kappa", kappa, 0)  # a bound is pessimistic
        self.combine: Combine = combine
        self.kappa = kappa
        self.location, self.scale = _calibration(location, scale, list(self.losses))
        self.differentiable = all(map(is_differentiable, self.losses.values()))

    def __repr__(self) -> str:
        kappa = f", kappa={self.kappa:g}" if self.combine == "bound" else ""
        return f"Ensemble({', '.join(self.losses)}, combine={self.combine!r}{kappa})"

    def fit(self, images: torch.Tensor, prompts: Sequence[str]) -> "Ensemble":
        """Return a calibrated copy, with mean and standard deviation of each loss on these images.

        Args:
            images: (batch, 3, height, width) in [0, 1], at least two. Use 8 to 32 images of the
                user's own prompt, on seeds that the search does not use.
            prompts: one per image.

        Raises:
            ValueError: if there are fewer than two images, or a loss is constant on them.
        """
        check_pairs(images, prompts)
        if len(images) < 2:
            raise ValueError("to calibrate an ensemble takes at least two images")
        with torch.no_grad():
            raw = self._raw(images, prompts).cpu().double()
        location, scale = raw.mean(dim=0).tolist(), raw.std(dim=0).tolist()
        return Ensemble(self.losses, self.combine, kappa=self.kappa, location=location, scale=scale)

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the combined loss (batch,) on the device of the images, which the members check.

        Raises:
            ValueError: if it is not calibrated, or a member does not return (batch,).
        """
        members = self.members(images, prompts)
        if self.combine == "worst":
            return members.amax(dim=1)
        mean = members.mean(dim=1)
        if self.combine == "mean":
            return mean
        variance = members.var(dim=1, correction=0)
        return mean + self.kappa * variance.clamp_min(LEAST).sqrt()

    def members(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Return the members' calibrated losses (batch, members); errors are those of a call."""
        self._check_calibrated()
        raw = self._raw(images, prompts)
        return (raw - raw.new_tensor(self.location)) / raw.new_tensor(self.scale)

    def check(self, prompt: str) -> None:
        """Check that the ensemble is calibrated and that all members can score a prompt.

        Raises:
            ValueError: if not; the message says what would be right.
        """
        self._check_calibrated()
        for loss in self.losses.values():
            check_prompt(loss, prompt)

    @torch.no_grad()
    def leave_one_out(
        self, before: torch.Tensor, after: torch.Tensor, prompts: Sequence[str]
    ) -> "pd.DataFrame":
        """Return a table of how the members disagree about a change; see `losses.leave_one_out`.

        Args:
            before, after: (batch, 3, height, width) in [0, 1], of the same seeds in the same order.
            prompts: one per image.
        """
        old, new = self.members(before, prompts), self.members(after, prompts)
        return leave_one_out(old, new, list(self.losses))

    def _raw(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        rows = [values(loss, images, prompts) for loss in self.losses.values()]
        return torch.stack(rows, dim=1)

    def _check_calibrated(self) -> None:
        if self.location is None:
            raise ValueError(
                f"{self!r} is not calibrated: call fit(images, prompts) with some images of the "
                "user's own prompt and take what it returns, or give location and scale"
            )


def leave_one_out(
    before: torch.Tensor | np.ndarray,
    after: torch.Tensor | np.ndarray,
    names: Sequence[str] | None = None,
) -> "pd.DataFrame":
    """Return a table of how the losses disagree about a change.

    Args:
        before, after: losses (images, members) on one scale, of the same images in the same order.
        names: names of the members.

    Returns:
        one row per member, the largest gap first: "loss"; "change", its mean change, where negative
        is better; "others", the mean change of the other members; "gap", change minus others;
        "error", the standard error of the gap over the images, NaN for one image; "opposed", the
        share of images on which its change has the other sign; "disagrees", whether the two mean
        changes have different signs.

    Raises:
        ValueError: if the shapes differ, or there are fewer than two members.

    Examples:
        >>> before, after = np.zeros((2, 3)), np.array([[-1, -2, 1], [-1, 0, 2]])
        >>> table = dpodiff.losses.leave_one_out(before, after, ["clip", "hps", "aesthetic"])
        >>> table[["loss", "change", "others", "disagrees"]]
                loss  change  others  disagrees
        0  aesthetic     1.5   -1.00       True
        1       clip    -1.0    0.25       True
        2        hps    -1.0    0.25       True
    """
    import pandas as pd

    old, new = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    if old.shape != new.shape or old.ndim != 2 or old.shape[1] < 2 or not len(old):
        raise ValueError(
            "before and after must be losses (images, members) of one shape, with at least two "
            f"members, not {old.shape} and {new.shape}"
        )
    count = old.shape[1]
    names = [str(member) for member in range(count)] if names is None else list(names)
    if len(names) != count:
        raise ValueError(f"{count} members, but {len(names)} names")
    own = new - old
    others = (own.sum(axis=1, keepdims=True) - own) / (count - 1)
    gap = own - others
    error = gap.std(axis=0, ddof=1) / len(gap) ** 0.5 if len(gap) > 1 else np.full(count, np.nan)
    table = pd.DataFrame(
        {
            "loss": names,
            "change": own.mean(axis=0),
            "others": others.mean(axis=0),
            "gap": gap.mean(axis=0),
            "error": error,
            "opposed": (own * others < 0).mean(axis=0),
            "disagrees": own.mean(axis=0) * others.mean(axis=0) < 0,
        }
    )
    return table.sort_values("gap", key=abs, ascending=False, ignore_index=True, kind="stable")


def _named(
    losses: "Mapping[str, Any] | Sequence[Any]", statements: Statements | None
) -> dict[str, Callable]:
    """Return the members by their labels; those given by name are loaded."""
    if not isinstance(losses, Mapping):
        labels = [loss if isinstance(loss, str) else name_of(loss) for loss in losses]
        if len(set(labels)) < len(labels):
            raise ValueError(
                f"two losses of an ensemble are called the same: {', '.join(labels)}; "
                "give a mapping from names to losses"
            )
        losses = dict(zip(labels, losses, strict=True))
    if len(losses) < 2:
        raise ValueError(f"an ensemble needs at least two losses, not {len(losses)}")
    found = {
        name: load(one, statements=statements) if isinstance(one, str) else one
        for name, one in losses.items()
    }
    for loss in found.values():
        if not callable(loss):
            raise ValueError(f"{loss!r} is not a loss: give a callable or a name")
    return found


def _calibration(
    location: Sequence[float] | None, scale: Sequence[float] | None, names: list[str]
) -> tuple[list[float] | None, list[float] | None]:
    if location is None and scale is None:
        return None, None
    for name, given in {"location": location, "scale": scale}.items():
        if given is not None:
            check_each(name, given, check_finite)
    if location is None or scale is None or not len(location) == len(scale) == len(names):
        raise ValueError(f"location and scale must both have {len(names)} numbers, one per loss")
    for name, width in zip(names, scale, strict=True):
        if not 0 < width < float("inf"):
            raise ValueError(
                f"the scale of {name} must be above 0 and finite, not {width}: "
                "a loss that is the same on all images says nothing about them"
            )
    return list(location), list(scale)
