"""A language model that writes whole prompts.

Each question is asked once: the answer, even an unusable one, is stored in the folder of the
language model's answers. So an interrupted search continues in the same way and at no cost.
"""

import hashlib
import json
import re
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dpodiff.checks import is_writable
from dpodiff.spaces.json_file import read_json, write_json
from dpodiff.spaces.lexicons.llm import LLM, AnswerError
from dpodiff.spaces.lexicons.llm_server import Server
from dpodiff.spaces.prompts import Prompts

if TYPE_CHECKING:
    from openai.types.shared_params import ResponseFormatJSONSchema

MOST_LETTERS = 600  # characters of a prompt; CLIP reads 77 tokens
MOST_PROMPTS = 50  # prompts of an answer
BULLET = re.compile(r"(?:[-*•]|\d+[.)])\s+")
QUOTES = " \t\"'`“”‘’"
BARS = "||"  # between the two prompts of a line
AS_LINES = (
    f"\n\nUse one line each, in the format: prompt {BARS} negative prompt. Write nothing else."
)
TEXT = {"type": "string"}
PAIR: dict[str, object] = {
    "type": "object",
    "properties": {"prompt": TEXT, "negative_prompt": TEXT},
    "required": ["prompt", "negative_prompt"],
    "additionalProperties": False,
}
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"prompts": {"type": "array", "items": PAIR}},
    "required": ["prompts"],
    "additionalProperties": False,
}
STRUCTURED: "ResponseFormatJSONSchema" = {
    "type": "json_schema",
    "json_schema": {"name": "prompts", "strict": True, "schema": SCHEMA},
}


class PromptWriter:
    """Asks a language model for whole prompts.

    Args:
        llm: language model with its server, time limit and folder of answers.

    Examples:
        >>> writer = dpodiff.spaces.PromptWriter(dpodiff.LLM("gpt-4o"))
        >>> writer("Write a prompt with a red ball.")  # asks a server  # doctest: +SKIP
        [Prompts(positive='a shiny red ball on grass', negative='blurry')]
    """

    def __init__(self, llm: LLM) -> None:
        self.llm = llm
        self._structured = True  # ask for JSON first, then for lines

    def __repr__(self) -> str:
        return f"PromptWriter({self.llm!r})"

    def check(self) -> None:
        """Check that the language model can be asked, before anything is paid for.

        Raises:
            ImportError: if openai is not installed.
            ServerError: if there is no key.
        """
        self._server.check()

    def __call__(self, question: str) -> list[Prompts]:
        """Return the prompts of the answer, in order and all different.

        Raises:
            ImportError: if openai is not installed and there is something to ask.
            ServerError: if there is no key, the address is wrong, or the server fails repeatedly.
            AnswerError: if no prompt of the answer can be used.
            ValueError: if a file of the cache is invalid.

        Warns:
            UserWarning: if the answer cannot be stored.
        """
        asked = {"model": self.llm.model, "question": question}
        path = (
            self.llm.cache / f"{hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]}.json"
        )
        if path.exists():
            said = read_json(path)[0].get("said")
            if not isinstance(said, str):
                raise ValueError(f"{path}: holds no answer; delete it to ask again")
        else:
            said = self._server.without_key(self._ask(question))
            try:
                write_json(path, asked | {"said": said})
            except OSError as error:  # such as a full disk; the answer was paid for
                warnings.warn(f"an answer is used, but could not be kept: {error}", stacklevel=2)
        if prompts := read_prompt_pairs(said):
            return prompts
        raise AnswerError(
            f"{self.llm.model} returned no usable prompt: its answer begins with {said[:80]!r}"
        )

    def _ask(self, question: str) -> str:
        """Ask for JSON, or for lines if the server refuses, and return the model's answer."""
        if self._structured:
            said = self._server.ask(question, response_format=STRUCTURED)
            if said is not None:
                return said
            self._structured = False  # also for later questions
        return self._server.ask(question + AS_LINES) or ""

    @cached_property
    def _server(self) -> Server:
        return Server(self.llm.model, self.llm.timeout, self.llm.retries)


def read_prompt_pairs(text: str) -> list[Prompts]:
    """Return the prompts of an answer, which is JSON or lines "prompt || negative prompt".

    Invalid prompts (empty, too long, with characters that cannot be printed) are left out.

    Examples:
        >>> from dpodiff.spaces.writer import read_prompt_pairs
        >>> read_prompt_pairs("1. a red ball on grass || blurry, dark")
        [Prompts(positive='a red ball on grass', negative='blurry, dark')]
    """
    pairs = _from_json(text)
    if pairs is None:
        lines = (BULLET.sub("", line.strip(), count=1) for line in text.splitlines())
        pairs = [tuple(line.split(BARS, 1)) for line in lines if BARS in line]
    found = [Prompts(_bare(positive), _bare(negative)) for positive, negative in pairs]
    good = [prompts for prompts in found if prompts.positive and all(map(_is_prompt, prompts))]
    return list(dict.fromkeys(good))[:MOST_PROMPTS]


def _from_json(text: str) -> list[tuple[str, ...]] | None:
    """Return the pairs of a JSON answer, which may have prose around it; None if it is invalid."""
    try:
        items: Any = json.loads(text[text.index("{") : text.rindex("}") + 1])["prompts"]
        pairs = [(item["prompt"], item.get("negative_prompt", "")) for item in items]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return [pair for pair in pairs if all(isinstance(part, str) for part in pair)]


def _bare(text: str) -> str:
    return " ".join(text.split()).strip(QUOTES)


def _is_prompt(text: str) -> bool:
    return len(text) <= MOST_LETTERS and text.isprintable() and is_writable(text)
