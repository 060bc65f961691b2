"""Check the prose of the project: the word list of CONTRIBUTING.md, and proselint.

    python -m book.style              # one line per finding; the exit code is 1 if there are any
    python -m book.style --figures    # length of sentences and listed words, per page

Prose is Markdown, the Markdown cells of notebooks, and docstrings, comments and messages of the
code. Code blocks, formulas and names in backticks are left out.
"""

import argparse
import io
import re
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat
import pandas as pd
from proselint.checks import __register__ as CHECKS
from proselint.config import DEFAULT
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

ROOT = Path(__file__).parents[1]
LIST = ROOT / "CONTRIBUTING.md"
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "book/**/*.md", "notebooks/*.ipynb")
CODE = ("dpodiff/**/*.py", "book/*.py", "benchmarks/*.py")
DATA = "dpodiff/toy/captions.py"  # training texts of a model
# Text that is not prose.
NO_PROSE = (
    r"```[^{].*?```",  # code; a directive in braces holds prose
    r"\$\$.*?\$\$|\$[^$\n]+\$",
    r"^(?: {4}|\t|>>>|\.\.\.)[^\n]*$",
    r"`[^`\n]+`|\{[^{}\n]*\}",  # names, roles, and replacement fields of f-strings
    r"\]\([^)\n]*\)|<[^>\n]+>|https?://\S+",
)
# Checks of proselint with false positives for formulas, headings or technical terms.
OFF = (
    "typography",
    "archaism",
    "industrial_language.jargon",
    "lexical_illusions",
    "weasel_words.very",
    "misc.preferred_forms",
)
# Python 3.12 and later have separate tokens for the texts inside f-strings.
TEXTS = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None))
LONG = 30  # words of a sentence that should be checked


class Finding(NamedTuple):
    """A word or phrase to avoid, with its replacement."""

    file: str
    line: int
    found: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.found!r}: {self.advice}"


def word_list(text: str) -> dict[str, str]:
    """Return the replacements of the phrases in the table of CONTRIBUTING.md."""
    table = text.partition("| Not | But |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    return {phrase.strip(): instead for phrases, instead in rows for phrase in phrases.split(",")}


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the prose of a file in pieces, with the line or the cell of each."""
    text = path.read_text()
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        yield from ((n, cell.source) for n, cell in enumerate(cells) if cell.cell_type != "code")
    elif path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in TEXTS:
                # Indented lines are code in Markdown, and text in a docstring.
                yield token.start[0], re.sub(r"(?m)^[ \t]+", "", token.string)
    elif path == LIST:
        yield 1, text.partition("| Not | But |")[0]
    else:
        yield 1, text


def bare(text: str) -> str:
    """Return the text with everything except prose replaced by blanks of the same length."""
    for pattern in NO_PROSE:
        text = re.sub(pattern, _blanks, text, flags=re.DOTALL | re.MULTILINE)
    return text


def _blanks(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def listed(path: Path, words: dict[str, str]) -> Iterator[Finding]:
    """Yield the phrases of the word list in a file."""
    phrases = "|".join(phrase.replace(" ", r"\s+") for phrase in words)
    pattern = re.compile(rf"\b({phrases})s?\b", re.IGNORECASE)
    for start, text in prose(path):
        for found in pattern.finditer(bare(text)):
            line = start + text[: found.start()].count("\n")
            instead = words[" ".join(found[1].lower().split())]
            yield Finding(_named(path), line, found[0], f"say {instead}")


def linted(path: Path) -> Iterator[Finding]:
    """Yield the findings of proselint on a page."""
    if not CheckRegistry().checks:
        CheckRegistry().register_many(CHECKS)
    config = {**DEFAULT, "checks": {**dict.fromkeys(OFF, False), **_checks()}}
    for start, text in prose(path):
        if (words := bare(text)).strip():
            for result, (line, _) in LintFile(_named(path), words).lint(config):
                yield Finding(_named(path), start + line - 1, result.check_path, result.message)


def _checks() -> dict[str, bool]:
    return {name: on for name, on in DEFAULT["checks"].items() if name not in OFF}


def figures(paths: Sequence[Path], words: dict[str, str]) -> pd.DataFrame:
    """Return per page its sentences, their median length, long ones, and listed phrases."""
    rows = []
    for path in paths:
        text = " ".join(bare(text) for _, text in prose(path))
        sentences = [
            s for s in re.split(r"(?<=[.!?])\s+|\n\n|\n(?=[|#>-])", text) if len(s.split()) > 2
        ]
        lengths = pd.Series([len(sentence.split()) for sentence in sentences])
        rows.append(
            {
                "page": _named(path),
                "sentences": len(lengths),
                "median words": lengths.median(),
                f"over {LONG} words": (lengths > LONG).mean(),
                "listed words": sum(1 for _ in listed(path, words)) / max(len(lengths), 1),
            }
        )
    return pd.DataFrame(rows).set_index("page")


def files(patterns: Sequence[str]) -> list[Path]:
    """Return the files of the project with these patterns."""
    found = {path for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(found - {ROOT / DATA})


def _named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--figures", action="store_true", help="print figures per page instead of findings"
    )
    options = parser.parse_args()
    words, pages = word_list(LIST.read_text()), files(PAGES)
    if options.figures:
        print(figures(pages, words).round(2).to_string())
        return
    found = [finding for path in pages for finding in linted(path)]
    found += [finding for path in (*pages, *files(CODE)) for finding in listed(path, words)]
    print(*found, sep="\n", end="\n" if found else "")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
