"""Blocks of a MyST page as plain Markdown, for any converter.

Roles become text, and directives are replaced by their content. Each block is marked for a slide or
for the speaker notes. Equations, lists, tables, remarks and paragraphs that begin in bold are
shown; so is a sentence that leads to a shown block. Other text, proofs, solutions and code are
notes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pybtex.database import parse_file

PARSER = MarkdownIt("commonmark").enable("table").use(dollarmath_plugin)
ROLE = re.compile(r"\{([\w:]+)\}`([^`]+)`")
DIRECTIVE = re.compile(r"\{(\w+)\}\s*(.*)")
OPTION = re.compile(r":([\w-]+): *(.*)\n?")
NUMBER = re.compile(r'id="equation-([\w-]+)">\s*<span class="eqno">(\([\d.]+\))')
CHAPTER = re.compile(r"\]\((\w+)\.ipynb")
SENTENCES = re.compile(r"(?<=[.!?]) (?=[A-Z*$`])")
SHOWN = ("bullet_list_open", "ordered_list_open", "table_open", "math_block")


@dataclass(frozen=True)
class Block:
    """A part of a page with its kind, "h1" to "h6", "shown", "lead" or "note", and its Markdown."""

    kind: str
    text: str


@dataclass(frozen=True)
class References:
    """The targets of roles: label of an equation -> "(6.1)", key of a work -> authors and year."""

    equations: dict[str, str]
    works: dict[str, tuple[str, str]]

    @classmethod
    def read(cls, html: Path, bibliography: Path) -> "References":
        """Read equation numbers from the pages below ``html``, and the works of a BibTeX file."""
        pages = (path.read_text() for path in sorted((html / "notebooks").glob("*.html")))
        equations = dict(found for page in pages for found in NUMBER.findall(page))
        entries = parse_file(bibliography).entries
        works = {
            key: (_authors(entry.persons["author"]), entry.fields["year"])
            for key, entry in entries.items()
        }
        return cls(equations, works)

    def resolve(self, text: str) -> str:
        """Return text without roles, with links to chapters that work from the folder `slides`."""
        return CHAPTER.sub(r"](../notebooks/\1.html", ROLE.sub(self._said, text))

    def _said(self, role: re.Match[str]) -> str:
        kind, content = role.groups()
        if kind == "eq":
            return self.equations.get(content, content)
        if kind == "cite:t":
            return " and ".join("{} ({})".format(*self.works[key]) for key in content.split(","))
        if kind.startswith("cite"):
            return f"({'; '.join(', '.join(self.works[key]) for key in content.split(','))})"
        return content.partition(" <")[0]


def _authors(persons: list) -> str:
    names = [" ".join(map(str, person.rich_last_names)) for person in persons]
    return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)


def blocks(source: str, references: References) -> Iterator[Block]:
    """Yield the blocks of a page in order.

    Args:
        source: the page, or a part of it, in MyST Markdown.
        references: targets of the page's roles.
    """
    lines = source.splitlines()
    for token in PARSER.parse(source):
        if token.level or token.map is None:
            continue
        text = references.resolve("\n".join(lines[slice(*token.map)]).strip())
        if token.type == "fence":
            yield _directive(token, references)
        elif token.type == "heading_open":
            yield Block(token.tag, text)
        elif token.type in SHOWN or text.startswith("**"):
            yield Block("shown", text)
        elif token.type == "code_block":
            yield Block("note", f"```\n{token.content}```")
        else:
            yield from _paragraph(text)


def _paragraph(text: str) -> Iterator[Block]:
    finished = text.rstrip("*_)").endswith((".", "!", "?"))
    sentences = SENTENCES.split(" ".join(text.split()))
    lead = [] if finished else [sentences.pop()]
    if sentences:
        yield Block("note", " ".join(sentences))
    yield from (Block("lead", sentence) for sentence in lead)


def _directive(fence: Token, references: References) -> Block:
    found = DIRECTIVE.fullmatch(fence.info.strip())
    if found is None:  # code
        return Block("note", f"```{fence.info}\n{fence.content}```")
    name, title = found.groups()
    options, body = {}, fence.content
    while option := OPTION.match(body):
        options[option[1]], body = option[2], body[option.end() :]
    if name == "math":
        number = references.equations.get(options.get("label", ""), "").strip("()")
        tag = f"\n\\tag{{{number}}}" if number else ""
        return Block("shown", f"$$\n{body.strip()}{tag}\n$$")
    inner = "\n\n".join(block.text for block in blocks(body, references))
    kind = "shown" if options.get("class") == "note" else "note"
    return Block(kind, f"**{title}.**\n\n{inner}")
