"""Arguments, options and exit codes that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

WRONG_ARGUMENTS, FAILED, INTERRUPTED = 2, 1, 130  # exit codes

PromptOrFile = Annotated[
    str | None,
    typer.Argument(help="What the images should show; or give --prompts.", show_default=False),
]
Prompts = Annotated[
    Path | None,
    typer.Option(
        help="A file of prompts or spaces instead of one prompt: each is a job, as with "
        "`dpodiff sweep`.",
        show_default=False,
    ),
]
Ids = Annotated[
    str | None,
    typer.Option(help="Which prompts of the file, from 0, such as 0,3-5.", show_default="all"),
]
Prompt = Annotated[str, typer.Argument(help="What the images should show.", show_default=False)]
Negative = Annotated[str, typer.Option(help="What the images should not show.")]
Model = Annotated[
    str, typer.Option(help="A name such as toy-small or sd-v1-5, a folder, or a hub id.")
]
Loss = Annotated[
    str | None, typer.Option(help="A name such as contrastive.", show_default="that of the model")
]
Lexicon = Annotated[
    str | None, typer.Option(help="toy, wordnet or llm.", show_default="that of the model")
]
Nplib = Annotated[
    Path | None,
    typer.Option(
        help="A file of words for the space nplib, one a line.", show_default="the library"
    ),
]
Modifiers = Annotated[
    Path | None,
    typer.Option(
        help="A file of words for the space modifiers, one a line.", show_default="the library"
    ),
]
Keywords = Annotated[
    str | None,
    typer.Option(
        help='The only words of the prompt that may change, such as red,ball; or "auto".',
        show_default="all",
    ),
]
Solver = Annotated[str, typer.Option(help="epo, random, gpo, hpo, tpe, forward and others.")]
Budget = Annotated[int, typer.Option(help="Evaluations, verification included.")]
Seconds = Annotated[
    float | None, typer.Option(help="Time limit of the search in seconds.", show_default="never")
]
Seeds = Annotated[int, typer.Option(help="Images a candidate.")]
Seed = Annotated[int, typer.Option(help="Of the search.")]
Verify = Annotated[int, typer.Option(help="Fresh seeds of the verification; 0 for none.")]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for the files.", show_default="runs/ and the words of the prompt"),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the files of that folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


def key_words(text: str | None) -> bool | list[str]:
    """Return the value of --keywords in the form that `dpodiff.improve` takes."""
    if text is None:
        return False
    return True if text == "auto" else [word.strip() for word in text.split(",")]


def numbers(pairs: list[str]) -> dict[str, float]:
    """Return settings of a method, given as NAME=NUMBER, by name.

    Raises:
        BadParameter: if a pair has another form; the message names it.
    """
    found = {}
    for pair in pairs:
        name, _, number = pair.partition("=")
        try:
            found[name.strip()] = int(number) if number.strip().isdigit() else float(number)
        except ValueError:
            text = f"--setting {pair!r} is not NAME=NUMBER, such as gamma=0.1"
            raise typer.BadParameter(text) from None
    return found
