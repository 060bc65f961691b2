"""A language model as a lexicon, as in DPO-Diff, which asks GPT-4.

The model reads the whole prompt, so it knows which meaning of a word is meant. It is asked once for
the synonyms of a prompt and once for the antonyms, of all words or, in keyword mode, of the key
words. Each answer is kept as a JSON file, so a run that broke goes on where it was.

    synonym_space(prompt, LLM("gpt-4o").lexicon(prompt, ["synonym"]))

The `openai` client takes the key and the address from OPENAI_API_KEY and OPENAI_BASE_URL; any
server that speaks its language will do. The answer is asked for as JSON of a given schema; where
that is refused, or something else comes, as lines "A -> B, C", which is what the paper asks for.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

from dpodiff.names import LoadError
from dpodiff.spaces.json_file import read_json, write_json
from dpodiff.spaces.lexicons.base import KINDS, Dictionary, Kind

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion
    from openai.types.shared_params import ResponseFormatJSONSchema

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
AS_LINES = "\n\nUse one line a word, in the format: A -> B, C. Write nothing else."
LINE = re.compile(r"(?:[-*•]\s+|\d+[.)]\s*)?(.+?)\s*(?:->|→)\s*(.+)")  # 1. A -> B, C
QUOTES = " \t\"'`*“”‘’."
NOTHING = ("", "none", "n/a")  # how models say that there is none
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


class ServerError(LoadError, RuntimeError):
    """The server of the language model could not be asked, or did not answer as one.

    Examples:
        >>> llm = dpodiff.LLM("gpt-4o")
        >>> try:  # without a key or a server  # doctest: +SKIP
        ...     llm.lexicon("a red ball")
        ... except dpodiff.lexicons.ServerError as error:
        ...     print(error)
    """


class AnswerError(ValueError):
    """The language model answered, but nothing that can be used. Other prompts may do better.

    Examples:
        >>> for prompt in prompts:  # asks a server  # doctest: +SKIP
        ...     try:
        ...         lexicons.append(dpodiff.LLM("gpt-4o").lexicon(prompt))
        ...     except dpodiff.lexicons.AnswerError as error:
        ...         print(f"{prompt} is left out: {error}")
    """


class LLM:
    """Asks a language model for the synonyms and antonyms of whole prompts.

    Args:
        model: name of the model at the server.
        mode: "default" asks for all words of a prompt, "keyword" for its key words.
        cache: folder of the answers; if not given, one for all projects of this user.
        timeout: seconds that an answer may take.
        retries: how often to ask again, with growing pauses, after a timeout, a broken connection,
            "too many requests" (429) or an error of the server (5xx).

    Raises:
        ValueError: an unknown mode.

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
        if mode not in get_args(Mode):
            raise ValueError(f"unknown mode {mode!r}; choose from {', '.join(get_args(Mode))}")
        self.model, self.mode = model, mode
        self.cache = _default_cache() if cache is None else Path(cache)
        self.timeout, self.retries = timeout, retries
        self._forms = (True, False)  # ask for JSON first, then for lines

    def __repr__(self) -> str:
        return f"LLM({self.model!r}, mode={self.mode!r}, cache={str(self.cache)!r})"

    def lexicon(self, prompt: str, kinds: Sequence[Kind] = KINDS) -> Dictionary:
        """The words of a prompt with their alternatives; each kind is a question of its own.

        Raises:
            ImportError: openai is not installed and there is something to ask.
            ServerError: no key, a wrong address, or a server that fails again and again.
            AnswerError: the model's answer cannot be used.
            ValueError: a file of the cache cannot be used.
        """
        return Dictionary(*(self._answer(prompt, kind) if kind in kinds else {} for kind in KINDS))

    def _answer(self, prompt: str, kind: Kind) -> dict[str, list[str]]:
        """The answer of the cache, else of the model."""
        question = {"model": self.model, "mode": self.mode, "kind": kind, "prompt": prompt}
        name = hashlib.sha256(json.dumps(question).encode()).hexdigest()[:32]
        path = self.cache / f"{name}.json"
        if path.exists():
            answer = read_json(path)[0].get("answer")
            if not isinstance(answer, dict):
                raise ValueError(f"{path}: holds no answer; delete it, and it is asked for anew")
            return answer
        answer = self._ask(prompt, kind)
        write_json(path, question | {"answer": answer})
        return answer

    def _ask(self, prompt: str, kind: Kind) -> dict[str, list[str]]:
        text = QUESTION.format(which=WHICH[self.mode], wanted=WANTED[kind], prompt=prompt)
        answer = ""
        for structured in self._forms:
            answer = self._complete(text, structured) or answer
            if (words := _from_json(answer)) is None:
                words = _from_lines(answer)
            if words is not None:
                return words
        raise AnswerError(
            f"{self.model} gave no usable {kind}s for the prompt {prompt!r}: "
            f"its answer begins with {answer[:80]!r}"
        )

    def _complete(self, text: str, structured: bool) -> str:
        """What the model says; nothing if its server knows no structured answers."""
        openai = _openai()
        try:
            completion = self._create(text, structured)
        except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
            if not structured:
                raise self._server_error(str(error)) from None
            self._forms = (False,)  # nor will it for the next prompt
            return ""
        except openai.OpenAIError as error:
            raise self._server_error(f"{error} {error.__cause__ or ''}") from None
        except ValueError:  # not JSON, though it says so
            raise self._server_error("it cannot be read") from None
        try:
            message = completion.choices[0].message
            return self._without_key(message.content or message.refusal or "")
        except (AttributeError, LookupError, TypeError):  # any JSON, or any web page
            raise self._server_error("it does not answer as a chat server does") from None

    def _create(self, text: str, structured: bool) -> "ChatCompletion":
        create = self._client.chat.completions.create
        if structured:
            return create(
                model=self.model,
                messages=[{"role": "user", "content": text}],
                response_format=STRUCTURED,
            )
        return create(model=self.model, messages=[{"role": "user", "content": text + AS_LINES}])

    @cached_property
    def _client(self) -> "OpenAI":
        openai = _openai()
        try:
            return openai.OpenAI(timeout=self.timeout, max_retries=self.retries)
        except openai.OpenAIError:
            raise ServerError(
                "no API key: set the environment variable OPENAI_API_KEY, and for another server "
                "than OpenAI's also OPENAI_BASE_URL; a local server takes any key"
            ) from None

    def _server_error(self, reason: str) -> ServerError:
        url = self._client.base_url.copy_with(userinfo=b"", query=None)
        return ServerError(
            f"no answer from {self.model} at {url}: {self._without_key(reason).strip()[:300]}; "
            "are OPENAI_BASE_URL, OPENAI_API_KEY and the name of the model right?"
        )

    def _without_key(self, text: str) -> str:
        """A text from the server, which may repeat the key."""
        key = self._client.api_key
        return text.replace(key, "...") if len(key) >= 8 else text  # shorter ones are no secrets


def _from_json(text: str) -> dict[str, list[str]] | None:
    """The words of an answer of the schema, maybe with prose around it; None if it is another."""
    try:
        items = json.loads(text[text.index("{") : text.rindex("}") + 1])["substitutes"]
        words = [(item["word"], item["others"]) for item in items]
    except (ValueError, LookupError, TypeError):
        return None
    good = all(isinstance(others, list) and _are_texts([word, *others]) for word, others in words)
    return _cleaned(words) if good else None


def _from_lines(text: str) -> dict[str, list[str]] | None:
    """The words of the lines "A -> B, C" of an answer; None if there is no such line."""
    lines = [match for line in text.splitlines() if (match := LINE.fullmatch(line.strip()))]
    return _cleaned([(line[1], line[2].split(",")) for line in lines]) if lines else None


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _cleaned(words: Iterable[tuple[str, list[str]]]) -> dict[str, list[str]]:
    """Without quotes, and without words that have no alternatives."""
    found = {}
    for word, others in words:
        others = [other.strip(QUOTES) for other in others]
        found[word.strip(QUOTES)] = [other for other in others if other.lower() not in NOTHING]
    return {word: others for word, others in found.items() if word and others}


def _openai() -> ModuleType:
    try:
        import openai
    except ImportError:
        raise ImportError("LLM needs openai: pip install 'dpodiff[llm]'") from None
    return openai


def _default_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "dpodiff" / "llm"
