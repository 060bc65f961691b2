"""What a search returns: the best candidate it evaluated, beside the user's own prompt.

A verified result (`dpodiff.improve`, `dpodiff.attack`) holds what was proven better on fresh seeds,
and if nothing was, the user's own prompt. The best candidate of the search is in `Result.found`.
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
from dpodiff.results.trace import Status, Trace
from dpodiff.spaces.json_file import write_text
from dpodiff.spaces.prompts import settings_lines
from dpodiff.spaces.space import Candidate, Prompts

if TYPE_CHECKING:
    import torch

    from dpodiff.objective.cost import Cost
    from dpodiff.objective.objective import Objective
    from dpodiff.results.comparison import Verification

WIDTH = 88  # of the printed verdict


@dataclass
class Result:
    """What a search found: the best candidate it evaluated, beside the user's own prompt.

    `print(result)` begins with the verdict of the verification.

    Attributes:
        candidate, prompts: the best of the search; if it was verified, the finalist that is proven
            better on fresh seeds, and if none is, the user's own prompt.
        losses, baseline_losses: of the candidate and of the user's own prompt, one a seed of the
            search. After a refusal both are equal.
        status: "budget" or "seconds" used up, space "exhausted", "stopped" by the user, or "failed"
            by an error after the baseline was evaluated; then all else is of the search so far.
        cost: of this search alone, with its verification.
        noise: (seeds, vectors, channel, h, w), the best of each seed; None if none was searched.
        noise_images: (seeds, 3, height, width), its images; None if the search did not keep them,
            as where it was read back from a trace. Then `images` makes them again.
        error: the exception that ended a search that failed, with its traceback; else None.
        verification: of the result, on fresh seeds; None if there was none.
        unverified: reason that there was none.
        search: the result before its verification, which `found` gives; None if there was none.

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
        """The result of the search before it was verified, whether or not it was accepted."""
        return self if self.search is None else self.search

    @property
    def verdict(self) -> str:
        """A line: better, by how much and how sure; not proven better; or not verified, and why.

        If the losses of all candidates were NaN or infinite, it says so instead.
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
        """The status, and if the search failed the type and the text of its error."""
        return self.status if self.error is None else f"{self.status}, {describe(self.error)}"

    def save(self, folder: str | os.PathLike, overwrite: bool = False) -> Path:
        """Write the result into a folder; `dpodiff.load_result` reads it without the model.

        The folder holds `result.json`, `trace.jsonl` and the images, whose metadata the tools of
        practitioners read (`dpodiff.results.metadata`).

        Args:
            folder: is made if there is none.
            overwrite: whether the files of another result in it may be replaced.

        Returns:
            the folder.

        Raises:
            ValueError: if it has such files and they may not be replaced.
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
        """Write a page with the images before and after, one on the other; it needs no network.

        Args:
            path: of the HTML file; an older one is replaced.

        Returns:
            the path.
        """
        found = self.found
        return write_text(path, page(self, self.before, found.images, found.prompts))

    def to_json(self) -> dict[str, Any]:
        """What the result says, ready for JSON; losses are one a seed."""
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
        before, after = mean(self.baseline_losses), mean(shown.losses)
        seeds = f"the search's {len(self.losses)} seeds"
        rejected = sum(not record.losses for record in self.trace.records)
        return (
            f"{_wrapped(self.verdict)}\n"
            f"prompt:           {self.prompts.positive}\n"
            f"negative prompt:  {self.prompts.negative}\n"
            f"{_settings_lines('', self.prompts)}"
            f"{self._not_proven()}"
            f"mean loss:        {before:.4f} -> {after:.4f} on {seeds}\n"
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
    """A verdict in lines that fit on a page of the book; the first says the most."""
    return textwrap.fill(
        verdict, WIDTH, subsequent_indent=" " * 18, break_long_words=False, break_on_hyphens=False
    )


def _settings_lines(whose: str, prompts: Prompts) -> str:
    """Empty for the model's own guidance and a negative prompt that acts in all steps."""
    lines = settings_lines(prompts)
    return "".join(f"{f'{whose}{name}:':<18}{value}\n" for name, value in lines)


def describe(error: Exception) -> str:
    """Type and text of an error."""
    return f"{type(error).__name__}: {error}"


def release(error: BaseException) -> None:
    """Let go of what an error's frames hold, such as the tensors that filled the memory.

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
    """What a search has cost in evaluations, by kind of work."""
    cheaper = {"gradients": cost.gradients, "previews": cost.previews}
    made = "".join(f" + {count} {name}" for name, count in cheaper.items() if count)
    made += f" + {cost.verification:g} of verification" if cost.verification else ""
    return f"{cost.evaluations} evaluations" + (f"{made} = {cost.spent:.1f}" if made else "")
