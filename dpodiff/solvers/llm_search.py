"""Search by a language model that reads earlier results and writes whole prompts.

The model gets the user's prompt, the best and the worst prompts so far with their losses, and, if
the loss supports it, what the images of the user's own prompt miss. It answers with new prompts and
negative prompts. OPT2I (Mañas et al., 2024, arXiv 2403.17804) and RATTPO (Kim et al., 2025, arXiv
2506.16853) work in the same way; they do not train either.

A written prompt need not have the meaning of the user's. So an attack needs a constraint, and an
improvement needs a loss that is computed for the user's prompt, as in `Objective`.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from dpodiff.checks import check_kind, check_whole
from dpodiff.objective.evaluation import Task
from dpodiff.solvers.base import Solver
from dpodiff.spaces.lexicons.llm import LLM, AnswerError
from dpodiff.spaces.space import Candidate
from dpodiff.spaces.writer import PromptWriter
from dpodiff.spaces.written import WrittenSpace

AIMS = {
    "improve": (
        "Improve a prompt for a text-to-image model, so that its images show what the prompt asks "
        "for. Keep all that it asks for: things, numbers, attributes, relations, text."
    ),
    "attack": (
        "Test a text-to-image model: find a wording of a prompt that means exactly the same to a "
        "reader, and whose images show it worst."
    ),
}
QUESTION = """{aim}

The prompt: {prompt}
{missed}
Tried so far, the lower the score the better:
{tried}

Write {count} new prompts, each {negative}. They must differ from all of these and from each other.
At most {words} words a prompt: the model reads no more. This is question {number}."""
REJECTED = "rejected (another meaning, too long, or words that the model does not know)"
WORDS = 50  # about the 77 tokens of CLIP
MOST_MISSED = 5


class LLMSearch(Solver):
    """Asks a language model for prompts until the budget or the number of questions is used up.

    Args:
        space: space of written prompts, empty at the start of a search.
        seed: unused, since nothing is drawn; a language model's answers are stored in files.
        llm: the language model; the default is `LLM` with its defaults.
        task: purpose of the prompts, "improve" or "attack".
        calls: largest number of questions.
        batch: number of prompts per question.
        best: number of the best earlier prompts to show.
        worst: number of the worst earlier prompts to show, and as many rejected ones.
        missed: function that returns what the images of the user's own prompt miss, such as
            `Missed`. It is called once.

    Attributes:
        unusable: errors of the answers that could not be used, in words.

    Raises:
        ValueError: if the space is of another kind, or a number is too small.

    Examples:
        >>> space = dpodiff.WrittenSpace("a red ball")
        >>> solver = dpodiff.LLMSearch(space, llm=dpodiff.LLM("gpt-4o"), calls=5)
        >>> solver.ask()  # asks a server  # doctest: +SKIP
        [(1,), (2,), (3,), (4,)]
    """

    name = "llm"
    space: WrittenSpace

    def __init__(
        self,
        space: WrittenSpace,
        *,
        seed: int = 0,
        llm: LLM | None = None,
        task: Task = "improve",
        calls: int = 20,
        batch: int = 4,
        best: int = 5,
        worst: int = 3,
        missed: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        kind = "a WrittenSpace, as this solver writes whole prompts"
        check_kind("space", space, WrittenSpace, kind)
        super().__init__(space, seed=seed)
        for name, value, least in (
            ("calls", calls, 1),
            ("batch", batch, 1),
            ("best", best, 1),
            ("worst", worst, 0),
        ):
            check_whole(name, value, least)
        if task not in AIMS:
            raise ValueError(f"task must be one of {', '.join(AIMS)}, not {task!r}")
        self.task: Task = task
        self.calls, self.batch, self.best, self.worst = calls, batch, best, worst
        self.unusable: list[str] = []
        self._writer = PromptWriter(LLM() if llm is None else llm)
        self._missed = missed
        self._facts: list[str] | None = None
        self._asked: list[str] = []  # questions

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the name, the language model and the hyperparameters, for the record."""
        return super().parameters | {"model": self._writer.llm.model}

    def check(self) -> None:
        """Check that the language model can be asked, before any image is made.

        Raises:
            ImportError, ServerError: as in `PromptWriter.check`.
        """
        self._writer.check()

    def ask(self) -> list[Candidate]:
        """Ask until there are new prompts, and return them; none if no questions are left.

        Raises:
            ImportError, ServerError: as in `PromptWriter`.

        Warns:
            UserWarning: if an answer cannot be used. It counts as a question, and the next one
                follows.
        """
        while len(self._asked) < self.calls:
            self._asked.append(self._question())
            try:
                pairs = self._writer(self._asked[-1])
            except AnswerError as error:
                self.unusable.append(str(error))
                warnings.warn(f"question {len(self._asked)} of {self.calls}: {error}", stacklevel=2)
                continue
            if new := self._new(self.space.add(*pair) for pair in pairs[: self.batch]):
                return new
            self.unusable.append("all prompts were known")
        return []

    def _question(self) -> str:
        negative = "with a negative prompt of what the images should not show, which may be empty"
        return QUESTION.format(
            aim=AIMS[self.task],
            prompt=self.space.prompt,
            missed=self._what_is_missed(),
            tried="\n".join(self._shown()) or "nothing",
            count=self.batch,
            negative=negative if self.space.takes_negative else "with an empty negative prompt",
            words=WORDS,
            number=len(self._asked) + 1,
        )

    def _what_is_missed(self) -> str:
        if self._facts is None:
            self._facts = [] if self._missed is None else list(self._missed())[:MOST_MISSED]
        if not self._facts:
            return ""
        return "\n".join(["What its images miss:", *(f"- {fact}" for fact in self._facts), ""])

    def _shown(self) -> list[str]:
        """Return the best and worst prompts so far with their losses, and some rejected ones."""
        ranked = sorted(self.values, key=self.values.__getitem__)
        finite = [candidate for candidate in ranked if math.isfinite(self.values[candidate])]
        shown = finite[: self.best]
        shown += finite[max(len(finite) - self.worst, len(shown)) :]
        rejected = ranked[len(finite) :][: -self.worst - 1 : -1]  # the last ones
        return [self._line(candidate) for candidate in shown + rejected]

    def _line(self, candidate: Candidate) -> str:
        positive, negative = self.space.decode(candidate)
        value = self.values[candidate]
        score = f"{value:.4f}" if math.isfinite(value) else REJECTED
        return f"{score}  {positive}  (negative prompt: {negative or 'none'})"
