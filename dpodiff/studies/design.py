"""A study with its page and its key."""

import hashlib
import io
import json
import os
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dpodiff.checks import check_text
from dpodiff.spaces.json_file import write_json
from dpodiff.studies.page import page
from dpodiff.studies.pairs import VERSIONS, Choice, Pair, Showing, orders
from dpodiff.studies.session import ANSWERS, KEY, VERSION, Session

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Study:
    """A blind pairwise study, as `dpodiff.study` makes it.

    Attributes:
        question: question for every pair.
        baseline: method that the others are compared with.
        pairs: all pairs that are shown, including repeats and checks.
        images: images (height, width, 3) of bytes, in random order.
        ties: whether a rater may call both images equal.
        seed: seed of the order, the sides and the choice of pairs.
        equal: number of pairs left out because both images are equal.

    Examples:
        >>> images = {"a wall": np.zeros((2, 3, 8, 8))}, {"a wall": np.ones((2, 3, 8, 8))}
        >>> study = dpodiff.study(dict(zip(["before", "painted"], images)), checks=0, repeats=0)
        >>> study
        Study(2 pairs of 1 prompt, 2 methods, 0 repeated, 0 checks)
        >>> answers = study.answered(lambda left, right, prompt: "left", rater="r1")
        >>> [answer["choice"] for answer in answers["answers"]]
        ['left', 'left']
    """

    question: str
    baseline: str
    pairs: tuple[Pair, ...]
    images: tuple[np.ndarray, ...] = field(repr=False)
    ties: bool = True
    seed: int = 0
    equal: int = 0

    def __repr__(self) -> str:
        shown = [pair for pair in self.pairs if pair.methods and not pair.repeats]
        prompts = len({pair.prompt for pair in shown})
        repeats = sum(bool(pair.repeats) for pair in self.pairs)
        return (
            f"Study({len(shown)} pairs of {prompts} prompt{'s' * (prompts > 1)}, "
            f"{len(self.methods)} methods, {repeats} repeated, "
            f"{len(self.pairs) - len(shown) - repeats} checks)"
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of all methods, the baseline first."""
        others = {name for pair in self.pairs for name in pair.methods} - {self.baseline}
        return (self.baseline, *sorted(others))

    @cached_property
    def id(self) -> str:
        """Twelve hexadecimal digits that identify the study in files of answers."""
        shown = [self.question, self.ties, self.seed]
        shown += [[pair.id, pair.prompt, pair.images, pair.methods] for pair in self.pairs]
        digest = hashlib.sha256(json.dumps(shown).encode())
        for image in self.images:
            digest.update(image.tobytes())
        return digest.hexdigest()[:12]

    def session(self, rater: str, *, made_by: str = "panel") -> Session:
        """Return the session of a rater, with the same order as on the page.

        Args:
            rater: a name or a number, which determines the order.
            made_by: "panel" for a person, "function" for a simulated rater.

        Raises:
            ValueError: if the name is empty.
        """
        check_text("rater", rater)
        if not (name := rater.strip()):
            raise ValueError("a rater needs a name or a number")
        order = orders(self.pairs, self.seed)[sum(map(ord, name)) % VERSIONS]
        shown = [Showing(self.pairs[place], left) for place, left in order]
        return Session(shown, study=self.id, ties=self.ties, rater=name, made_by=made_by)

    def png(self, place: int) -> bytes:
        """Return an image as a PNG file."""
        buffer = io.BytesIO()
        Image.fromarray(self.images[place]).save(buffer, "png")
        return buffer.getvalue()

    def save(self, path: str | os.PathLike, *, overwrite: bool = False) -> None:
        """Write the page and its key, such as `study.html` and `study.key.json`.

        Args:
            path: path of the page. Give raters only this file: the key names the methods.
            overwrite: whether to replace existing files.

        Raises:
            FileExistsError: if a file exists and must not be replaced.
        """
        path = Path(path)
        if path.suffix != ".html":
            raise ValueError(f"the page of a study is a file .html, not {path}")
        beside = path.with_suffix(".key.json")
        for file in (path, beside):
            if file.exists() and not overwrite:
                raise FileExistsError(f"{file} is there: take another name, or overwrite it")
        write_json(beside, self.key())
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_text(self.html(), encoding="utf-8")
        os.replace(part, path)

    def html(self) -> str:
        """Return the page as HTML. It names no method, and neither loads nor sends data."""
        return page(
            {
                "format": ANSWERS,
                "version": VERSION,
                "study": self.id,
                "question": self.question,
                "ties": self.ties,
                "pairs": [
                    {"id": pair.id, "prompt": pair.prompt, "images": pair.images}
                    for pair in self.pairs
                ],
                "orders": orders(self.pairs, self.seed),
                "images": [b64encode(self.png(i)).decode() for i in range(len(self.images))],
            }
        )

    def iframe(self, height: int = 640) -> str:
        """Return HTML that embeds the page, for `IPython.display.HTML`.

        Args:
            height: height of the frame in pixels.
        """
        style = f"width: 100%; height: {height}px; border: 1px solid #999"
        title = "A study: two images, and which fits better"
        frame = f'<iframe title="{title}" style="{style}" srcdoc="{escape(self.html())}"></iframe>'
        return f"<div>{frame}</div>"

    def key(self) -> dict[str, Any]:
        """Return the key of the pairs for `dpodiff.read_study`, ready for JSON."""
        return {
            "format": KEY,
            "version": VERSION,
            "study": self.id,
            "question": self.question,
            "baseline": self.baseline,
            "ties": self.ties,
            "seed": self.seed,
            "equal": self.equal,
            "pairs": {
                pair.id: {
                    "prompt": pair.prompt,
                    "seed": pair.seed,
                    "methods": list(pair.methods),
                    "repeats": pair.repeats,
                    "expected": pair.expected,
                }
                for pair in self.pairs
            },
        }

    def answered(
        self,
        choose: "Callable[[torch.Tensor, torch.Tensor, str], Choice]",
        rater: str = "function",
    ) -> dict[str, Any]:
        """Return the answers of a function instead of a person; reports call them simulated.

        Args:
            choose: function from the left and the right image, each (3, height, width) in [0, 1],
                and the prompt to "left", "right" or "tie".
            rater: name of the rater.
        """
        session = self.session(rater, made_by="function")
        while (shown := session.showing) is not None:
            left, right = (self._tensor(place) for place in shown.images)
            session.answer(choose(left, right, shown.pair.prompt))
        return session.answers()

    def _tensor(self, place: int) -> "torch.Tensor":
        import torch

        return torch.tensor(self.images[place]).permute(2, 0, 1) / 255
