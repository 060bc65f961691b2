"""Commands, their options and exit codes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dpodiff.cli import many
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
    Out,
    Overwrite,
    Prompt,
    PromptOrFile,
    Prompts,
    Quiet,
    Seconds,
    Seed,
    Seeds,
    Solver,
    Verify,
    key_words,
    numbers,
)
from dpodiff.cli.spaces import spaces
from dpodiff.cli.study import study, study_report

if TYPE_CHECKING:
    from dpodiff.cli.folders import Folder
    from dpodiff.results.result import Result

app = typer.Typer(
    help="Better prompts for text-to-image diffusion models, without training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version if the option is given."""
    if show:
        from dpodiff import __version__

        typer.echo(__version__)


@app.command()
def info(as_json: Json = False) -> None:
    """Print versions, the device, optional packages, and the names that options take."""
    from dpodiff.cli.info import as_text, collect

    found = collect()
    typer.echo(json.dumps(found) if as_json else as_text(found))


@app.command()
def improve(
    prompt: PromptOrFile = None,
    prompts: Prompts = None,
    ids: Ids = None,
    negative_prompt: Negative = "",
    model: Model = "toy",
    loss: Loss = None,
    space: Annotated[
        str, typer.Option(help='What may change: names of spaces, joined by "+".')
    ] = "modifiers+antonym+nplib",
    lexicon: Lexicon = None,
    keywords: Keywords = None,
    nplib: Nplib = None,
    modifiers: Modifiers = None,
    solver: Solver = "epo",
    budget: Budget = 40,
    seconds: Seconds = None,
    seeds: Seeds = 4,
    seed: Seed = 0,
    verify: Verify = 40,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search for the words whose images fit the prompt best, and verify them on fresh seeds.

    For example:

    dpodiff improve "a small red plane in the sky" --budget 60

    dpodiff improve --prompts prompts.txt --ids 0,3-5 --out runs/mine
    """
    settings = {
        "negative_prompt": negative_prompt,
        "model": model,
        "loss": loss,
        "space": space,
        "lexicon": lexicon,
        "keywords": key_words(keywords),
        "nplib": nplib,
        "modifiers": modifiers,
        "solver": solver,
        "budget": budget,
        "seconds": seconds,
        "seeds": seeds,
        "seed": seed,
        "verify": verify,
        "progress": not quiet,
    }
    if prompts is not None and prompt is None:
        folder = out or Path("runs") / prompts.stem
        many.run(
            prompts,
            out=folder,
            overwrite=overwrite,
            as_json=as_json,
            ids=ids,
            task="improve",
            **settings,
        )
    else:
        one = many.only_one(prompt, prompts, ids)
        _run("improve", one, settings, out=out, overwrite=overwrite, as_json=as_json)


@app.command()
def attack(
    prompt: PromptOrFile = None,
    prompts: Prompts = None,
    ids: Ids = None,
    negative_prompt: Negative = "",
    model: Model = "toy",
    loss: Loss = None,
    space: Annotated[
        str, typer.Option(help='What may change: names of spaces, joined by "+".')
    ] = "synonym",
    similarity: Annotated[float, typer.Option(help="Lowest cosine with the prompt.")] = 0.9,
    lexicon: Lexicon = None,
    keywords: Keywords = None,
    nplib: Nplib = None,
    modifiers: Modifiers = None,
    solver: Solver = "epo",
    budget: Budget = 40,
    seconds: Seconds = None,
    seeds: Seeds = 4,
    seed: Seed = 0,
    verify: Verify = 40,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search for words of the same meaning whose images fit the prompt worst.

    For example:

    dpodiff attack "a small red plane in the sky" --similarity 0.8

    dpodiff attack --prompts prompts.txt --ids 0,3-5 --out runs/attacked
    """
    settings = {
        "negative_prompt": negative_prompt,
        "model": model,
        "loss": loss,
        "space": space,
        "similarity": similarity,
        "lexicon": lexicon,
        "keywords": key_words(keywords),
        "nplib": nplib,
        "modifiers": modifiers,
        "solver": solver,
        "budget": budget,
        "seconds": seconds,
        "seeds": seeds,
        "seed": seed,
        "verify": verify,
        "progress": not quiet,
    }
    if prompts is not None and prompt is None:
        folder = out or Path("runs") / prompts.stem
        many.run(
            prompts,
            out=folder,
            overwrite=overwrite,
            as_json=as_json,
            ids=ids,
            task="attack",
            **settings,
        )
    else:
        one = many.only_one(prompt, prompts, ids)
        _run("attack", one, settings, out=out, overwrite=overwrite, as_json=as_json)


@app.command()
def align(
    prompt: Prompt,
    negative_prompt: Negative = "",
    model: Model = "toy",
    loss: Loss = None,
    method: Annotated[
        str, typer.Option(help="dno, reno, zero-order, best-of-n, or joint.")
    ] = "dno",
    estimator: Annotated[
        str | None,
        typer.Option(help="checkpointed, full or hybrid.", show_default="that of the method"),
    ] = None,
    eta: Annotated[
        float, typer.Option(help="Noise of the sampler, 0 to 1; above 0 every step is searched.")
    ] = 0.0,
    space: Annotated[
        str | None,
        typer.Option(help="Words that may change in joint.", show_default="antonym+nplib"),
    ] = None,
    keywords: Keywords = None,
    nplib: Nplib = None,
    modifiers: Modifiers = None,
    setting: Annotated[
        list[str],
        typer.Option(help="Setting of the method, NAME=NUMBER; repeatable.", show_default=False),
    ] = [],  # noqa: B006  (typer reads it, nothing writes it)
    budget: Annotated[int, typer.Option(help="Evaluations; one is one image per seed.")] = 100,
    seeds: Annotated[int, typer.Option(help="Images.")] = 4,
    seed: Seed = 0,
    out: Out = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search the noise of each seed for the image that fits the prompt best.

    Example: dpodiff align "a small red plane in the sky" --setting gamma=0.1 --seeds 2
    """
    settings = {
        "negative_prompt": negative_prompt,
        "model": model,
        "loss": loss,
        "method": method,
        "estimator": estimator,
        "eta": eta,
        "space": space,
        "keywords": key_words(keywords),
        "nplib": nplib,
        "modifiers": modifiers,
        "budget": budget,
        "seeds": seeds,
        "seed": seed,
        "progress": not quiet,
        **numbers(setting),
    }
    _run("align", prompt, settings, out=out, overwrite=overwrite, as_json=as_json)


app.command()(spaces)
app.command()(many.sweep)
app.command()(many.report)
app.command()(study)
app.command()(study_report)


def _run(
    call: str,
    prompt: str,
    settings: dict[str, Any],
    *,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Search, write the folder, print the result, and exit with a code."""
    from dpodiff.cli.folders import Folder

    try:
        folder = Folder(out or Path("runs") / _slug(prompt), overwrite)
        result = _searched(call, prompt, settings, folder)
    except (ValueError, TypeError, ImportError, OSError) as error:
        typer.echo(f"dpodiff: {error}", err=True)
        raise typer.Exit(WRONG_ARGUMENTS) from None
    folder.save(result)
    typer.echo(json.dumps(result.to_json()) if as_json else f"{result}\nfiles:            {folder}")
    if result.status in ("failed", "stopped"):
        raise typer.Exit(FAILED if result.status == "failed" else INTERRUPTED)


def _searched(call: str, prompt: str, settings: dict[str, Any], folder: "Folder") -> "Result":
    """Return the result of `dpodiff.improve` or `dpodiff.attack`, with its trace in the folder."""
    import dpodiff

    with folder.made():
        search = getattr(dpodiff, call)
        return search(prompt, trace=folder.trace, overwrite=folder.overwrite, **settings)


def _slug(prompt: str) -> str:
    """Return a folder name from the words of a prompt."""
    words = "".join(letter if letter.isalnum() else " " for letter in prompt.casefold()).split()
    return "-".join(words)[:60].rstrip("-") or "prompt"
