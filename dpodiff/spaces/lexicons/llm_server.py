"""Requests to an OpenAI-compatible server, protected against its errors.

Answers are limited in size and time: the server may hang, send single bytes, send without end, or
repeat the API key in its answer or in an error.
"""

import base64
import json
import queue
import re
import threading
import time
from collections.abc import Callable
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from dpodiff.names import LoadError

if TYPE_CHECKING:
    from openai import OpenAI

MOST_BYTES = 1_000_000  # size of an answer
SHORTEST_KEY = 8  # characters; shorter keys are not secret
KEY_PART = 10  # successive letters and digits of a key that would reveal it
Made = TypeVar("Made")


class ServerError(LoadError, RuntimeError):
    """The server of the language model could not be asked, or its answer is invalid.

    Examples:
        >>> llm = dpodiff.LLM("gpt-4o")
        >>> try:  # without a key or a server  # doctest: +SKIP
        ...     llm.lexicon("a red ball")
        ... except dpodiff.lexicons.ServerError as error:
        ...     print(error)
    """


class Server:
    """A chat server.

    Args:
        model: name of the model on the server.
        timeout: time limit in seconds for one attempt, from the question to the last byte of the
            answer.
        retries: number of further attempts if no answer arrives.
    """

    def __init__(self, model: str, timeout: float, retries: int) -> None:
        self.model, self.timeout, self.retries = model, timeout, retries

    def check(self) -> None:
        """Check that the package and a key are available; this sends no request.

        Raises:
            ImportError: if the package is missing.
            ServerError: if there is no key.
        """
        _ = self._client

    def ask(self, text: str, **options: Any) -> str | None:
        """Return the model's answer; None if the server refuses the options.

        Raises:
            ServerError: if the server cannot be asked, or its answer is invalid.
        """
        body, reason = self._body(text, options)
        if reason is None:
            try:
                return _message(body)
            except _NoAnswerError as error:
                reason = str(error)
        if not reason:
            return None
        # Outside of the handler: otherwise the new error would reference this one and its data.
        raise self._error(reason)

    def without_key(self, text: str) -> str:
        """Return a text of the server without the key or parts of it."""
        key = self._client.api_key
        text = text.replace(key, "...") if len(key) >= SHORTEST_KEY else text
        letters = [(place, c.casefold()) for place, c in enumerate(text) if c.isalnum()]
        seen, parts = "".join(c[0] for _, c in letters), self._key_parts
        hidden: set[int] = set()
        for first in range(len(seen) - KEY_PART + 1):
            if seen[first : first + KEY_PART] in parts:
                hidden.update(range(letters[first][0], letters[first + KEY_PART - 1][0] + 1))
        if not hidden:
            return text
        return re.sub("\0+", "...", "".join("\0" if i in hidden else c for i, c in enumerate(text)))

    def _body(self, text: str, options: dict[str, Any]) -> tuple[bytes, str | None]:
        """Return the answer and None, or an empty answer and the reason."""
        openai, client = openai_package(), self._client
        refused = (openai.BadRequestError, openai.UnprocessableEntityError)
        try:
            longest = (self.retries + 1) * self.timeout
            return within(longest, lambda: self._streamed(client, text, options)), None
        except refused as error:
            return b"", "" if options else str(error)
        except openai.OpenAIError as error:
            return b"", f"{error} {error.__cause__ or ''}"
        except _NoAnswerError as error:
            return b"", str(error)

    def _streamed(self, client: "OpenAI", text: str, options: dict[str, Any]) -> bytes:
        """Return the answer; the request is repeated if the connection breaks."""
        create = client.chat.completions.with_streaming_response.create
        messages: Any = [{"role": "user", "content": text}]
        for retry in range(self.retries + 1):
            with create(model=self.model, messages=messages, **options) as response:
                try:
                    return self._read(response.iter_bytes())
                except _NoAnswerError:
                    raise
                except Exception:  # from any network library
                    if retry == self.retries:
                        raise _NoAnswerError("Connection error: the answer breaks off") from None
        raise AssertionError  # not reached

    def _read(self, chunks: Any) -> bytes:
        """Return the bytes of an answer within the limits."""
        end, body = time.monotonic() + self.timeout, bytearray()
        for chunk in chunks:
            body += chunk
            if len(body) > MOST_BYTES:
                raise _NoAnswerError(f"its answer has more than {MOST_BYTES} bytes")
            if time.monotonic() > end:
                raise _NoAnswerError(f"its answer timed out after {self.timeout} seconds")
        return bytes(body)

    @cached_property
    def _key_parts(self) -> set[str]:
        """Return all parts of the key: successive letters and digits in any notation."""
        key, found = self._client.api_key, set()
        data = key.encode()
        encoded = (data.hex(), base64.b64encode(data).decode(), quote(key, safe=""))
        for form in (key, key[::-1], *encoded):
            letters = "".join(c for c in form.casefold() if c.isalnum())
            found.update(letters[i : i + KEY_PART] for i in range(len(letters) - KEY_PART + 1))
        return found

    @cached_property
    def _client(self) -> "OpenAI":
        openai = openai_package()
        try:
            return openai.OpenAI(timeout=self.timeout, max_retries=self.retries)
        except openai.OpenAIError:
            raise ServerError(
                "no API key: set the environment variable OPENAI_API_KEY, and for another server "
                "than OpenAI's also OPENAI_BASE_URL; a local server takes any key"
            ) from None

    def _error(self, reason: str) -> ServerError:
        url = self._client.base_url.copy_with(userinfo=b"", query=None)
        said = " ".join(self.without_key(reason[:MOST_BYTES]).split())
        return ServerError(
            f"no answer from {self.model} at {url}: {said[:300]}; "
            "are OPENAI_BASE_URL, OPENAI_API_KEY and the name of the model right?"
        )


class _NoAnswerError(Exception):
    """The reason why a request was given up."""


def within(seconds: float, work: Callable[[], Made]) -> Made:
    """Run work with a time limit; if it takes longer, it is abandoned in its thread."""
    done: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            done.put((work(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        made, error = done.get(timeout=seconds)
    except queue.Empty:
        raise _NoAnswerError(f"timed out after {seconds:g} seconds") from None
    if error is not None:
        raise error
    return made


def openai_package() -> ModuleType:
    """Return the package of the client.

    Raises:
        ImportError: if it is missing; the message says how to install it.
    """
    try:
        import openai
    except ImportError:
        raise ImportError("LLM needs openai: pip install 'dpodiff[llm]'") from None
    return openai


def _message(body: bytes) -> str:
    """Return the message in an answer; _NoAnswerError if it is not that of a chat server."""
    try:
        message = json.loads(body)["choices"][0]["message"]
        said = message.get("content") or message.get("refusal") or ""
        if isinstance(said, str):
            return said
    except (ValueError, RecursionError):
        if body.lstrip().startswith(b"{"):
            raise _NoAnswerError("it cannot be read") from None
    except (AttributeError, LookupError, TypeError):  # the JSON has another structure
        pass
    raise _NoAnswerError("it does not answer as a chat server")
