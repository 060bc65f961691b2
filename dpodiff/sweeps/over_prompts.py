"""Sweeps: one call runs every prompt with every solver and every seed, and returns a table."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpodiff.api.advice import check_known
from dpodiff.api.defaults import is_toy
from dpodiff.api.parts import loaded_model
from dpodiff.checks import check_path
from dpodiff.results.tensors import Tensors
from dpodiff.sweeps.folders import locked
from dpodiff.sweeps.jobs import Job
from dpodiff.sweeps.log import ADVICE, remove, results, run_jobs
from dpodiff.sweeps.prompts import Id, Prompts, items
from dpodiff.sweeps.running import Outcome, Where, check_places
from dpodiff.sweeps.searches import FUNCTIONS, Searches, Task
from dpodiff.sweeps.settings import (
    check_settings,
    described,
    full_settings,
    seeds_of,
    solvers_by_name,
)
from dpodiff.sweeps.tables import TABLE, table, write_parquet

if TYPE_CHECKING:
    import pandas as pd

    from dpodiff.solvers import Solver

TRACES = "traces"
EVERY = 60.0  # seconds between two writes of the Parquet table


def sweep(
    prompts: Prompts,
    *,
    out: str | os.PathLike,
    ids: str | Sequence[Id] | None = None,
    task: Task = "improve",
    solver: "str | Callable[..., Solver] | Iterable | Mapping[str, Any]" = "epo",
    seed: int | Iterable[int] = 0,
    on: Where = "here",
    workers: int | None = None,
    retries: int = 1,
    address: str | None = None,
    gpus: float = 0,
    overwrite: bool = False,
    progress: bool = True,
    **settings: Any,
) -> "pd.DataFrame":
    """Search the wordings of many prompts, with several solvers and seeds, as one job each.

    Results are written as they arrive. After a kill, the next call with the same folder continues:
    failed jobs are repeated, finished ones are not.

    Args:
        prompts: a list of prompts or of `Space` objects; `{id: prompt}` or `{id: space}`; the
            return value of `read_prompts` or `read_spaces`; or the path of such a file, from which
            an attack uses only the synonyms. The default id is the position in the list, from 0.
        out: folder for the results.
        ids: prompts to use, such as "0,3-5", or a list of ids; None is all.
        task: "improve" or "attack".
        solver: as in `improve`; several in a list, or in a mapping from your own names.
        seed: seed of the solver; several in a list or range.
        on: "here" for this process, "processes" for the CPU of this machine, or "ray" for a cluster
            or this machine, which needs the extra `dpodiff[ray]`. A script that starts processes
            needs the guard `if __name__ == "__main__":`.
        workers: number of parallel jobs. Each worker loads its own model once. None is one per
            core, with Ray as many as fit on the cluster.
        retries: number of times that a job is repeated after it failed or its worker died.
        address: address of the Ray cluster, such as "auto". None is RAY_ADDRESS of the environment,
            or else a new Ray on this machine.
        gpus: GPUs of each Ray worker; with 0.5 two workers share one.
        overwrite: whether to remove existing results of the folder first.
        progress: whether to show a progress bar on stderr.
        settings: settings of each search, as in `improve` or `attack`: `budget`, `model`, `loss`,
            ...

    Returns:
        one row per job, by prompt, solver and seed in the given order. Columns: "prompt_id",
        "prompt", "solver", "seed"; "status" of the search, or "failed" with the "error"; "verdict";
        "accepted", missing if the result was not verified; "loss_before" and "loss_after", mean
        losses of the user's prompt and of the best candidate, with the "change" and its interval,
        "low" and "high", on the fresh seeds of the verification. Without a verification they are
        those of the search's seeds, and there is no interval. "found_prompt" and
        "found_negative_prompt" are those of the candidate, "returned_prompt" and
        "returned_negative_prompt" the user's own if it was not accepted; both with guidance and
        window, such as "0.17-0.5". Then "evaluations", "images" and "seconds".

    Raises:
        TypeError: if searches have no setting of that name. The message suggests the right one.
        OSError: if a file cannot be read or written. It is a `LoadError` if a part cannot be
            loaded.
        ValueError: if an argument is invalid; the message says what would be right. If the folder
            has other settings, which the message names. It is a `PromptError` if the model cannot
            take a prompt. This is checked before the first job if the model is loaded in this
            process or is a toy model. Otherwise the job fails.
        RuntimeError: if another process is writing to the folder.
        ImportError: if Ray is needed and missing.

    Examples:
        >>> table = dpodiff.sweep(
        ...     ["a red ball", "a blue car"], out="runs/two", solver=["epo", "random"], budget=4,
        ...     seeds=1, verify=0, progress=False,
        ... )
        >>> table[["prompt", "solver", "status", "evaluations"]]
               prompt  solver  status  evaluations
        0  a red ball     epo  budget          4.0
        1  a red ball  random  budget          4.0
        2  a blue car     epo  budget          4.0
        3  a blue car  random  budget          4.0
        >>> (table["change"] <= 0).all()
        np.True_
    """
    check_places(on, workers, retries, address, gpus)
    check_path("out", out)
    check_known("task", task, FUNCTIONS)
    full = full_settings(task, settings)
    chosen, solvers, seeds = items(prompts, task, ids), solvers_by_name(solver), seeds_of(seed)
    check_settings(task, chosen, solvers, seeds, full)
    if not isinstance(full["model"], str):
        full["model"] = loaded_model(full["model"])  # of a pipeline
    folder, spaces = Path(out), {item.id: item.space for item in chosen if item.space}
    searches = Searches(task, solvers, spaces, full, folder.absolute() / TRACES)
    if on == "processes":
        searches.device, searches.threads = "cpu", _threads(workers)
    if on == "here" or not isinstance(full["model"], str) or is_toy(full["model"]):
        for item in chosen:
            searches.model.check(item.prompt, full["negative_prompt"])
    jobs = [
        (item.id, name, one, item.prompt, item.digest)
        for item, name, one in product(chosen, solvers, seeds)
    ]
    _prepare(folder, jobs, overwrite)
    found = run_jobs(
        searches,
        jobs,
        folder,
        settings=described(task, full),
        on=on,
        workers=workers,
        retries=retries,
        address=address,
        gpus=gpus,
        progress=progress,
        each=_keep_table(folder),
    )
    write_parquet(folder)
    return table(found)


def _threads(workers: int | None) -> int:
    """Return torch's threads per process, so that all together have one thread per core."""
    cores = os.cpu_count() or 1
    return max(1, cores // (workers or cores))


def _prepare(folder: Path, jobs: Sequence[Job], overwrite: bool) -> None:
    """Empty the folder, or check that its jobs have the same prompts.

    Raises:
        ValueError: if a prompt or its space has changed; the message names it.
    """
    if overwrite:
        with locked(folder):
            remove(folder)
            (folder / TABLE).unlink(missing_ok=True)
            for path in (folder / TRACES).glob("*.jsonl"):
                Tensors(path).clear()
                path.unlink()
    wanted = {job[:3]: job[3:] for job in jobs}
    for known in results(folder):
        prompt, space = wanted.get(known[:3], known[3:])
        if prompt != known[3]:
            raise ValueError(
                f"{folder}: prompt {known[0]} was {known[3]!r}, not {prompt!r}: {ADVICE}"
            )
        if space != known[4]:
            raise ValueError(f"{folder}: prompt {known[0]} had another space: {ADVICE}")
    (folder / TRACES).mkdir(parents=True, exist_ok=True)


def _keep_table(folder: Path) -> Callable[[Outcome], None]:
    """Return a function that writes the Parquet table from time to time."""
    written = time.monotonic()

    def keep(outcome: Outcome) -> None:
        nonlocal written
        if time.monotonic() - written > EVERY:
            write_parquet(folder)
            written = time.monotonic()

    return keep
