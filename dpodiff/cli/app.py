"""Commands, their options and exit codes."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dpodiff.cli.folders import Folder
    from dpodiff.results.result import Result

WRONG_ARGUMENTS, FAILED, INTERRUPTED = 2, 1, 130  # exit codes

app = typer.Typer(
    help="Better prompts for text-to-image diffusion models, without training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Prompt = Annotated[str, typer.Argument(help="What the images should show.", show_default=False)]
Negative = Annotated[str, typer.Option(help="What the images should not show.")]
Model = Annotated[str, typer.Option(help="A name such as sd-v1-5, a folder, or a hub id.")]
Loss = Annotated[
    str | None, typer.Option(help="A name such as contrastive.", show_default="that of the model")
]
Lexicon = Annotated[
    str | None, typer.Option(help="toy or wordnet.", show_default="that of the model")
]
Solver = Annotated[str, typer.Option(help="epo, random, gpo, hpo, tpe, forward and others.")]
Budget = Annotated[int, typer.Option(help="Evaluations, verification included.")]
Seconds = Annotated[
    float | None, typer.Option(help="After which the search ends.", show_default="never")
]
Seeds = Annotated[int, typer.Option(help="Images a candidate.")]
Seed = Annotated[int, typer.Option(help="Of the search.")]
Verify = Annotated[int, typer.Option(help="Fresh seeds that test the result; 0 for no test.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for the files.", show_default="runs/ and the words of the prompt"),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the files of that folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Print the version, if it is asked for."""
    if show:
        from dpodiff import __version__

        typer.echo(__version__)


@app.command()
def improve(
    prompt: Prompt,
    negative_prompt: Negative = "",
    model: Model = "toy",
    loss: Loss = None,
    space: Annotated[
        str, typer.Option(help='What may change: names of spaces, joined by "+".')
    ] = "modifiers+antonym+nplib",
    lexicon: Lexicon = None,
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
    """Search for the words whose images fit the prompt best, and prove it on fresh seeds.

    Example: dpodiff improve "a small red plane in the sky" --budget 60
    """
    settings = {
        "negative_prompt": negative_prompt,
        "model": model,
        "loss": loss,
        "space": space,
        "lexicon": lexicon,
        "solver": solver,
        "budget": budget,
        "seconds": seconds,
        "seeds": seeds,
        "seed": seed,
        "verify": verify,
        "progress": not quiet,
    }
    _run("improve", prompt, settings, out=out, overwrite=overwrite, as_json=as_json)


@app.command()
def attack(
    prompt: Prompt,
    negative_prompt: Negative = "",
    model: Model = "toy",
    loss: Loss = None,
    space: Annotated[
        str, typer.Option(help='What may change: names of spaces, joined by "+".')
    ] = "synonym",
    similarity: Annotated[float, typer.Option(help="To the prompt, at least; a cosine.")] = 0.9,
    lexicon: Lexicon = None,
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
    """Search for the words that mean the same and whose images fit the prompt worst.

    Example: dpodiff attack "a small red plane in the sky" --similarity 0.8
    """
    settings = {
        "negative_prompt": negative_prompt,
        "model": model,
        "loss": loss,
        "space": space,
        "similarity": similarity,
        "lexicon": lexicon,
        "solver": solver,
        "budget": budget,
        "seconds": seconds,
        "seeds": seeds,
        "seed": seed,
        "verify": verify,
        "progress": not quiet,
    }
    _run("attack", prompt, settings, out=out, overwrite=overwrite, as_json=as_json)


def _run(
    call: str,
    prompt: str,
    settings: dict[str, Any],
    *,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Search, write the folder, print the result, and end with an exit code."""
    from dpodiff.cli.folders import Folder, summary

    try:
        folder = Folder(out or Path("runs") / _slug(prompt), overwrite)
        result = _searched(call, prompt, settings, folder)
    except (ValueError, TypeError, ImportError, OSError) as error:
        typer.echo(f"dpodiff: {error}", err=True)
        raise typer.Exit(WRONG_ARGUMENTS) from None
    folder.save(result)
    typer.echo(json.dumps(summary(result)) if as_json else f"{result}\nfiles:            {folder}")
    if result.status in ("failed", "stopped"):
        raise typer.Exit(FAILED if result.status == "failed" else INTERRUPTED)


def _searched(call: str, prompt: str, settings: dict[str, Any], folder: "Folder") -> "Result":
    """The result of `dpodiff.improve` or `dpodiff.attack`, its trace in the folder."""
    import dpodiff

    with folder.made():
        search = getattr(dpodiff, call)
        return search(prompt, trace=folder.trace, overwrite=folder.overwrite, **settings)


def _slug(prompt: str) -> str:
    """The words of a prompt as a name for a folder."""
    words = "".join(letter if letter.isalnum() else " " for letter in prompt.casefold()).split()
    return "-".join(words)[:60].rstrip("-") or "prompt"
