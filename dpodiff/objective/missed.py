"""Statements that the images of the user's own prompt miss, in words for a language model."""

from typing import TYPE_CHECKING

from dpodiff.objective.journal import FIRST, Answer, short
from dpodiff.objective.objective import Objective

if TYPE_CHECKING:
    from dpodiff.losses.contrastive import Contrastive
    from dpodiff.losses.decomposed import Decomposed

HALF = 0.5  # share of the images


class Missed:
    """Statements that most images miss, for the user's prompt.

    The images of the baseline's evaluation are used, so this costs nothing.

    Args:
        objective: objective that makes the images.
        loss: loss that knows the statements of the prompt, or its contrast prompts.

    Examples:
        >>> from dpodiff.toy.words import toy_lexicon
        >>> def statements(prompt):
        ...     return dpodiff.contrasts_of(prompt, toy_lexicon())
        >>> clip = dpodiff.SphericalCLIP("toy", device="cpu")
        >>> loss = dpodiff.losses.Decomposed(clip, statements)
        >>> space = dpodiff.WrittenSpace("a purple fish")
        >>> objective = dpodiff.Objective(dpodiff.load("toy"), loss, space, seeds=[0])
        >>> isinstance(dpodiff.objective.Missed(objective, loss)(), list)
        True
    """

    def __init__(self, objective: Objective, loss: "Decomposed | Contrastive") -> None:
        self.objective, self.loss = objective, loss

    def __call__(self) -> list[str]:
        """Return one short sentence per missed statement, the worst first."""
        journal, question = self.objective.journal, [short("missed")]
        if kept := journal.recall(FIRST, question):
            return kept.data["missed"]
        found = self._missed()
        journal.keep(FIRST, question, Answer({"missed": found}))
        return found

    def _missed(self) -> list[str]:
        from dpodiff.losses import Decomposed

        space = self.objective.space
        images = self.objective.images(space.identity).to(self.objective.model.device)
        if isinstance(self.loss, Decomposed):
            table = self.loss.table(images, space.prompt).sort_values("holds")
            rows = zip(table["statement"], table["holds"], table["instead"], strict=True)
            return [
                f"{statement!r} is missed; the images rather fit {instead!r}"
                for statement, holds, instead in rows
                if holds < HALF
            ]
        table = self.loss.margins(images, space.prompt)
        missed = table[table["margin"] < 0]
        return [f"the images rather fit {contrast!r}" for contrast in missed["contrast"]]
