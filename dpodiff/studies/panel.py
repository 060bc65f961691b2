"""A study in a notebook: two images, buttons, and the rater's answers.

It has no shortcuts: use Tab and Space for the buttons.
"""

import os
from html import escape
from typing import Any

try:
    import ipywidgets as widgets
except ModuleNotFoundError as error:
    raise ImportError("the panel needs ipywidgets: pip install 'dpodiff[panel]'") from error

from dpodiff.studies.design import Study
from dpodiff.studies.pairs import Choice


def study_panel(study: Study, rater: str) -> "StudyPanel":
    """Return buttons for one rater's answers to a study, in a notebook with a kernel.

    Args:
        study: the study.
        rater: a name or a number; it determines the order, as on the page.

    Examples:
        >>> images = {"a wall": np.zeros((2, 3, 8, 8))}, {"a wall": np.ones((2, 3, 8, 8))}
        >>> study = dpodiff.study(dict(zip(["before", "painted"], images)), checks=0, repeats=0)
        >>> panel = dpodiff.study_panel(study, "r1")
        >>> panel.buttons["left"].click()
        >>> len(panel.answers()["answers"])
        1
    """
    return StudyPanel(study, rater)


class StudyPanel(widgets.VBox):
    """The panel that `study_panel` returns.

    Attributes:
        session: session that the buttons control.
        buttons: "left", "tie" if ties are allowed, "right" and "back".
        images: the two image widgets.

    Examples:
        >>> images = {"a wall": np.zeros((2, 3, 8, 8))}, {"a wall": np.ones((2, 3, 8, 8))}
        >>> panel = dpodiff.study_panel(dpodiff.study(dict(zip(["before", "new"], images))), "r1")
        >>> sorted(panel.buttons)
        ['back', 'left', 'right', 'tie']
    """

    def __init__(self, study: Study, rater: str) -> None:
        super().__init__()
        self.study, self.session = study, study.session(rater)
        layout = widgets.Layout(width="45%", max_width="360px")
        self.images = [widgets.Image(format="png", layout=layout) for _ in range(2)]
        self.text, self.bar = widgets.HTML(), widgets.IntProgress(max=len(self.session.order))
        names = {"left": "Left", "tie": "Equal", "right": "Right", "back": "Back"}
        if not study.ties:
            del names["tie"]
        self.buttons = {name: widgets.Button(description=text) for name, text in names.items()}
        for name in self.buttons:
            self.buttons[name].on_click(lambda _, name=name: self._click(name))
        rows = [widgets.HBox(list(self.buttons.values()))]
        self.children = [self.text, widgets.HBox(self.images), *rows, self.bar]
        self._draw()

    def answers(self) -> dict[str, Any]:
        """Return the answers so far, for `dpodiff.read_study`."""
        return self.session.answers()

    def save(self, path: str | os.PathLike) -> None:
        """Write the answers to a JSON file in the format of the page's download."""
        from dpodiff.spaces.json_file import write_json

        write_json(path, self.answers())

    def _click(self, name: "Choice | str") -> None:
        if name == "back":
            self.session.back()
        else:
            self.session.answer(name)  # type: ignore[arg-type]
        self._draw()

    def _draw(self) -> None:
        shown, self.bar.value = self.session.showing, self.session.place
        for name, button in self.buttons.items():
            button.disabled = not self.session.place if name == "back" else shown is None
        if shown is None:
            self.text.value = "Thank you. All pairs are answered."
            return
        self.text.value = (
            f'<div class="tex2jax_ignore mathjax_ignore">{escape(self.study.question)}<br>'
            f"<b>{escape(shown.pair.prompt)}</b></div>"
        )
        for image, place in zip(self.images, shown.images):
            image.value = self.study.png(place)
