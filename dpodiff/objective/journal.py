"""The model's answers in order, so that an interrupted search can read them again.

All costly work of a search consists of answers to four questions:

    losses          losses of a batch of images, in the search or in the verification
    gradient        value and gradient at a mixture of words
    noise           losses of a given noise, and their gradient
    first           candidates from a diagnosis of the images

Each answer is stored with its cost. A search that starts again with the same settings asks the same
questions in the same order. It gets the stored answers and so reaches the same state at no cost.
After the last stored answer the model is asked again.
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

Rows = list[list[float]]  # one row per loss, one number per image
LOSSES, FRESH, GRADIENT, NOISE, FIRST = "losses", "fresh losses", "gradient", "noise", "first"


@dataclass(frozen=True)
class Answer:
    """An answer of the model.

    Attributes:
        data: data for JSON.
        tensors: large data, by name.

    Examples:
        >>> from dpodiff.objective.journal import Answer
        >>> Answer({"losses": [[0.25, 0.5]], "size": 2}).tensors
        {}
    """

    data: Mapping[str, Any]
    tensors: "Mapping[str, torch.Tensor]" = field(default_factory=dict)


class Journal:
    """The interface of a journal; it stores nothing. A `Trace` with a file stores all answers.

    Examples:
        >>> from dpodiff.objective.journal import Answer, Journal
        >>> journal = Journal()
        >>> journal.keep("losses", ["a question"], Answer({"losses": [[0.5]]}))
        >>> journal.recall("losses", ["a question"]) is None
        True
    """

    def recall(self, kind: str, question: Sequence[str]) -> Answer | None:
        """Return the stored answer to the next question; None if there are no more.

        Args:
            kind: kind of the question.
            question: parts of the question, in short form. An answer may cover only the first of
                them.

        Raises:
            ValueError: if the next answer belongs to another question.
        """
        return None

    def keep(self, kind: str, question: Sequence[str], answer: Answer) -> None:
        """Store an answer."""


def judged(
    journal: Journal,
    batches: "Batches",
    cost: "Cost",
    kind: str,
    work: "Callable[[Sequence[Job]], Rows]",
    jobs: "Sequence[Job]",
    stop: int | None = None,
) -> Iterator[Rows]:
    """Yield the losses of the jobs batch by batch; stored ones need no work.

    Args:
        journal: journal of all answers.
        batches: splits the jobs; its sizes are restored to those of the journal.
        cost: cost to add the work to, including that of stored answers.
        kind: LOSSES or FRESH.
        work: function from a batch to its losses, whose cost is counted.
        jobs: images to make and score.
        stop: as in `render`, to identify the jobs.
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
    """Return a short hash that identifies a question."""
    return hashlib.sha256(repr(question).encode("utf-8", "surrogatepass")).hexdigest()[:12]
