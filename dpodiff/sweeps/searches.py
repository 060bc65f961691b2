"""The job of a sweep: one search of `improve` or `attack`, with parts that stay loaded."""

import hashlib
import inspect
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dpodiff.api import attack, improve
from dpodiff.api.defaults import is_toy
from dpodiff.api.parts import chosen_loss, loaded_lexicon, loaded_model
from dpodiff.api.second_losses import chosen_second_losses
from dpodiff.objective.evaluation import mean
from dpodiff.results.comparison import SEARCHED
from dpodiff.spaces.space import Space
from dpodiff.sweeps.prompts import Id

if TYPE_CHECKING:
    from dpodiff.models.base import TextToImage
    from dpodiff.results.result import Result
    from dpodiff.solvers import Solver
    from dpodiff.spaces.prompts import Prompts

Task = Literal["improve", "attack"]
FUNCTIONS: dict[str, Callable[..., "Result"]] = {"improve": improve, "attack": attack}
LONGEST = 80  # characters of a file name


def defaults_of(task: Task) -> dict[str, Any]:
    """Return the settings of a search with their defaults."""
    parameters = inspect.signature(FUNCTIONS[task]).parameters
    own = {"prompt", "solver", "seed", "task", "trace", "progress", "callback"}
    return {name: one.default for name, one in parameters.items() if name not in own}


class Searches:
    """Runs one search per job; model, losses and lexicon are loaded once.

    Args:
        task: "improve" or "attack".
        solvers: solvers by their names in jobs.
        spaces: spaces of the prompts that have one, by id.
        settings: all settings of every search.
        traces: folder of the traces with one file per job, from which interrupted searches
            continue. If the folder is missing, as on another machine, no traces are written.
        device: device for a model that is loaded here, as in `dpodiff.load`.
        threads: number of torch's threads; None does not change it.
    """

    def __init__(
        self,
        task: Task,
        solvers: "Mapping[str, str | Callable[..., Solver]]",
        spaces: Mapping[Id, Space],
        settings: Mapping[str, Any],
        traces: Path,
        device: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.task, self.solvers, self.spaces = task, solvers, spaces
        self.settings, self.traces = settings, traces
        self.device, self.threads = device, threads

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for another worker, without what was loaded here."""
        loaded = ("model", "loaded")
        return {name: value for name, value in self.__dict__.items() if name not in loaded}

    @cached_property
    def model(self) -> "TextToImage":
        """The model, loaded if it is given by name."""
        return loaded_model(self.settings["model"], self.device)

    @cached_property
    def loaded(self) -> dict[str, Any]:
        """The settings, with all parts loaded."""
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)
        given, model = dict(self.settings), self.model
        lexicon, loss = loaded_lexicon(model, given["lexicon"]), given["loss"]
        second = chosen_second_losses(given["second_loss"], model, lexicon, by_default=loss is None)
        loss = chosen_loss(loss, model, lexicon)
        given |= {"model": model, "lexicon": lexicon, "loss": loss, "second_loss": second}
        if self.task == "attack":
            given["encoder"] = self._encoder(model)
        return given

    def _encoder(self, model: Any) -> Any:
        from dpodiff.spaces.constraints import SENTENCE_T5, load_encoder

        encoder = self.settings["encoder"] or ("toy" if is_toy(model) else SENTENCE_T5)
        return load_encoder(encoder, self.device) if isinstance(encoder, str) else encoder

    def __call__(self, id: Id, solver: str, seed: int, prompt: str, space: str) -> dict[str, Any]:
        """Return the row of one search; `space` is the hash of the prompt's own space, or empty.

        Raises:
            Exception: the error of a failed search or verification, so that the job is repeated.
            KeyboardInterrupt: if it was stopped.
        """
        settings = dict(self.loaded)
        if space:
            settings["space"] = self.spaces[id]
        trace = self.traces / f"{file_name(f'{id}-{solver}-{seed}')}.jsonl"
        result = FUNCTIONS[self.task](
            prompt,
            solver=self.solvers[solver],
            seed=seed,
            trace=trace if self.traces.is_dir() else None,
            progress=False,
            **settings,
        )
        if result.status == "stopped":
            raise KeyboardInterrupt
        if result.status == "failed":
            raise result.error or RuntimeError("the search failed")
        return row(result)


def row(result: "Result") -> dict[str, Any]:
    """Return the row of a search; its losses are those of fresh seeds if it was verified."""
    made, found, returned = result.verification, result.found, result.prompts
    if made is not None and made.comparisons:
        comparison = made.comparisons[0]
        before, after = comparison.before, comparison.after
        change, low, high = comparison.changes[SEARCHED]
    else:
        before, after = mean(result.baseline_losses), mean(found.losses)
        change, low, high = after - before, None, None
    return {
        "status": result.status,
        "verdict": result.verdict,
        "accepted": None if made is None else made.accepted,
        "loss_before": before,
        "loss_after": after,
        "change": change,
        "low": low,
        "high": high,
        "found_prompt": str(found.prompts.positive),
        "found_negative_prompt": str(found.prompts.negative),
        "found_guidance": found.prompts.guidance,
        "found_window": _window(found.prompts),
        "returned_prompt": str(returned.positive),
        "returned_negative_prompt": str(returned.negative),
        "returned_guidance": returned.guidance,
        "returned_window": _window(returned),
        "evaluations": result.cost.spent,
        "images": result.cost.images,
        "seconds": round(result.cost.seconds, 3),
    }


def _window(prompts: "Prompts") -> str | None:
    """Return the window of prompts for a table, such as "0.17-0.5"; None is all steps."""
    return None if prompts.window is None else "{:g}-{:g}".format(*prompts.window)


def file_name(text: str) -> str:
    """Return a text as a file name; if characters were replaced, a hash makes it unique."""
    plain = re.sub(r"[^\w.-]+", "_", text)[:LONGEST]
    if plain == text:
        return plain
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
