"""A Sphinx extension for the API reference: links of short names, and entries of several names.

Annotations and docstrings use the names of the code, such as `Space` or `Loss`. Here such a name is
linked to the entry documented as `dpodiff.Space`. Other text in backticks is plain code.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.python import PyObject
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

# Types that are shown with their package, since `device` alone is unclear.
ELSEWHERE = ("torch.", "numpy.", "PIL.")
# Napoleon's output for "low, high: ..." in a docstring.
SEVERAL = re.compile(r":(param|ivar) (\w+(?:, \w+)+): (.*)")


def entry_of(target: str, documented: Iterable[str]) -> str | None:
    """Return the documented name for a short one: with `dpodiff.`, else the only candidate.

    Args:
        target: short name, such as `Space`, `losses.load` or `Objective.noise()`.
        documented: the full names of all entries.
    """
    ending = "." + target.removeprefix("dpodiff.").removesuffix("()")
    found = [name for name in documented if name.endswith(ending)]
    if f"dpodiff{ending}" in found:
        return f"dpodiff{ending}"
    return found[0] if len(found) == 1 else None


def resolve(
    app: Sphinx, env: BuildEnvironment, node: nodes.Element, content: nodes.Element
) -> nodes.Node | None:
    """Return a link for a name that Sphinx did not find; other text in backticks is plain code."""
    if node.get("refdomain") != "py":
        return None
    if node["reftarget"].startswith(ELSEWHERE):
        return nodes.Text(re.sub(r"\._\w+", "", node["reftarget"]))  # numpy.random._generator
    entries = env.get_domain("py").objects
    target = node["reftarget"]
    # A single word never means a method, which is written as `Class.method`.
    members = () if "." in target else ("attribute", "method", "property")
    documented = (name for name, entry in entries.items() if entry.objtype not in members)
    name = entry_of(target, documented)
    if name is None:
        if node["reftype"] != "obj":
            return None
        text = content.astext()
        return nodes.literal(text, text) if isinstance(content, nodes.literal) else content
    entry = entries[name]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)


def one_field_each(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a docstring, with "low, high: ..." repeated for each of the names."""
    end = 0
    for start, line in enumerate(lines):
        if start < end:
            continue
        end = start + 1
        if (match := SEVERAL.fullmatch(line)) is None:
            yield line
            continue
        while end < len(lines) and lines[end].startswith(" "):
            end += 1
        for name in match[2].split(", "):
            yield f":{match[1]} {name}: {match[3]}"
            yield from lines[start + 1 : end]


def without_types(lines: list[str]) -> list[str]:
    """Return the lines of a docstring, with text that napoleon took for a type restored.

    Napoleon takes the text before a colon in the first line of "Returns" and of a property for a
    type. Here types are in the annotations only.
    """
    kept = [line for line in lines if not line.startswith((":rtype: ", ":type: "))]
    for line in lines:
        kind, _, text = line.partition("type: ")
        if kind in (":r", ":"):
            start = ":returns: " if kind == ":r" else ""
            place = next(i for i, other in enumerate(kept) if other.startswith(start))
            kept[place] = f"{start}{text}: {kept[place].removeprefix(start)}"
    return kept


def process(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Process each docstring after napoleon."""
    lines[:] = one_field_each(without_types(lines))


def skip(app: Sphinx, what: str, name: str, thing: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out the fields of named tuples, which the docstring of the class describes."""
    return True if (getattr(thing, "__doc__", "") or "").startswith("Alias for field") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the extension with Sphinx."""
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"  # the name in the docstrings
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-docstring", process, priority=600)  # after napoleon's 500
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True}
