"""Inflection of replacements to the form of the replaced word: dogs -> hounds, riding -> mounting.

`lemminflect` (extra `words`) makes the forms. Without it a word that needs another form than its
base form is left out, with one warning.
"""

import functools
import warnings
from importlib.util import find_spec

# Part of speech -> tags of its forms in the Penn Treebank; the base form first.
FORMS = {
    "n": ("NN", "NNS"),
    "v": ("VB", "VBZ", "VBG", "VBD", "VBN"),
    "a": ("JJ", "JJR", "JJS"),
    "r": ("RB", "RBR", "RBS"),
}
IRREGULAR = {"bigger": ("a", "JJR"), "better": ("a", "JJR"), "best": ("a", "JJS")}


def inflected(word: str, like: str, base: str, tag: str) -> str | None:
    """Return a base form in the form of another word; None if that form is unknown.

    Args:
        word: a base form. Of a noun phrase the last word is inflected, of other phrases the first.
        like: the word of the prompt.
        base: its base form.
        tag: part of speech of both words, "n", "v", "a" or "r".

    Examples:
        >>> from dpodiff.spaces.lexicons.inflection import inflected
        >>> inflected("hound", like="dogs", base="dog", tag="n")
        'hounds'
    """
    if like == base:
        return word
    if find_spec("lemminflect") is None:
        _say_once()
        return None
    forms = {
        _in_form(word, form, tag)
        for form in FORMS[tag][1:]
        if like in _all_in_form(base, form) or (form == "NNS" and tag == "n")
    }
    return forms.pop() if len(forms) == 1 else None  # ambiguous: sat and ridden, sat and rode


def _in_form(word: str, form: str, tag: str) -> str | None:
    first, space, last = word.rpartition(" ") if tag == "n" else word.partition(" ")
    changed = last if tag == "n" else first
    found = _all_in_form(changed, form)
    if not found:
        return None
    return f"{first}{space}{found[0]}" if tag == "n" else f"{found[0]}{space}{last}"


@functools.cache
def _all_in_form(base: str, form: str) -> tuple[str, ...]:
    import lemminflect  # takes a second

    return lemminflect.getInflection(base, form)


@functools.cache
def _say_once() -> None:
    warnings.warn(
        "words of WordNet that would need another form, such as a plural, are left out: "
        "pip install 'dpodiff[words]' for lemminflect, which makes these forms",
        stacklevel=2,
    )
