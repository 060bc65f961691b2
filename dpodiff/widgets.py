"""A live panel that improves a prompt in a notebook and shows the progress.

    dpodiff.panel("a small red plane in the sky")

The search runs in its own thread, so the kernel stays free and the Stop button works. Errors are
shown in the panel. Without a kernel, as on a page of the book, the panel is plain HTML with the
last images and prompts.
"""

import base64
import functools
import inspect
import io
import threading
from collections import deque
from html import escape
from typing import TYPE_CHECKING, Any

try:
    import ipywidgets as widgets
except ModuleNotFoundError as error:
    raise ImportError("the panel needs ipywidgets: pip install 'dpodiff[panel]'") from error
from PIL import Image

from dpodiff.api import default_loss, improve
from dpodiff.api.defaults import DEFAULT_SPACE, default_second_losses
from dpodiff.api.parts import chosen_loss, loaded_model
from dpodiff.names import name_of
from dpodiff.objective.evaluation import mean
from dpodiff.results.result import Result, price_text
from dpodiff.results.trace import Record
from dpodiff.solvers.recipes import RECIPES
from dpodiff.spaces.prompts import prompts_of, settings_lines

if TYPE_CHECKING:
    import diffusers
    import torch

    from dpodiff.losses.base import Loss
    from dpodiff.models import Model

NAMES = ("prompt", "negative_prompt", "task", "space", "solver", "budget", "seeds", "verify")
CHOICES = {
    "task": ("improve", "attack"),
    "space": (DEFAULT_SPACE, "antonym+nplib", "antonym", "nplib", "synonym"),
    "solver": tuple(RECIPES),
}
SIDE = 160  # largest width of an image in pixels: four fit on a page of the book
WITHOUT_KERNEL = (
    "<p>With a running kernel, a live panel appears here: it improves a prompt of your own.</p>"
)


def panel(
    prompt: str = "a small red plane in the sky",
    model: "str | Model | diffusers.DiffusionPipeline" = "toy",
    **defaults: Any,
) -> "Panel":
    """Build a panel for `improve` with Run and Stop, a progress bar, and images before and after.

    A run ends with the verdict of the verification. If the verification refuses the best candidate,
    the panel shows it under "found, not proven".

    Args:
        prompt: the prompt to start with.
        model: a name for `dpodiff.load`, loaded by the first run; or a loaded model or pipeline.
        defaults: other arguments of `improve`, except `progress` and `callback`, which the panel
            uses itself. An argument that has a control sets its initial value.

    Raises:
        TypeError: if `improve` has no argument of that name. A run reports bad values in the panel.

    Examples:
        >>> panel = dpodiff.panel("a red ball on the sea", budget=8)
        >>> panel.controls["prompt"].value, panel.controls["budget"].value
        ('a red ball on the sea', 8)
    """
    return Panel(prompt, model=model, **defaults)


class Panel(widgets.VBox):
    """The panel that `panel` builds; its arguments are those of `improve`.

    Attributes:
        controls: controls by the argument of `improve` that they set.
        run_button: button that starts a search.
        stop_button: button that stops it.
        bar: progress bar.
        status: text beside the bar, such as the verdict.
        before: images of the prompt.
        after: images of the best candidate.
        cost: text with the cost so far.
        result: result of the last finished search, or None.

    Examples:
        >>> panel = dpodiff.panel("a red ball on the sea", budget=1, seeds=1)
        >>> panel.run()
        >>> panel.wait()
        >>> panel.result.status
        'budget'
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        bound = inspect.signature(improve).bind(*args, **kwargs)
        bound.apply_defaults()
        super().__init__()
        self.arguments = bound.arguments
        self.arguments["verify"] = self.arguments["verify"] or 0  # its control needs a number
        self.result: Result | None = None
        self.controls = {name: _control(name, self.arguments[name]) for name in NAMES}
        self.run_button = widgets.Button(description="Run", icon="play", button_style="primary")
        self.stop_button = widgets.Button(description="Stop", icon="stop", disabled=True)
        self.run_button.on_click(self.run)
        self.stop_button.on_click(self.stop)
        self.bar = widgets.IntProgress()
        self.status, self.before, self.after, self.cost = (widgets.HTML() for _ in range(4))
        self.children = self._rows()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._tap: _Tap | None = None
        self._best: Record | None = None
        self._images: list[torch.Tensor] = []  # of the best record

    def run(self, _: object = None) -> None:
        """Start a search with the values of the controls, unless one is running."""
        if self.run_button.disabled:
            return
        self._set_running(True)
        self._stop.clear()
        self._tap = None
        self._best, self._images = None, []
        chosen: dict[str, Any] = {name: control.value for name, control in self.controls.items()}
        self.bar.value, self.bar.max = 0, max(chosen["budget"], 1)
        self.before.value = self.after.value = self.cost.value = ""
        self._thread = threading.Thread(target=self._work, args=(chosen,), daemon=True)
        self._thread.start()

    def stop(self, _: object = None) -> None:
        """Stop the search after the current images; its result so far is kept.

        A running verification is stopped too. The result is then not verified.
        """
        self._stop.set()
        self.stop_button.disabled = True

    def wait(self, timeout: float | None = None) -> None:
        """Wait for a running search to end, for at most `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)

    def _rows(self) -> list[widgets.Widget]:
        prompts, choices = list(self.controls.values())[:2], list(self.controls.values())[2:]
        buttons = [self.run_button, self.stop_button, self.bar, self.status]
        wrap = widgets.Layout(flex_flow="row wrap")
        return [
            *prompts,
            widgets.HBox(choices, layout=wrap),
            widgets.HBox(buttons, layout=wrap),
            self.before,
            self.after,
            self.cost,
        ]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return the live view, with the HTML that a page without a kernel shows."""
        shown = self.before.value + self.after.value + self.cost.value
        live: Any = super()._repr_mimebundle_(**kwargs)
        return {**live, "text/html": shown or WITHOUT_KERNEL}

    def _set_running(self, running: bool) -> None:
        self.run_button.disabled, self.stop_button.disabled = running, not running

    def _say(self, text: str) -> None:
        self.status.value = f'<span role="status">{escape(text)}</span>'

    def _work(self, chosen: dict[str, Any]) -> None:
        """Run the search in the thread and show its outcome or its error."""
        try:
            self.result = self._search(chosen)
            self._conclude(self.result)
        except KeyboardInterrupt:  # raised by the tap before any result exists
            self._say("stopped before the first candidate was done")
        except Exception as error:
            # Before any image is made, a ValueError is about the input, and its message is enough.
            made = self._tap is not None and self._tap.used
            expected = isinstance(error, ValueError) and not made
            self._say(str(error) if expected else f"{type(error).__name__}: {error}")
            if not expected:
                raise  # the thread prints the traceback
        finally:
            self._set_running(False)

    def _search(self, chosen: dict[str, Any]) -> Result:
        self._load()
        self._say("searching ...")
        self._tap = _Tap(self.arguments["loss"], self._stop)
        arguments = {**self.arguments, **chosen}
        arguments.update(
            loss=self._tap, progress=False, callback=functools.partial(self._follow, self._tap)
        )
        return improve(**arguments)

    def _load(self) -> None:
        """Load the model and the loss unless they are loaded."""
        if isinstance(self.arguments["model"], str):
            self._say(f"loading {self.arguments['model']} ...")
        model, loss = loaded_model(self.arguments["model"]), self.arguments["loss"]
        self.arguments["model"] = model
        if isinstance(loss, str):
            self.arguments["loss"] = chosen_loss(loss, model, self.arguments["lexicon"])
        elif loss is None:
            self.arguments["loss"] = default_loss(model)
            if self.arguments["second_loss"] is None:
                self.arguments["second_loss"] = default_second_losses(model)

    def _follow(self, tap: "_Tap", record: Record) -> bool:
        """Show the state of the search; return True once it should stop."""
        images = tap.images_of(record)
        if self._best is None:
            self._best = record
            self.before.value = _row("before", record, images)
            self.after.value = _block("<b>after</b>: nothing better found yet")
        elif record.value < self._best.value:
            self._best, self._images = record, images
            self.after.value = _row("after", record, images)
        self.bar.value, best = record.evaluations, mean(self._best.losses)
        self._say(f"{record.evaluations} of {self.bar.max} evaluations, best loss {best:.4f}")
        self.cost.value = _cost(record)
        return self._stop.is_set()

    def _conclude(self, result: Result) -> None:
        """Show the verdict and the images that it is about."""
        self.bar.value = round(result.cost.spent)
        self.cost.value = _block(
            f"<b>cost</b>: {price_text(result.cost)}, {result.cost.images} images, "
            f"{result.cost.denoiser_forwards} denoiser forwards, {result.cost.seconds:.1f} s"
        )
        verification, best = result.verification, self._best
        if verification is not None and verification.accepted:
            records = result.trace.records
            kept = next(r for r in records if r.candidate == result.candidate)
            # The accepted finalist may differ from the best candidate of the search.
            same = best is not None and best.candidate == kept.candidate
            self.after.value = _row("after", kept, self._images if same else [*result.images])
        elif verification is not None and best is not None and self._images:
            self.after.value = _row("found, not proven", best, self._images)
        self._say(_summary(result))


class _Tap:
    """A loss that keeps the images it scores, so that the panel need not make them again.

    An objective scores images in the order of its records. Verification adds no records, so a stop
    is checked here too.
    """

    def __init__(self, loss: "Loss", stop: threading.Event) -> None:
        self.loss, self.stop = loss, stop
        self.__qualname__ = name_of(loss)  # for the trace's stamp
        self.images: deque[torch.Tensor] = deque()
        self.paid = 0  # evaluations
        self.used = False

    def __call__(self, images: "torch.Tensor", prompts: list[str]) -> "torch.Tensor":
        if self.stop.is_set():
            raise KeyboardInterrupt
        self.used = True
        self.images.extend(images.detach().cpu())
        return self.loss(images, prompts)

    def images_of(self, record: Record) -> "list[torch.Tensor]":
        """Return the images (3, height, width) of the next record; empty if none were made."""
        new, self.paid = record.evaluations > self.paid, record.evaluations
        return [self.images.popleft() for _ in record.losses] if new else []


def _control(name: str, value: Any) -> widgets.Dropdown | widgets.IntText | widgets.Text:
    label = name.replace("_", " ")
    if name in CHOICES:  # an unknown value is offered as well: a run explains the error
        options = list(dict.fromkeys([*CHOICES[name], value]))
        return widgets.Dropdown(options=options, description=label, value=value)
    if isinstance(value, int):
        layout = widgets.Layout(width="160px")
        return widgets.IntText(layout=layout, description=label, value=value)
    return widgets.Text(
        layout=widgets.Layout(width="auto"),
        style={"description_width": "initial"},
        description=label,
        value=value,
    )


def _summary(result: Result) -> str:
    said = f"{result.verdict}; ended by: {result.ended_by}"
    if result.verification is not None:
        return said
    return f"mean loss {mean(result.baseline_losses):.4f} -> {mean(result.losses):.4f}; {said}"


def _cost(record: Record) -> str:
    return _block(
        f"<b>cost</b>: {record.evaluations} evaluations, {record.images} images, "
        f"{record.denoiser_forwards} denoiser forwards, {record.seconds:.1f} s"
    )


def _row(title: str, record: Record, images: "list[torch.Tensor]") -> str:
    """Return HTML with the prompts of a record, and its images with their losses below."""
    texts = f"<b>{title}</b>: {escape(record.positive)}"
    if record.negative:
        texts += f"<br><b>negative prompt</b>: {escape(record.negative)}"
    own = prompts_of(record.positive, record.negative, record.guidance, record.window)
    for name, value in settings_lines(own):
        texts += f"<br><b>{name}</b>: {value}"
    cells = "".join(
        f'<div style="flex: none; text-align: center"><img src="{_png(image)}" '
        f'style="max-width: {SIDE}px" alt="{title}, seed {seed}: {escape(record.positive)}">'
        f"<br>loss {loss:.3f}</div>"
        for seed, (image, loss) in enumerate(zip(images, record.losses, strict=True))
    )
    style = "display: flex; gap: 8px; margin: 4px 0 12px; overflow-x: auto"
    return _block(f'{texts}<div style="{style}">{cells}</div>')


def _block(text: str) -> str:
    """Return a block of HTML in which MathJax ignores "$"."""
    return f'<div class="tex2jax_ignore mathjax_ignore">{text}</div>'


def _png(image: "torch.Tensor") -> str:
    """Return a data URL of an image (3, height, width) in [0, 1] as a PNG.

    Small images are enlarged by a whole factor so that pixels stay sharp.
    """
    pixels = image.mul(255).round().byte().permute(1, 2, 0).numpy()
    factor = max(1, SIDE // pixels.shape[1])
    buffer = io.BytesIO()
    Image.fromarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1)).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
