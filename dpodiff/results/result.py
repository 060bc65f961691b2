"""The result of a search: the best evaluated candidate and the user's own prompt.

A verified result (`dpodiff.improve`, `dpodiff.attack`) holds the candidate that is proven better on
fresh seeds, or else the user's own prompt. `Result.found` holds the best candidate of the search.
"""

import math
import os
import textwrap
import traceback
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpodiff.objective.evaluation import mean
from dpodiff.results.folder import FORMAT, TRACE, check_folder, prompts_to_json, write_folder
from dpodiff.results.html import page, summary
from dpodiff.results.metadata import Rollout
from dpodiff.results.record import loss_text
from dpodiff.results.trace import Status, Trace
from dpodiff.spaces.json_file import write_text
from dpodiff.spaces.prompts import settings_lines
from dpodiff.spaces.space import Candidate, Prompts

if TYPE_CHECKING:
    import torch

    from dpodiff.objective.cost import Cost
    from dpodiff.objective.objective import Objective
    from dpodiff.results.comparison import Verification

WIDTH = 76  # characters of a line of output in the book


@dataclass
class Result:
    """The result of a search: the best evaluated candidate and the user's own prompt.

    `print(result)` begins with the verdict of the verification.

    Attributes:
        candidate: the best candidate of the search. If it was verified, the finalist that is proven
            better on fresh seeds, or else the user's own prompt.
        prompts: prompts of the candidate.
        losses: losses of the candidate, one per seed of the search.
        baseline_losses: losses of the user's own prompt on the same seeds.
        status: why the search ended: "budget" or "seconds" are used up, the space is "exhausted",
            "stopped" by the user, or "failed" by an error after the baseline. Then the rest is the
            result so far.
        cost: cost of this search and its verification.
        noise: (seeds, vectors, channel, h, w), the best noise of each seed; None if none was
            searched.
        noise_images: (seeds, 3, height, width), images of the noise; None if they were not kept,
            for example after reading a trace. Then `images` makes them again.
        error: the exception that ended a failed search, with its traceback; else None.
        verification: verification on fresh seeds, or None.
        unverified: the reason if there was no verification.
        search: the result before its verification, which `found` returns; None if there was none.

    Examples:
        >>> result = dpodiff.improve(
        ...     "a red ball on the sea", budget=2, seeds=1, verify=0, progress=False
        ... )
        >>> print(result.prompts.negative)
        bad, ugly
        >>> tuple(result.before.shape), tuple(result.images.shape)
        ((1, 3, 64, 64), (1, 3, 64, 64))
        >>> len(result.trace.records)
        2
    """

    candidate: Candidate
    prompts: Prompts
    losses: tuple[float, ...]
    baseline_losses: tuple[float, ...]
    status: Status
    cost: "Cost"
    trace: Trace
    objective: "Objective" = field(repr=False)
    noise: "torch.Tensor | None" = field(default=None, repr=False)
    noise_images: "torch.Tensor | None" = field(default=None, repr=False)
    error: Exception | None = None
    verification: "Verification | None" = None
    unverified: str = ""
    search: "Result | None" = field(default=None, repr=False)

    @property
    def found(self) -> "Result":
        """The result of the search before verification, accepted or not."""
        return self if self.search is None else self.search

    @property
    def verdict(self) -> str:
        """One line: better, by how much and how sure; not proven better; or not verified, and why.

        If all losses are NaN or infinite, the line says so.
        """
        if not any(math.isfinite(mean(r.losses)) for r in self.found.trace.records):
            return "nothing found: no candidate has a finite loss"
        if self.verification is not None:
            return str(self.verification)
        own_seeds = "noise belongs to its own seeds"
        on_request = "dpodiff.verify(result) tests it on fresh seeds"
        why = self.unverified or (on_request if self.noise is None else own_seeds)
        return f"not verified: {why}"

    @cached_property
    def images(self) -> "torch.Tensor":
        """Images (seeds, 3, height, width) in [0, 1] of the candidate, on the CPU."""
        if self.search is not None and self.search.candidate == self.candidate:
            return self.search.images
        if self.noise is None and self.candidate == self.objective.space.identity:
            return self.before
        if self.noise is None:
            return self.objective.images(self.candidate)
        if self.noise_images is not None:
            return self.noise_images
        return self.objective.images(self.candidate, noise=self.noise)

    @cached_property
    def before(self) -> "torch.Tensor":
        """Images (seeds, 3, height, width) in [0, 1] of the user's own prompt, on the CPU."""
        if self.search is not None:
            return self.search.before
        return self.objective.images(self.objective.space.identity)

    @property
    def user_prompts(self) -> Prompts:
        """The user's own prompt and negative prompt."""
        return Prompts(self.objective.space.prompt, self.objective.space.negative_prompt)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the search."""
        return tuple(self.objective.seeds)

    @property
    def ended_by(self) -> str:
        """The status; for a failed search also the type and text of its error."""
        return self.status if self.error is None else f"{self.status}, {describe(self.error)}"

    def save(self, folder: str | os.PathLike, overwrite: bool = False) -> Path:
        """Write the result to a folder; `dpodiff.load_result` reads it without the model.

        The folder holds `result.json`, `trace.jsonl` and the images, with metadata for common tools
        (`dpodiff.results.metadata`).

        Args:
            folder: path of the folder, which is made if it is missing.
            overwrite: whether files of another result may be replaced.

        Returns:
            the folder.

        Raises:
            ValueError: if there are such files and they must not be replaced.
        """
        folder = Path(folder)
        check_folder(folder, overwrite)
        found = self.found
        self.trace.save(folder / TRACE)
        images = {
            "before": (self.user_prompts, self.before),
            "found": (found.prompts, found.images),
        }
        rollout = Rollout.of(self.objective.model)
        write_folder(folder, self.to_json(), images, self.seeds, rollout, found.noise)
        return folder

    def compare(self, path: str | os.PathLike) -> Path:
        """Write a page with overlaid images before and after; it needs no network.

        Args:
            path: path of the HTML file; an existing one is replaced.

        Returns:
            the path.
        """
        found = self.found
        return write_text(path, page(self, self.before, found.images, found.prompts))

    def to_json(self) -> dict[str, Any]:
        """Return the content of the result, ready for JSON; losses are one per seed."""
        verification, stamp = self.verification, self.trace.stamp
        return {
            "format": FORMAT,
            "verdict": self.verdict,
            "accepted": None if verification is None else verification.accepted,
            "user": prompts_to_json(self.user_prompts),
            **prompts_to_json(self.prompts),
            "losses": list(self.losses),
            "found": {**prompts_to_json(self.found.prompts), "losses": list(self.found.losses)},
            "baseline_losses": list(self.baseline_losses),
            "seeds": list(self.seeds),
            "status": self.status,
            "ended_by": self.ended_by,
            "cost": asdict(self.cost),
            "verification": None if verification is None else verification.to_json(),
            "stamp": None if stamp is None else asdict(stamp),
        }

    def _repr_html_(self) -> str:
        return summary(self)

    def __str__(self) -> str:
        cost, shown = self.cost, self.found if self._refused else self
        rejected = sum(not record.losses for record in self.trace.records)
        return (
            f"{_wrapped(self.verdict)}\n"
            f"prompt:           {self.prompts.positive}\n"
            f"negative prompt:  {self.prompts.negative}\n"
            f"{_settings_lines('', self.prompts)}"
            f"{self._not_proven()}"
            f"mean loss:        {loss_text(self.baseline_losses, shown.losses)}\n"
            f"cost:             {price_text(cost)}, {cost.images} images, {cost.seconds:.1f} s\n"
            f"free:             {cost.cache_hits} from the cache, {rejected} rejected\n"
            f"ended by:         {self.ended_by}"
        )

    @property
    def _refused(self) -> bool:
        return self.verification is not None and not self.verification.accepted

    def _not_proven(self) -> str:
        if not self._refused or self.found.candidate == self.candidate:
            return ""
        prompts = self.found.prompts
        return (
            f"found:            {prompts.positive}\n"
            f"its negative:     {prompts.negative}\n"
            f"{_settings_lines('its ', prompts)}"
        )


def _wrapped(verdict: str) -> str:
    """Return a verdict in lines that fit on a page of the book."""
    return textwrap.fill(
        verdict, WIDTH, subsequent_indent=" " * 18, break_long_words=False, break_on_hyphens=False
    )


def _settings_lines(whose: str, prompts: Prompts) -> str:
    """Return the guidance and the window, each if it differs from the default."""
    lines = settings_lines(prompts)
    return "".join(f"{f'{whose}{name}:':<18}{value}\n" for name, value in lines)


def describe(error: Exception) -> str:
    """Return the type and text of an error."""
    return f"{type(error).__name__}: {error}"


def release(error: BaseException) -> None:
    """Clear the frames of an error, which may hold large tensors.

    The lines of the traceback stay.
    """
    links: list[BaseException | None] = [error]
    seen: set[int] = set()
    while links:
        link = links.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            traceback.clear_frames(link.__traceback__)
            links += [link.__cause__, link.__context__]


def price_text(cost: "Cost") -> str:
    """Return the cost of a search in evaluations, by kind of work."""
    cheaper = {"gradients": cost.gradients, "previews": cost.previews}
    made = "".join(f" + {count} {name}" for name, count in cheaper.items() if count)
    made += f" + {cost.verification:g} of verification" if cost.verification else ""
    return f"{cost.evaluations} evaluations" + (f"{made} = {cost.spent:.1f}" if made else "")
