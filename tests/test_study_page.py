"""A whole study in a real browser, with the keyboard, from the page to the report."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from studies import small

import dpodiff
from book import check_pages
from dpodiff.studies import Rules

BROWSER = next(filter(None, map(shutil.which, check_pages.BROWSERS)), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium installed")


class Page(check_pages.Tab):
    """A study in the browser, opened from its file."""

    def start(self, path: Path, rater: str) -> None:
        assert self.open(path.as_uri()) == []
        self.call("Input.insertText", text=rater)
        self.press("Enter", text="\r")

    def ask(self, expression: str):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def press(self, key: str, **settings) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, **settings)

    @property
    def shown(self) -> str:
        """Which of the screens is seen."""
        return self.ask("document.querySelector('main:not([hidden])').id")

    def images(self) -> list[np.ndarray]:
        """Left and right, each (height, width, 3) from 0 to 1."""
        sources = self.ask("Array.from(document.querySelectorAll('.images img'), e => e.src)")
        files = [io.BytesIO(base64.b64decode(source.split(",")[1])) for source in sources]
        return [np.asarray(Image.open(file)) / 255 for file in files]

    def download(self, folder: Path) -> dict:
        """The file that the page offers; the button has the focus."""
        settings = {"behavior": "allow", "downloadPath": str(folder), "eventsEnabled": True}
        self.browser.call("Browser.setDownloadBehavior", **settings)
        self.press("Enter", text="\r")
        self.browser.wait(
            lambda event: (
                event["method"] == "Browser.downloadProgress"
                and event["params"]["state"] == "completed"
            )
        )
        (path,) = folder.iterdir()
        return json.loads(path.read_text())


@pytest.fixture(scope="module")
def browser():
    with check_pages.launched(BROWSER) as browser:
        yield browser


@pytest.fixture
def page(browser):
    page = Page(browser)
    yield page
    page.close()


def key_for(left: np.ndarray, right: np.ndarray) -> str:
    """What a rater presses who likes light images, and no noise."""
    if np.array_equal(left, right):
        return "0"
    if (left.std() > 0.1) != (right.std() > 0.1):
        return "ArrowLeft" if left.std() < right.std() else "ArrowRight"
    return "1" if left.mean() > right.mean() else "2"


def test_a_study_is_answered_with_the_keyboard_and_its_file_read(page, tmp_path):
    study = small("search", "rewriter", prompts=6, repeats=0.2)
    study.save(tmp_path / "study.html")
    page.start(tmp_path / "study.html", "Zoë 1")
    page.press(key_for(*page.images()))
    page.press("Backspace")
    assert page.ask("document.querySelector('#place').textContent") == f"1 of {len(study.pairs)}"
    while page.shown == "rate":
        page.press(key_for(*page.images()))
    answers = page.download(tmp_path / "downloads")
    session = study.session("Zoë 1")
    told = [(answer["pair"], answer["left"]) for answer in answers["answers"]]
    assert told == [(shown.pair.id, shown.left) for shown in session.order]
    assert (answers["rater"], answers["made_by"]) == ("Zoë 1", "page")
    report = dpodiff.read_study(answers, tmp_path / "study.key.json", Rules(seconds=0))
    assert report.win_rates["win rate"].tolist() == [1, 1]
    assert report.raters.loc[0, ["failed", "reversed"]].tolist() == [0, 0]


def test_a_page_that_is_reloaded_goes_on_where_it_was(page, tmp_path):
    small().save(tmp_path / "study.html")
    page.start(tmp_path / "study.html", "r1")
    for _ in range(3):
        page.press("ArrowLeft")
    page.start(tmp_path / "study.html", "r1")
    assert page.ask("document.querySelector('#place').textContent").startswith("4 of ")


def test_prompts_are_text_and_no_markup(page, tmp_path):
    evil = '</script><img src=x onerror="document.title=1"><b>x</b>'
    images = [{evil: np.full((2, 3, 4, 4), light)} for light in (0.2, 0.6)]
    dpodiff.study(dict(zip(["before", "new"], images)), tmp_path / "study.html")
    page.start(tmp_path / "study.html", "r1")
    assert page.ask("document.querySelector('#prompt').textContent") == evil
    assert page.ask("document.querySelectorAll('b').length") == 0
    assert page.ask("document.title") == "Which image?"


def test_a_forced_choice_has_no_key_for_a_tie(page, tmp_path):
    small(ties=False).save(tmp_path / "study.html")
    page.start(tmp_path / "study.html", "r1")
    page.press("0")
    assert page.ask("document.querySelector('#place').textContent").startswith("1 of ")
    shown = "Array.from(document.querySelectorAll('.choices button:not([hidden])'))"
    assert page.ask(f"{shown}.map(e => e.dataset.choice)") == ["left", "right"]


@pytest.mark.parametrize("width", [320, 400, 1200])
def test_all_of_a_pair_fits_on_the_screen(page, tmp_path, width):
    small().save(tmp_path / "study.html")
    screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    page.call("Emulation.setDeviceMetricsOverride", **screen)
    page.start(tmp_path / "study.html", "r1")
    assert page.ask("document.documentElement.scrollWidth") == width
    bottom = "document.querySelector('.choices').getBoundingClientRect().bottom"
    assert page.ask(bottom) <= 800
