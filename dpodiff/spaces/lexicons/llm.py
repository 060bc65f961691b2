"""A language model as a lexicon, as in DPO-Diff, which uses GPT-4.

The model reads the whole prompt, so it knows which meaning of a word is intended. It is asked once
for the synonyms of a prompt and once for the antonyms, of all words or, in keyword mode, of the key
words. Each answer is stored as a JSON file, so an interrupted run can continue.

    synonym_space(prompt, LLM("gpt-4o").lexicon(prompt, ["synonym"]))

The `openai` client takes the key and the address from OPENAI_API_KEY and OPENAI_BASE_URL, so any
compatible server can be used. The question asks for JSON with a given schema. If the server refuses
it or the answer is invalid, it asks for lines "A -> B, C", as in the paper.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from dpodiff.checks import (
    check_finite,
    check_path,
    check_prompt_text,
    check_text,
    check_whole,
    shown,
)
from dpodiff.spaces.json_file import read_json, write_json
from dpodiff.spaces.lexicons.base import KINDS, Dictionary, Kind, check_kinds
from dpodiff.spaces.lexicons.llm_answers import checked_words, read_answer
from dpodiff.spaces.lexicons.llm_server import Server, ServerError

if TYPE_CHECKING:
    from openai.types.shared_params import ResponseFormatJSONSchema

__all__ = ["LLM", "AnswerError", "ServerError"]

Mode = Literal["default", "keyword"]

WHICH = {
    "default": "each word",
    "keyword": "each key word, that is one a viewer would look for in the image",
}
WANTED = {
    "synonym": "5 substitutes that do not change the meaning",
    "antonym": "5 opposites, if it has any",
}
QUESTION = (
    "Read this prompt of a text-to-image model. For {which}, give {wanted}. "
    "Words that belong together, such as 'coming out', count as one.\n\nPrompt: {prompt}"
)
MOST_SECONDS, MOST_RETRIES = 3600, 100
AS_LINES = "\n\nUse one line a word, in the format: A -> B, C. Write nothing else."
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "substitutes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "word": {"type": "string"},
                    "others": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["word", "others"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["substitutes"],
    "additionalProperties": False,
}
STRUCTURED: "ResponseFormatJSONSchema" = {
    "type": "json_schema",
    "json_schema": {"name": "substitutes", "strict": True, "schema": SCHEMA},
}


class AnswerError(ValueError):
    """The language model's answer cannot be used. Other prompts may work.

    Examples:
        >>> for prompt in prompts:  # asks a server  # doctest: +SKIP
        ...     try:
        ...         lexicons.append(dpodiff.LLM("gpt-4o").lexicon(prompt))
        ...     except dpodiff.lexicons.AnswerError as error:
        ...         print(f"{prompt} is left out: {error}")
    """


class LLM:
    """A language model that returns the synonyms and antonyms of whole prompts.

    Args:
        model: name of the model on the server.
        mode: "default" asks for all words of a prompt, "keyword" for its key words.
        cache: folder for the answers; the default is one folder for all projects of this user.
        timeout: time limit in seconds for one attempt, from the question to the last byte of the
            answer. A question takes at most (retries + 1) times as long.
        retries: number of further attempts, with growing pauses, after a timeout, a broken
            connection, "too many requests" (429) or an error of the server (5xx).

    Raises:
        ValueError: if an argument is out of its range, such as an unknown mode.

    Examples:
        >>> llm = dpodiff.LLM("gpt-4o", mode="keyword")
        >>> prompt = "a red ball on the sea"
        >>> words = llm.lexicon(prompt, ["synonym"])  # asks a server  # doctest: +SKIP
        >>> space = dpodiff.synonym_space(prompt, words)  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str = "gpt-4o",
        *,
        mode: Mode = "default",
        cache: str | os.PathLike | None = None,
        timeout: float = 60.0,
        retries: int = 4,
    ) -> None:
        check_text("model", model)
        if not isinstance(mode, str) or mode not in get_args(Mode):
            raise ValueError(f"unknown mode {shown(mode)}; choose from {', '.join(get_args(Mode))}")
        check_path("cache", cache)
        check_finite("timeout", timeout, most=MOST_SECONDS, above=0)
        check_whole("retries", retries, 0, MOST_RETRIES)
        self.model, self.mode = model, mode
        self.cache = _default_cache() if cache is None else Path(cache)
        self.timeout, self.retries = timeout, retries
        self._forms = (True, False)  # ask for JSON first, then for lines

    def __repr__(self) -> str:
        return f"LLM({self.model!r}, mode={self.mode!r}, cache={str(self.cache)!r})"

    def lexicon(self, prompt: str, kinds: Sequence[Kind] = KINDS) -> Dictionary:
        """Return the words of a prompt with their alternatives; each kind is a separate question.

        Raises:
            ImportError: if openai is not installed and there is something to ask.
            ServerError: if there is no key, the address is wrong, or the server fails repeatedly.
            AnswerError: if the model's answer cannot be used.
            ValueError: if the prompt is not a string, a kind is unknown, or a file of the cache is
                invalid.

        Warns:
            UserWarning: if the answer contains invalid words, such as markup, which are left out;
                or if the answer cannot be stored.
        """
        check_prompt_text("prompt", prompt)
        check_kinds(kinds)
        return Dictionary(*(self._answer(prompt, kind) if kind in kinds else {} for kind in KINDS))

    def _answer(self, prompt: str, kind: Kind) -> dict[str, list[str]]:
        """Return the answer from the cache, else from the model."""
        question = {"model": self.model, "mode": self.mode, "kind": kind, "prompt": prompt}
        name = hashlib.sha256(json.dumps(question).encode()).hexdigest()[:32]
        path = self.cache / f"{name}.json"
        if path.exists():
            words = checked_words(read_json(path)[0].get("answer"))
            if words is None:
                raise ValueError(f"{path}: holds no answer; delete it to ask again")
            return words
        words = self._ask(prompt, kind)
        try:
            write_json(path, question | {"answer": words})
        except OSError as error:  # such as a full disk; the answer was paid for
            warnings.warn(f"an answer is used, but could not be kept: {error}", stacklevel=4)
        return words

    def _ask(self, prompt: str, kind: Kind) -> dict[str, list[str]]:
        text = QUESTION.format(which=WHICH[self.mode], wanted=WANTED[kind], prompt=prompt)
        said = ""
        for structured in self._forms:
            said = self._said(text, structured) or said
            answer = read_answer(said, clean=self._server.without_key)
            if answer is not None:
                self._report(answer.left_out)
                return answer.words
        raise AnswerError(
            f"{self.model} returned no usable {kind}s for the prompt {shown(prompt)}: "
            f"its answer begins with {self._server.without_key(said)[:80]!r}"
        )

    def _said(self, text: str, structured: bool) -> str:
        """Return the model's answer; empty if its server does not support structured answers."""
        if not structured:
            return self._server.ask(text + AS_LINES) or ""
        said = self._server.ask(text, response_format=STRUCTURED)
        if said is None:
            self._forms = (False,)  # also for later prompts
        return said or ""

    @cached_property
    def _server(self) -> Server:
        return Server(self.model, self.timeout, self.retries)

    def _report(self, left_out: Sequence[str]) -> None:
        if left_out:
            warnings.warn(
                f"{len(left_out)} of the words that {self.model} returned are not plain words, or "
                f"too many, and are left out; the first is {shown(left_out[0])}",
                stacklevel=5,
            )


def _default_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "dpodiff" / "llm"
