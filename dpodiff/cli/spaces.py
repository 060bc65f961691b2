"""The command `spaces`: the words of a prompt that may change, and their alternatives."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dpodiff.cli.options import WRONG_ARGUMENTS, Ids, Json, Overwrite, PromptOrFile, Prompts

if TYPE_CHECKING:
    from dpodiff.spaces.space import Space


def spaces(
    prompt: PromptOrFile = None,
    prompts: Prompts = None,
    ids: Ids = None,
    space: Annotated[str, typer.Option(help="synonym, antonym, or synonym+antonym.")] = (
        "synonym+antonym"
    ),
    lexicon: Annotated[str, typer.Option(help="wordnet, toy or llm.")] = "wordnet",
    out: Annotated[
        Path | None, typer.Option(help="A space file to write.", show_default="none")
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Print alternatives to the words of a prompt, and write them to a file.

    For example:

    dpodiff spaces "an old lighthouse on a stormy coast"

    dpodiff spaces --prompts prompts.txt --out spaces.json
    """
    from dpodiff.cli.many import only_one

    try:
        texts = [only_one(prompt, prompts, ids)] if prompts is None else _texts(prompts, ids)
        found = [_built(text, space, lexicon) for text in texts]
        if out is not None:
            _write(out, found, overwrite)
    except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
        typer.echo(f"dpodiff: {error}", err=True)
        raise typer.Exit(WRONG_ARGUMENTS) from None
    typer.echo(_json(found) if as_json else _text(found))


def _texts(path: Path, ids: str | None) -> list[str]:
    """Return the prompts of a file, or those with the given ids."""
    from dpodiff.sweeps.prompts import items

    return [item.prompt for item in items(path, "improve", ids)]


def _built(prompt: str, space: str, lexicon: str) -> "Space":
    """Return the space of one prompt, the sum of its kinds.

    Raises:
        ValueError: if a kind or the lexicon is unknown.
    """
    from dpodiff.api.advice import check_known
    from dpodiff.api.parts import check_lexicon, lexicon_of
    from dpodiff.spaces.lexicons import antonym_space, synonym_space
    from dpodiff.spaces.lexicons.base import KINDS
    from dpodiff.spaces.space import Space

    check_lexicon(lexicon)
    found = Space(prompt)
    for name in dict.fromkeys(space.split("+")):
        check_known("space", name, KINDS)
        if name == "synonym":
            found += synonym_space(prompt, lexicon_of(prompt, lexicon, "synonym"))
        else:
            found += antonym_space(prompt, lexicon_of(prompt, lexicon, "antonym"))
    return found


def _write(path: Path, found: "list[Space]", overwrite: bool) -> None:
    from dpodiff.spaces.files import write_spaces

    write_spaces(path, found, overwrite=overwrite)


def _json(found: "list[Space]") -> str:
    return json.dumps([space.to_json() for space in found])


def _text(found: "list[Space]") -> str:
    from dpodiff.spaces.lexicons import describe

    return "\n".join(map(describe, found))
