"""Commands for studies with people: make a study, and read its answers."""

from pathlib import Path
from typing import Annotated

import typer

WRONG_ARGUMENTS = 2  # exit code

Folders = Annotated[
    list[str],
    typer.Argument(
        help="Folders of searches, or folders that contain them; NAME=FOLDER names the method.",
        show_default=False,
    ),
]
Answers = Annotated[
    list[Path], typer.Argument(help="Files of answers, or folders of them.", show_default=False)
]


def study(
    folders: Folders,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("study.html"),
    pairs_per_prompt: Annotated[int, typer.Option(help="Number of seeds shown per prompt.")] = 2,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="Also compare methods with each other.")
    ] = False,
    ties: Annotated[bool, typer.Option(help="Whether raters may call a pair equal.")] = True,
    seed: Annotated[int, typer.Option(help="Seed of orders and sides.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the files.")] = False,
) -> None:
    """Make a blind study of searches: one HTML file for raters, and its key for you.

    Example: dpodiff study runs/* --out study.html
    """
    import dpodiff

    methods: dict[str, list[str]] = {}
    for given in folders:
        name, named, folder = given.partition("=")
        if not named or Path(given).exists():
            name, folder = "found", given
        methods.setdefault(name, []).append(folder)
    try:
        made = dpodiff.study(
            methods,
            out,
            pairs_per_prompt=pairs_per_prompt,
            all_pairs=all_pairs,
            ties=ties,
            seed=seed,
            overwrite=overwrite,
        )
    except (ValueError, OSError) as error:
        typer.echo(f"dpodiff: {error}", err=True)
        raise typer.Exit(WRONG_ARGUMENTS) from None
    typer.echo(f"{made}\npage:  {out}, for raters\nkey:   {out.with_suffix('.key.json')}, for you")


def study_report(
    answers: Answers,
    key: Annotated[Path, typer.Option(help="Key file of the study.")] = Path("study.key.json"),
) -> None:
    """Read the answers of raters: win rates, agreement, and exclusions.

    Example: dpodiff study-report answers/ --key study.key.json
    """
    import dpodiff

    try:
        report = dpodiff.read_study(answers, key)
    except (ValueError, OSError, ImportError) as error:
        typer.echo(f"dpodiff: {error}", err=True)
        raise typer.Exit(WRONG_ARGUMENTS) from None
    typer.echo(str(report))
