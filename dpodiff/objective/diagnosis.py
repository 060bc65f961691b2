"""Candidates that a search should try first, from the images of the user's own prompt."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dpodiff.objective.journal import FIRST, Answer, short
from dpodiff.objective.objective import Objective
from dpodiff.spaces.contrasts import Contrast
from dpodiff.spaces.diagnosis import MOST_CONTRASTS, diagnosed_candidates
from dpodiff.spaces.space import Candidate

if TYPE_CHECKING:
    from dpodiff.losses.contrastive import Contrastive


class Diagnosis:
    """First candidates of a solver that name what was drawn instead of the prompt.

    The diagnosis uses the images of the baseline's evaluation, so it makes no images.

    Args:
        objective: objective that makes the images.
        loss: loss whose `margins` tell which contrast prompts the images fit better.
        contrasts: function from a prompt to its contrasts; the loss must know them.
        below, most: as in `diagnosed_candidates`.

    Examples:
        >>> from dpodiff.toy.words import toy_lexicon
        >>> def contrasts(prompt):
        ...     return dpodiff.contrast_prompts(prompt, toy_lexicon())
        >>> clip = dpodiff.SphericalCLIP("toy", device="cpu")
        >>> loss = dpodiff.losses.Contrastive(clip, lambda p: [c.prompt for c in contrasts(p)])
        >>> space = dpodiff.antonym_space("a purple fish", toy_lexicon())
        >>> objective = dpodiff.Objective(dpodiff.load("toy"), loss, space, seeds=[0])
        >>> diagnosis = dpodiff.objective.Diagnosis(objective, loss, contrasts, below=2.0, most=1)
        >>> solver = dpodiff.EPO(space, first=diagnosis)
        >>> solver.ask()[0] == diagnosis()[0]
        True
    """

    def __init__(
        self,
        objective: Objective,
        loss: "Contrastive",
        contrasts: Callable[[str], Sequence[Contrast]],
        *,
        below: float = 0.0,
        most: int = MOST_CONTRASTS,
    ) -> None:
        self.objective, self.loss, self.contrasts = objective, loss, contrasts
        self.below, self.most = below, most

    def __call__(self) -> list[Candidate]:
        """Return the candidates to try first, the worst contrast first."""
        journal, question = self.objective.journal, [short((self.below, self.most))]
        if kept := journal.recall(FIRST, question):
            return [tuple(candidate) for candidate in kept.data["candidates"]]
        found = self._diagnosed()
        journal.keep(FIRST, question, Answer({"candidates": found}))
        return found

    def _diagnosed(self) -> list[Candidate]:
        space = self.objective.space
        images = self.objective.images(space.identity).to(self.objective.model.device)
        table = self.loss.margins(images, space.prompt)
        margins = dict(zip(table["contrast"].tolist(), table["margin"].tolist(), strict=True))
        contrasts = self.contrasts(space.prompt)
        return diagnosed_candidates(space, contrasts, margins, below=self.below, most=self.most)
