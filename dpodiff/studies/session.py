"""The course of a study for one rater: the current pair, the answers, and a step back.

The page does the same in the browser.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, get_args

from dpodiff.studies.pairs import Choice, Showing

ANSWERS, KEY, VERSION = "dpodiff study answers", "dpodiff study key", 1  # formats of files


class Session:
    """The answers of one rater, in the order in which pairs are shown.

    `Study.session` makes it.

    Args:
        order: order of the pairs.
        study: id of the study.
        ties: whether a rater may call both images equal.
        rater: a name or a number.
        made_by: "panel" for a person, "function" for a simulated rater.
        clock: function that returns seconds. The time of an answer starts when its pair is shown.

    Examples:
        >>> images = {"a wall": np.zeros((2, 3, 8, 8))}, {"a wall": np.ones((2, 3, 8, 8))}
        >>> study = dpodiff.study(dict(zip(["before", "painted"], images)))
        >>> session = study.session("r1")
        >>> session.answer("left"); session.answer("tie"); session.back()
        >>> len(session.answers()["answers"]), session.done
        (2, False)
    """

    def __init__(
        self,
        order: Sequence[Showing],
        *,
        study: str,
        ties: bool,
        rater: str,
        made_by: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.order, self.study, self.ties = order, study, ties
        self.rater, self.made_by = rater, made_by
        self.place = 0
        self._given: dict[str, dict[str, Any]] = {}
        self._clock, self._since = clock, clock()

    @property
    def showing(self) -> Showing | None:
        """The pair on the screen; None after the last one."""
        return None if self.done else self.order[self.place]

    @property
    def done(self) -> bool:
        return self.place == len(self.order)

    def answer(self, choice: Choice) -> None:
        """Answer the pair on the screen, and continue with the next one.

        Raises:
            ValueError: if the study does not have this choice, or all pairs are answered.
        """
        allowed = get_args(Choice)[: 3 if self.ties else 2]
        if choice not in allowed:
            raise ValueError(f"a choice is one of {', '.join(allowed)}, not {choice!r}")
        shown, now = self.showing, self._clock()
        if shown is None:
            raise ValueError("all pairs are answered")
        earlier = self._given.get(shown.pair.id, {"ms": 0})["ms"]
        self._given[shown.pair.id] = {
            "pair": shown.pair.id,
            "left": shown.left,
            "choice": choice,
            "ms": earlier + round(1000 * (now - self._since)),
        }
        self.place, self._since = self.place + 1, now

    def back(self) -> None:
        """Show the previous pair again; its answer is kept until it is changed."""
        self.place, self._since = max(0, self.place - 1), self._clock()

    def answers(self) -> dict[str, Any]:
        """Return all answers so far, in the format of the page's download."""
        return {
            "format": ANSWERS,
            "version": VERSION,
            "study": self.study,
            "rater": self.rater,
            "made_by": self.made_by,
            "answers": list(self._given.values()),
        }
