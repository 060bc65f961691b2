"""Verification of found prompts on fresh seeds; without a proof the user's own prompt is kept.

A search returns the lowest of many noisy values, so its result is biased on its own seeds. `verify`
scores the best candidates and the user's prompt on fresh seeds, in pairs. It accepts a candidate
only if the interval of the change is on the right side of zero for every loss.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from dpodiff.checks import (
    MOST_IMAGES,
    check_callable,
    check_finite,
    check_kind,
    check_switch,
    check_text,
    check_whole,
)
from dpodiff.objective.cost import measured
from dpodiff.objective.images import Job, render, score
from dpodiff.objective.journal import FRESH, judged
from dpodiff.results.comparison import SEARCHED, Comparison, Verification
from dpodiff.results.result import Result
from dpodiff.results.statistics import FEWEST, SUBSETS, change_over_seeds
from dpodiff.spaces.space import Candidate, Prompts

if TYPE_CHECKING:
    from dpodiff.losses.base import Loss
    from dpodiff.objective.objective import Objective

LEVEL = 0.95


def verify(
    result: Result,
    *,
    seeds: int = 40,
    finalists: int = 1,
    losses: "Mapping[str, Loss] | None" = None,
    level: float = LEVEL,
    progress: bool = False,
) -> Verification:
    """Compare the best candidates of a search with the user's prompt on fresh seeds.

    The images are added to the cost of the result's objective.

    Args:
        result: result of a search of words.
        seeds: number of fresh seeds, at least 6. They follow the largest seed that the search, or
            an earlier verification of it, has used.
        finalists: number of the best candidates to test, among those that the search found better
            than the user's prompt. If there are none, no image is made.
        losses: second losses by name; a candidate must be better by each of them too.
        level: coverage of the intervals of the changes. They are exact (`subset_interval`) and
            corrected for the number of finalists (Bonferroni). If each finalist and the user's
            prompt are exchangeable on fresh seeds, one is accepted with probability at most (1 -
            level) / 2, for any number of candidates in the search. A few seeds cannot exclude harm
            to a small share of the images.
        progress: whether to show a progress bar on stderr.

    Raises:
        ValueError: if noise was searched, whose gain belongs to its own seeds only; if a number is
            out of its range; if a second loss is named "loss" like the searched one; or if there
            are too few seeds for a proof at this level.

    Examples:
        >>> result = dpodiff.improve("a red ball", budget=2, seeds=1, verify=0, progress=False)
        >>> checked = dpodiff.verify(result, seeds=6, finalists=1)
        >>> checked.seeds, checked.evaluations
        ((1, 2, 3, 4, 5, 6), 12.0)
    """
    check_kind("result", result, Result, "the Result of a search")
    check_kind("losses", losses, Mapping | None, "a mapping from names to losses, or None")
    for name, loss in (losses or {}).items():
        check_text("each name of losses", name)
        check_callable(f"the loss {name}", loss, "a callable from images and prompts to losses")
    check_switch("progress", progress)
    if result.noise is not None:
        raise ValueError("the result is the noise of its own seeds, so other seeds say nothing")
    check_seeds(seeds, finalists, level)
    if SEARCHED in (losses or {}):
        raise ValueError(f"a second loss is named {SEARCHED!r}, as the searched one is")
    objective = result.objective
    used = result.verification.seeds if result.verification else ()
    first = max(*objective.seeds, *used, 0) + 1
    fresh = tuple(range(first, first + seeds))
    own, candidates = objective.space.identity, best_candidates(result, finalists)
    compared = [own, *candidates] if candidates else []
    measures = {SEARCHED: objective.loss, **(losses or {})}
    rows = _scores(objective, compared, fresh, measures, progress)
    corrected = 1 - (1 - level) / max(1, len(candidates))
    comparisons = [
        _comparison(objective, candidate, rows[0], after, list(measures), corrected)
        for candidate, after in zip(candidates, rows[1:], strict=True)
    ]
    sign = 1 if objective.task == "improve" else -1
    comparisons.sort(key=lambda one: (not one.proven, sign * one.changes[SEARCHED].mean))
    accepted = bool(comparisons) and comparisons[0].proven
    winner = comparisons[0].candidate if accepted else own
    return Verification(
        accepted=accepted,
        candidate=winner,
        prompts=objective.space.decode(winner),
        comparisons=tuple(comparisons),
        seeds=fresh if candidates else (),
        evaluations=len(compared) * seeds / len(objective.seeds),
        task=objective.task,
    )


def can_prove(seeds: int, finalists: int, level: float = LEVEL) -> bool:
    """Return whether intervals with so few seeds have finite ends; see `subset_interval`."""
    return min(2 ** min(seeds, SUBSETS.bit_length()), SUBSETS) * (1 - level) / 2 >= finalists


def check_seeds(seeds: int, finalists: int, level: float = LEVEL) -> None:
    """Refuse numbers that allow no proof.

    Raises:
        ValueError: if so; the message says what would be right.
    """
    check_whole("finalists", finalists, 1)
    check_whole("seeds", seeds, most=MOST_IMAGES)
    check_finite("level", level)
    if seeds < FEWEST:
        raise ValueError(f"at least {FEWEST} fresh seeds are needed, not {seeds}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}")
    if not can_prove(seeds, finalists, level):
        most = SUBSETS.bit_length()
        enough = next((n for n in range(seeds, most) if can_prove(n, finalists, level)), None)
        advice = "lower the level" if enough is None else f"take {enough} seeds"
        raise ValueError(
            f"{seeds} fresh seeds cannot prove one of {finalists} finalists better at level "
            f"{level}: {advice}, or fewer finalists"
        )


def best_candidates(result: Result, count: int) -> list[Candidate]:
    """Return the candidates that were better than the user's prompt, the best first."""
    own, *others = result.trace.records
    space = result.objective.space
    seen: set[Prompts] = set()
    found: list[Candidate] = []
    for record in sorted(others, key=lambda record: record.value):
        prompts = space.decode(record.candidate)
        if record.value < own.value and prompts not in seen:
            seen.add(prompts)
            found.append(record.candidate)
    return found[:count]


def _comparison(
    objective: "Objective",
    candidate: Candidate,
    before: np.ndarray,
    after: np.ndarray,
    names: Sequence[str],
    level: float,
) -> Comparison:
    """Compare two arrays (losses, seeds); a loss that is not finite proves nothing."""
    changes = {
        name: change_over_seeds(*pair, level=level)
        for name, *pair in zip(names, before, after, strict=True)
    }
    searched = names.index(SEARCHED)
    return Comparison(
        candidate=candidate,
        before=float(before[searched].mean()),
        after=float(after[searched].mean()),
        changes=changes,
        task=objective.task,
    )


def _scores(
    objective: "Objective",
    candidates: Sequence[Candidate],
    seeds: Sequence[int],
    measures: "Mapping[str, Loss]",
    progress: bool,
) -> np.ndarray:
    """Return losses (candidates, losses, seeds); each image is made and counted once."""
    decoded = [objective.space.decode(candidate) for candidate in candidates]
    jobs = [(prompts, seed) for prompts in decoded for seed in seeds]
    with tqdm(total=len(jobs), desc="verify", disable=not progress) as bar:
        columns = []
        for column in _batches(objective, jobs, measures):
            columns.append(column)
            bar.update(column.shape[1])
    if not columns:
        return np.empty((0, len(measures), len(seeds)))
    losses = np.concatenate(columns, axis=1)
    return losses.reshape(len(measures), len(candidates), len(seeds)).swapaxes(0, 1)


def _batches(
    objective: "Objective", jobs: Sequence[Job], measures: "Mapping[str, Loss]"
) -> Iterator[np.ndarray]:
    """Yield the losses (losses, batch) of each batch, and add its cost."""
    cost, model = objective.cost, objective.model

    def work(batch: Sequence[Job]) -> list[list[float]]:
        with measured(cost, model), torch.no_grad():
            images = render(model, batch, objective.eta)
            prompt = objective.space.prompt
            return [score(loss, images, prompt).double().tolist() for loss in measures.values()]

    for losses in judged(objective.journal, objective.batches, cost, FRESH, work, jobs):
        count = len(losses[0])
        price = count / len(objective.seeds)
        cost.images += count
        cost.verification += price
        cost.spent += price
        yield np.array(losses)
