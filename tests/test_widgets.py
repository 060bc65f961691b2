"""The panel in a real kernel: its parts are asked for their state while it works there.

The kernel has the stand-ins of `helpers`; a test runs code in it with `do`, reads values with
`ask`, and clicks with the message a browser would send.
"""

import ast
import base64
import io
import re
import tempfile
from html import unescape
from pathlib import Path
from typing import get_args

import nbformat
import numpy as np
import pytest
from helpers import fake_shade
from jupyter_client import KernelManager
from nbclient import NotebookClient
from PIL import Image

from dpodiff.objective import Task
from dpodiff.widgets import CHOICES, SIDE

TIMEOUT = 600  # seconds; a busy machine imports slowly
PROMPT = "a red ball on the sea"
SETUP = f"""
import html, re, sys, threading, torch
sys.path.insert(0, {str(Path(__file__).parent)!r})
from helpers import FakeModel, shade
import dpodiff

def make(prompt={PROMPT!r}, **settings):
    settings = {{"lexicon": "toy", "space": "antonym", "budget": 24, "verify": 0}} | settings
    settings = {{"seeds": 2}} | settings
    settings = {{"model": FakeModel(), "loss": shade}} | settings
    return dpodiff.panel(prompt, **settings)

def status(panel):
    return html.unescape(re.sub("<[^>]*>", "", panel.status.value))

class Gate:
    "A loss that waits at its second batch until it is let through."
    def __init__(self):
        self.calls, self.reached, self.open = 0, threading.Event(), threading.Event()
    def __call__(self, images, prompts):
        self.calls += 1
        if self.calls == 2:
            self.reached.set()
            self.open.wait()
        return shade(images, prompts)
"""


class Kernel:
    """A running kernel."""

    def __init__(self, client) -> None:
        self.client = client

    def do(self, code: str) -> None:
        """Run code; its error is raised here."""
        self._execute(code)

    def ask(self, expression: str):
        """The value of an expression of plain numbers and strings."""
        answer = self._execute("", user_expressions={"value": expression})
        value = answer["user_expressions"]["value"]
        assert value["status"] == "ok", value
        return ast.literal_eval(value["data"]["text/plain"])

    def click(self, button: str) -> None:
        """Click a button as a browser does; it is handled before what is run next."""
        content = {"method": "custom", "content": {"event": "click"}}
        message = {"comm_id": self.ask(f"{button}.model_id"), "data": content}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", message))

    def _execute(self, code: str, **settings) -> dict:
        answer = self.client.execute(code, reply=True, timeout=TIMEOUT, **settings)["content"]
        assert answer["status"] == "ok", "\n".join(answer["traceback"])
        return answer


@pytest.fixture(scope="module")
def kernel():
    with tempfile.TemporaryDirectory() as sockets:
        manager = KernelManager(transport="ipc", ip=f"{sockets}/kernel")
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=TIMEOUT)
        kernel = Kernel(client)
        kernel.do(SETUP)
        yield kernel
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def text(markup: str) -> str:
    return unescape(re.sub("<[^>]*>", " ", markup))


def pngs(markup: str) -> list[np.ndarray]:
    """The images (height, width, 3) inside, which must be PNG files."""
    found = [base64.b64decode(data) for data in re.findall(r'base64,([^"]*)"', markup)]
    assert all(data.startswith(b"\x89PNG\r\n") for data in found)
    return [np.asarray(Image.open(io.BytesIO(data))) for data in found]


def test_a_click_on_run_improves_the_prompt(kernel):
    kernel.do("panel = make()")
    kernel.click("panel.run_button")
    kernel.do("panel.wait()")
    assert kernel.ask("(panel.bar.value, panel.bar.max)") == (24, 24)
    assert kernel.ask("(panel.run_button.disabled, panel.stop_button.disabled)") == (False, True)
    said = r"mean loss (\S+) -> (?!\1)\S+; not verified: .* turned off; ended by: budget"
    assert re.fullmatch(said, kernel.ask("status(panel)"))
    assert "24 evaluations, 48 images, 480 denoiser forwards" in kernel.ask("panel.cost.value")


def test_images_shown_are_those_of_the_prompts_beside_them(kernel):
    kernel.do("panel = make(); panel.run_button.click(); panel.wait()")
    found = kernel.ask("tuple(panel.result.prompts)")
    for row, prompts in (("before", (PROMPT, "")), ("after", found)):
        markup = kernel.ask(f"panel.{row}.value")
        shades = [fake_shade(*prompts, seed) for seed in range(2)]
        images = pngs(markup)
        assert [image.shape for image in images] == [(SIDE, SIDE, 3)] * 2
        assert [image.mean() / 255 for image in images] == pytest.approx(shades, abs=1 / 255)
        assert all(part in text(markup) for part in prompts)
        assert re.findall(r"loss (\S+)", text(markup)) == [f"{shade:.3f}" for shade in shades]


def test_what_is_not_proven_is_refused_and_shown(kernel):
    kernel.do("panel = make(verify=8, budget=48); panel.run_button.click(); panel.wait()")
    assert kernel.ask("status(panel)").startswith("not proven better: keep your prompt (best found")
    assert kernel.ask("(panel.bar.value, tuple(panel.result.prompts))") == (48, (PROMPT, ""))
    found = kernel.ask("tuple(panel.result.found.prompts)")
    markup = kernel.ask("panel.after.value")
    assert text(markup).strip().startswith("found, not proven")
    shades = [fake_shade(*found, seed) for seed in range(2)]
    assert [image.mean() / 255 for image in pngs(markup)] == pytest.approx(shades, abs=1 / 255)
    assert "40 evaluations + 8 of verification = 48.0, 96 images" in kernel.ask("panel.cost.value")


def test_what_is_proven_is_shown_as_the_result(kernel):
    kernel.do("""
class Helped(FakeModel):
    "Every word of a negative prompt makes each image darker."
    def generate(self, prompts, negatives, seeds):
        images = super().generate(prompts, [""] * len(prompts), seeds)
        return torch.stack([i * 0.9 ** len(n.split()) for i, n in zip(images, negatives)])
""")
    kernel.do("panel = make(model=Helped(), space='antonym+nplib', verify=8)")
    kernel.do("panel.run_button.click(); panel.wait()")
    assert kernel.ask("status(panel)").startswith("better: loss ")
    markup = kernel.ask("panel.after.value")
    assert text(markup).strip().startswith("after")
    assert kernel.ask("panel.result.prompts.negative") in text(markup)
    shades = kernel.ask("panel.result.images.mean(dim=(1, 2, 3)).tolist()")
    assert [image.mean() / 255 for image in pngs(markup)] == pytest.approx(shades, abs=1 / 255)


def test_stop_ends_a_running_search_and_keeps_what_it_found(kernel):
    kernel.do("gate = Gate(); panel = make(loss=gate, budget=50)")
    kernel.click("panel.run_button")
    kernel.do("gate.reached.wait()")
    assert kernel.ask("(panel.run_button.disabled, panel.stop_button.disabled)") == (True, False)
    assert len(pngs(kernel.ask("panel.before.value"))) == 2
    assert "1 of 50 evaluations, best loss" in kernel.ask("status(panel)")
    kernel.click("panel.run_button")  # nothing happens: one is running
    kernel.click("panel.stop_button")
    kernel.do("gate.open.set(); panel.wait()")
    assert kernel.ask("status(panel)").endswith("ended by: stopped")
    assert kernel.ask("panel.result.cost.evaluations") == 2
    assert kernel.ask("(panel.run_button.disabled, panel.stop_button.disabled)") == (False, True)


def test_stop_ends_a_running_verification_and_keeps_what_was_found(kernel):
    kernel.do("""
class LateGate(Gate):
    "Waits at the first images of the verification."
    def __call__(self, images, prompts):
        self.calls += len(images)
        if self.calls > 80 and not self.reached.is_set():
            self.reached.set()
            self.open.wait()
        return shade(images, prompts)
gate = LateGate(); panel = make(loss=gate, budget=48, verify=8, batch_size=8)
panel.run_button.click()
gate.reached.wait(); panel.stop_button.click(); gate.open.set(); panel.wait()
""")
    assert kernel.ask("panel.result.cost.evaluations") == 40
    assert kernel.ask("status(panel)").endswith(
        "not verified: it was interrupted; ended by: stopped"
    )
    assert kernel.ask("panel.result.prompts.negative")
    assert text(kernel.ask("panel.after.value")).strip().startswith("after")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("prompt='  '", "the prompt is empty: say what the image should show"),
        ("prompt='an unspeakable ball'", "unknown word 'unspeakable'"),
        ("negative_prompt='unspeakable'", "unknown word 'unspeakable'"),
        ("budget=0", "a budget needs at least 1 evaluation, not 0"),
        ("budget=-3", "a budget needs at least 1 evaluation, not -3"),
        ("seeds=0", "seeds must be at least 1, not 0"),
        ("space='<b>'", "unknown space '<b>'; choose from antonym, emphasis, guidance, modifiers"),
        ("solver='sgd'", "unknown solver 'sgd'; choose from random, epo"),
        ("prompt='the of', space='synonym'", "nothing can change in 'the of'"),
        ("model='no-such-model'", "there is no model or folder 'no-such-model'"),
    ],
)
def test_bad_input_is_answered_in_the_panel(kernel, settings, message):
    kernel.do(f"panel = make({settings}); panel.run_button.click(); panel.wait()")
    assert kernel.ask("status(panel)").startswith(message)
    assert kernel.ask("(panel.run_button.disabled, panel.before.value)") == (False, "")


def test_a_panel_goes_on_after_bad_input(kernel):
    kernel.do("panel = make('', budget=0); panel.run_button.click(); panel.wait()")
    kernel.do(f"panel.controls['prompt'].value = {PROMPT!r}; panel.controls['budget'].value = 3")
    kernel.do("panel.run_button.click(); panel.wait()")
    assert kernel.ask("panel.result.cost.evaluations") == 3
    kernel.do("panel.controls['seeds'].value = 0; panel.run_button.click(); panel.wait()")
    assert kernel.ask("panel.after.value") == ""


def test_controls_start_from_the_defaults_given_and_are_obeyed(kernel):
    kernel.do("panel = make(task='attack', space='synonym', solver='random', seed=3)")
    kernel.do("panel.controls['negative_prompt'].value = 'ugly'")
    kernel.do("panel.run_button.click(); panel.wait()")
    parameters = "panel.result.trace.stamp.parameters"
    assert kernel.ask(f"({parameters}['task'], {parameters}['loss'])") == ("attack", "shade")
    assert kernel.ask(f"{parameters}['solver']").items() >= {"name": "random", "seed": 3}.items()
    assert kernel.ask("panel.result.prompts.negative") == "ugly"
    assert kernel.ask("sum(panel.result.losses) > sum(panel.result.baseline_losses)")


@pytest.mark.parametrize("error", [ZeroDivisionError("by <zero>"), ValueError("by <zero>")])
def test_an_unexpected_error_is_shown_with_its_type(kernel, error):
    kernel.do(f"def broken(images, prompts): raise {error!r}")
    kernel.do("panel = make(loss=broken); panel.run_button.click(); panel.wait()")
    assert kernel.ask("status(panel)") == f"{type(error).__name__}: by <zero>"
    assert kernel.ask("panel.run_button.disabled") is False


def test_an_error_in_the_middle_of_a_search_is_shown_beside_what_was_found(kernel):
    kernel.do(
        "calls = []\n"
        "def breaks(images, prompts):\n"
        "    calls.append(0)\n"
        "    if len(calls) > 2: raise ConnectionError('lost')\n"
        "    return shade(images, prompts)"
    )
    kernel.do("panel = make(loss=breaks, budget=40); panel.run_button.click(); panel.wait()")
    assert kernel.ask("panel.result.status") == "failed"
    assert "ended by: failed, ConnectionError: lost" in kernel.ask("status(panel)")


def test_prompts_are_shown_as_text_and_not_as_markup(kernel):
    kernel.do("""panel = make('a "red" <i>ball</i> & $x$'); panel.run_button.click()""")
    kernel.do("panel.wait()")
    markup = kernel.ask("panel.before.value")
    assert "<i>" not in markup
    assert 'a "red" <i>ball</i> & $x$' in text(markup)
    assert 'alt="before, seed 0: a &quot;red&quot;' in markup
    assert "mathjax_ignore" in markup


def test_when_nothing_better_is_found_the_panel_says_so(kernel):
    kernel.do("panel = make(budget=1); panel.run_button.click(); panel.wait()")
    assert "nothing better found yet" in kernel.ask("panel.after.value")


def test_a_model_is_loaded_by_the_first_run_and_kept(kernel, tmp_path):
    kernel.do("from pathlib import Path; import tiny")
    kernel.do(f"folder = tiny.stable_diffusion(Path({str(tmp_path / 'sd')!r}))")
    kernel.do("said = []; panel = make(model=str(folder), budget=2, space='antonym')")
    kernel.do("panel.status.observe(lambda change: said.append(change.new), 'value')")
    kernel.do("panel.run_button.click(); panel.wait(); first = panel.arguments['model']")
    assert "loading" in kernel.ask("said[0]")
    kernel.do("said.clear(); panel.run_button.click(); panel.wait()")
    assert not any("loading" in line for line in kernel.ask("said"))
    assert kernel.ask("panel.arguments['model'] is first and first.image_size") == 16
    shapes = [image.shape for image in pngs(kernel.ask("panel.before.value"))]
    assert shapes == [(SIDE, SIDE, 3)] * 2


def test_an_argument_improve_does_not_have_is_refused_at_once(kernel):
    with pytest.raises(AssertionError, match="unexpected keyword argument 'bugdet'"):
        kernel.do("make(bugdet=3)")


def test_a_notebook_holds_the_panel_and_what_stands_for_it_without_a_kernel():
    cell = nbformat.v4.new_code_cell("import dpodiff\ndpodiff.panel('a red ball')")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, kernel_name="python3", startup_timeout=TIMEOUT).execute()
    (output,) = cell.outputs
    assert "application/vnd.jupyter.widget-view+json" in output.data
    assert "a live panel appears here" in output.data["text/html"]


def test_tasks_are_those_of_objectives():
    assert CHOICES["task"] == get_args(Task)


def test_the_guidance_of_a_candidate_is_shown(kernel):
    kernel.do("""
from helpers import Guided
panel = make(model=Guided(), space="guidance", budget=4); panel.run_button.click(); panel.wait()
""")
    assert "guidance : 2" in text(kernel.ask("panel.after.value"))
    assert "guidance" not in text(kernel.ask("panel.before.value"))
