"""The answers of the model in their order, so that an interrupted search can read them back.

All that a search pays for passes through four questions:

    losses          of a batch of images, of the search or, on fresh seeds, of the verification
    gradient        at a mixture of words
    noise           losses of a given noise, and their gradient
    first           the candidates that a diagnosis of the images proposes

Each answer is kept with the work that it took. A search that starts again with the same settings
asks the same questions in the same order, is given the answers that are kept, and so comes to the
same state at no cost; after the last one the model is asked again.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from dpodiff.models.batches import Batches
    from dpodiff.objective.cost import Cost
    from dpodiff.objective.images import Job

Rows = list[list[float]]  # one row a loss, one number an image
LOSSES, FRESH, GRADIENT, NOISE, FIRST = "losses", "fresh losses", "gradient", "noise", "first"


@dataclass(frozen=True)
class Answer:
    """What the model said.

    Attributes:
        data: ready for JSON.
        tensors: what is too large for that, by name.

    Examples:
        >>> from dpodiff.objective.journal import Answer
        >>> Answer({"losses": [[0.25, 0.5]], "size": 2}).tensors
        {}
    """

    data: Mapping[str, Any]
    tensors: "Mapping[str, torch.Tensor]" = field(default_factory=dict)


class Journal:
    """Keeps nothing; a `Trace` that has a file keeps all.

    Examples:
        >>> from dpodiff.objective.journal import Answer, Journal
        >>> journal = Journal()
        >>> journal.keep("losses", ["a question"], Answer({"losses": [[0.5]]}))
        >>> journal.recall("losses", ["a question"]) is None
        True
    """

    def recall(self, kind: str, question: Sequence[str]) -> Answer | None:
        """The answer that is kept for the next question; None once all are read.

        Args:
            kind: of the question.
            question: its parts, in short. An answer may be to the first of them only.

        Raises:
            ValueError: if the next answer is to another question.
        """
        return None

    def keep(self, kind: str, question: Sequence[str], answer: Answer) -> None:
        """Keep an answer."""


def judged(
    journal: Journal,
    batches: "Batches",
    cost: "Cost",
    kind: str,
    work: "Callable[[Sequence[Job]], Rows]",
    jobs: "Sequence[Job]",
    stop: int | None = None,
) -> Iterator[Rows]:
    """Yield the losses of the jobs batch by batch, those that are kept without any work.

    Args:
        journal: of all answers.
        batches: cut the jobs; they come to the size that they had.
        cost: the work is added to it, that of kept answers too.
        kind: LOSSES or FRESH.
        work: from a batch to its losses, counted in the cost.
        jobs: images to make and judge.
        stop: as in `render`, to tell the jobs from others.
    """
    names = [
        short((*prompts, prompts.guidance, prompts.window, seed, stop)) for prompts, seed in jobs
    ]
    done = 0
    while done < len(jobs) and (kept := journal.recall(kind, names[done:])):
        cost.repeat(kept.data)
        batches.go_on(kept.data["size"])
        done += len(kept.data["losses"][0])
        yield kept.data["losses"]
    before = replace(cost)
    for rows in batches.map(work, jobs[done:]):
        end = done + len(rows[0])
        data = {"losses": rows, "size": batches.size, **cost.since(before).work}
        journal.keep(kind, names[done:end], Answer(data))
        done = end
        yield rows
        before = replace(cost)


def short(question: object) -> str:
    """A few letters and digits that tell a question from others."""
    return hashlib.sha256(repr(question).encode("utf-8", "surrogatepass")).hexdigest()[:12]
