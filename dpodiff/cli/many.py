"""The commands for many prompts: `sweep` runs searches, `report` reads their results."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpodiff.cli.options import (
    FAILED,
    INTERRUPTED,
    WRONG_ARGUMENTS,
    Budget,
    Ids,
    Json,
    Keywords,
    Lexicon,
    Loss,
    Model,
    Modifiers,
    Negative,
    Nplib,
    Overwrite,
    Quiet,
    Seconds,
    Seeds,
    Verify,
    key_words,
)

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 36  # characters of a prompt in a printed table


def sweep(
    prompts: Annotated[
        Path,
        typer.Argument(
            help="A text file with one prompt per line, or JSON with prompts or spaces."
        ),
    ],
    ids: Ids = None,
    task: Annotated[str, typer.Option(help="improve or attack.")] = "improve",
    solver: Annotated[
        list[str], typer.Option(help="epo, random, gpo, hpo, tpe and others; repeatable.")
    ] = ["epo"],  # noqa: B006  (typer reads it, nothing writes it)
    seed: Annotated[list[int], typer.Option(help="Seed of the search; repeatable.")] = [0],  # noqa: B006
    on: Annotated[
        str, typer.Option(help="here, processes (on this machine's CPU) or ray.")
    ] = "here",
    workers: Annotated[
        int | None,
        typer.Option(help="Number of parallel jobs.", show_default="one per core"),
    ] = None,
    retries: Annotated[int, typer.Option(help="Retries of a failed job.")] = 1,
    address: Annotated[
        str | None,
        typer.Option(help="Address of a Ray cluster, or auto.", show_default="a new one"),
    ] = None,
    gpus: Annotated[float, typer.Option(help="GPUs of each Ray worker.")] = 0,
    negative_prompt: Negative = "",
    model: Model = "toy",
    loss: Loss = None,
    space: Annotated[
        str | None,
        typer.Option(
            help='What may change: names of spaces, joined by "+".', show_default="that of the task"
        ),
    ] = None,
    similarity: Annotated[
        float | None,
        typer.Option(help="Lowest cosine with the prompt in an attack.", show_default="0.9"),
    ] = None,
    lexicon: Lexicon = None,
    keywords: Keywords = None,
    nplib: Nplib = None,
    modifiers: Modifiers = None,
    budget: Budget = 40,
    seconds: Seconds = None,
    seeds: Seeds = 4,
    verify: Verify = 40,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the files.", show_default="runs/ and the name of the file"),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Run one search per prompt of a file, solver and seed.

    Results are written as they arrive. After an interruption, the same command continues and
    repeats failed searches.

    For example:

    dpodiff sweep prompts.txt --solver epo --solver random --out runs/x

    dpodiff sweep spaces.json --ids 0,3-5 --on ray --workers 2 --out runs/y

    dpodiff report runs/x
    """
    given = {"space": space, "similarity": similarity}
    run(
        prompts,
        out=out,
        overwrite=overwrite,
        as_json=as_json,
        ids=ids,
        task=task,
        solver=solver,
        seed=seed,
        on=on,
        workers=workers,
        retries=retries,
        address=address,
        gpus=gpus,
        negative_prompt=negative_prompt,
        model=model,
        loss=loss,
        lexicon=lexicon,
        keywords=key_words(keywords),
        nplib=nplib,
        modifiers=modifiers,
        budget=budget,
        seconds=seconds,
        seeds=seeds,
        verify=verify,
        progress=not quiet,
        **{name: value for name, value in given.items() if value is not None},
    )


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a sweep or of one search.")],
    as_json: Json = False,
) -> None:
    """Print a folder's results: the table and summary of a sweep, or the result of one search.

    The summary has the number of accepted results, and the mean change of the loss over prompts
    with its 95% interval.

    Example: dpodiff report runs/x --json
    """
    try:
        text = reported(folder, as_json)
    except (ValueError, OSError) as error:
        typer.echo(f"dpodiff: {error}", err=True)
        raise typer.Exit(WRONG_ARGUMENTS) from None
    typer.echo(text)


def run(prompts: Path, *, out: Path | None, as_json: bool, **settings: Any) -> None:
    """Run a sweep, print the table, and exit with a code."""
    import dpodiff

    out = out or Path("runs") / prompts.stem
    try:
        table = dpodiff.sweep(prompts, out=out, **settings)
    except KeyboardInterrupt:
        typer.echo(f"dpodiff: interrupted; the same command continues {out}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
        typer.echo(f"dpodiff: {error}", err=True)
        raise typer.Exit(WRONG_ARGUMENTS) from None
    typer.echo(json_of(table) if as_json else f"{text_of(table)}\nfiles: {out}")
    if (table["status"] == "failed").any():
        raise typer.Exit(FAILED)


def only_one(prompt: str | None, prompts: Path | None, ids: str | None) -> str:
    """Return the prompt of a single search.

    Raises:
        BadParameter: if there is no prompt, a prompt and a file, or ids without a file.
    """
    if prompt is None:
        raise typer.BadParameter("give a prompt, or a file of prompts with --prompts")
    if prompts is not None:
        raise typer.BadParameter("give a prompt or --prompts, not both")
    if ids is not None:
        raise typer.BadParameter("--ids chooses from the file of --prompts, which is not given")
    return prompt


def reported(folder: Path, as_json: bool) -> str:
    """Return the report of a folder, which holds a sweep or one search.

    Raises:
        ValueError: if it holds neither.
    """
    from dpodiff.results.folder import RESULT, TRACE
    from dpodiff.results.saved import load_result
    from dpodiff.results.trace import Trace
    from dpodiff.sweeps import read_table
    from dpodiff.sweeps.log import FILES

    if any(folder.glob(FILES)):
        table = read_table(folder)
        return json_of(table) if as_json else text_of(table)
    if (folder / RESULT).exists():
        result = load_result(folder)
        return json.dumps(json.loads((folder / RESULT).read_text())) if as_json else str(result)
    if (folder / TRACE).exists():
        raise ValueError(f"the search of {folder} has no {RESULT}: {Trace.load(folder / TRACE)}")
    raise ValueError(f"{folder} has neither a sweep ({FILES}) nor a search ({RESULT})")


def json_of(table: "pd.DataFrame") -> str:
    """Return the rows of a sweep and its summary as JSON."""
    from dpodiff.sweeps import summary

    rows = json.loads(str(table.to_json(orient="records")))
    return json.dumps({"summary": [line.to_json() for line in summary(table)], "jobs": rows})


def text_of(table: "pd.DataFrame") -> str:
    """Return the rows of a sweep and its summary as text."""
    from dpodiff.sweeps import summary

    failed = table[table["status"] == "failed"]
    errors = [
        f"failed: prompt {row.prompt_id}, {row.solver}, seed {row.seed}: {row.error}"
        for row in failed.itertuples()
    ]
    return "\n".join([_rows(table), "", *errors, *map(str, summary(table))])


def _rows(table: "pd.DataFrame") -> str:
    verdicts = table["accepted"].map({True: "accepted", False: "refused"}).astype(object)
    verdicts = verdicts.where(table["accepted"].notna(), "not verified")
    shown = table[["prompt_id", "prompt", "solver", "seed"]].assign(
        prompt=table["prompt"].map(_cut),
        verdict=verdicts.where(table["status"] != "failed", "failed"),
        **{name: table[name].round(4) for name in ("loss_before", "loss_after", "change")},
        low=table["low"].round(4),
        high=table["high"].round(4),
    )
    return shown.rename(columns={"prompt_id": "id"}).to_string(index=False, na_rep="")


def _cut(prompt: str) -> str:
    return prompt if len(prompt) <= WIDTH else f"{prompt[: WIDTH - 1]}…"
