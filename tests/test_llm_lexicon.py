"""The language model is a real HTTP server on this machine, which behaves well and badly."""

import base64
import contextlib
import json
import re
import sys
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers import FakeModel, shade

from dpodiff import LLM, antonym_space, attack, improve, synonym_space
from dpodiff.spaces.lexicons import AnswerError, ServerError
from dpodiff.spaces.lexicons.llm_answers import read_answer

KEY = "sk-a-key-that-nobody-may-see"
PROMPT = "a plane with fumes coming out"
GOOD = json.dumps(
    {
        "substitutes": [
            {"word": "Plane", "others": ["aircraft", " jet ", "none", ""]},
            {"word": "coming out", "others": ["emerging"]},
            {"word": "a", "others": []},
        ]
    }
)
LINES = """Here you are:
1. plane -> "aircraft", jet.
- coming out → emerging
with -> none"""


class Server(ThreadingHTTPServer):
    """Answers each request with the next of `answers`, the last one for ever."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.requests, self.release = [], [], threading.Event()
        self.sent = 0  # bytes of an endless answer

    def handle_error(self, request, client_address):
        """A client that went away is no error of a test."""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(json.loads(body))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def log_message(self, *args):
        pass


def send(handler, text, status=200, length=None, kind="application/json", **headers):
    body = text.encode()
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(length or len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def says(content, refusal=None):
    message = {"role": "assistant", "content": content, "refusal": refusal}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return lambda handler: send(handler, json.dumps({"id": "1", "choices": [choice]}))


def fails(status, message="no", **headers):
    text = json.dumps({"error": {"message": message}})
    return lambda handler: send(handler, text, status, **headers)


def raw(text, **options):
    return lambda handler: send(handler, text, **options)


def refuses_schema(handler):
    asked = handler.server.requests[-1]
    (fails(400, "response_format?") if "response_format" in asked else says(LINES))(handler)


def cut(handler):
    send(handler, '{"id": "1", "choi', length=1000)


def slow(handler):
    handler.server.release.wait()


def begun(handler, kind="application/json"):
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.end_headers()


def dripping_body(handler):
    begun(handler)
    drip(handler)


def dripping_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    drip(handler)


def drip(handler):
    """A byte now and then, until the client is gone or the test over."""
    with contextlib.suppress(OSError):
        while not handler.server.release.wait(0.02):
            handler.wfile.write(b" ")
            handler.wfile.flush()


def endless(handler):
    begun(handler)
    with contextlib.suppress(OSError):
        while handler.server.sent < 100 * 2**20:
            handler.wfile.write(b"x" * 2**16)
            handler.server.sent += 2**16


@pytest.fixture
def server(monkeypatch):
    pytest.importorskip("openai")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.0)
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def llm(server, tmp_path):
    return LLM("test-model", cache=tmp_path, retries=2)


def test_an_answer_of_the_schema(server, llm):
    server.answers = [says(GOOD)]
    lexicon = llm.lexicon(PROMPT, ["synonym"])
    assert lexicon.synonyms("plane") == ["aircraft", "jet"]
    assert [slot.text for slot in synonym_space(PROMPT, lexicon).slots] == ["plane", "coming out"]
    (request,) = server.requests
    assert request["model"] == "test-model"
    assert request["response_format"]["type"] == "json_schema"
    assert PROMPT in request["messages"][0]["content"]


def test_each_kind_is_a_question_of_its_own(server, llm):
    server.answers = [says(GOOD), says(GOOD.replace("aircraft", "boat"))]
    lexicon = llm.lexicon(PROMPT)
    assert antonym_space(PROMPT, lexicon).decode((1, 0)).negative == "boat"
    questions = [request["messages"][0]["content"] for request in server.requests]
    assert "do not change the meaning" in questions[0]
    assert "opposites" in questions[1]


def test_keyword_mode_asks_for_key_words_only(server, llm, tmp_path):
    server.answers = [says(GOOD)]
    LLM("test-model", mode="keyword", cache=tmp_path).lexicon(PROMPT, ["synonym"])
    assert "each key word" in server.requests[0]["messages"][0]["content"]
    llm.lexicon(PROMPT, ["synonym"])
    assert len(server.requests) == 2  # another mode, another answer
    with pytest.raises(ValueError, match="unknown mode 'key'"):
        LLM(mode="key")


@pytest.mark.parametrize(
    "answers",
    [
        [says(LINES)],
        [says("```json\n" + GOOD + "\n```")],
        [refuses_schema],
        [says("I would rather not."), says(LINES)],
        [says('{"words": 3}'), says(LINES)],
        [says('{"substitutes": [{"word": "plane", "others": "jet"}]}'), says(LINES)],
        [says(None, refusal="I cannot."), says(LINES)],
        [fails(429, Retry_After="0"), says(GOOD)],
        [fails(500), fails(503), says(GOOD)],
        [cut, cut, says(GOOD)],
    ],
    ids="lines fenced refused prose other-json no-list refusal 429 500 cut".split(),
)
def test_servers_that_need_patience(server, llm, answers):
    server.answers = answers
    lexicon = llm.lexicon(PROMPT, ["synonym"])
    assert lexicon.synonyms("plane") == ["aircraft", "jet"]
    assert lexicon.synonyms("coming out") == ["emerging"]
    assert lexicon.synonyms("with") == []


def test_a_server_without_schemas_is_asked_for_one_once(server, llm):
    server.answers = [refuses_schema]
    for prompt in ("a plane", "a boat"):
        llm.lexicon(prompt, ["synonym"])
    assert ["response_format" in request for request in server.requests] == [True, False, False]


def test_a_broken_run_goes_on_without_asking_again(server, llm, tmp_path, monkeypatch):
    server.answers = [says(GOOD), says("no idea")]
    first = llm.lexicon("a plane", ["synonym"])
    with pytest.raises(AnswerError):
        llm.lexicon("a boat", ["synonym"])
    server.answers, asked = [says(GOOD)], len(server.requests)
    again = LLM("test-model", cache=tmp_path)
    assert again.lexicon("a plane", ["synonym"]).synonyms("plane") == first.synonyms("plane")
    assert len(server.requests) == asked
    again.lexicon("a boat", ["synonym"])
    assert len(server.requests) == asked + 1
    monkeypatch.delenv("OPENAI_API_KEY")  # what is known needs no key
    LLM("test-model", cache=tmp_path).lexicon("a boat", ["synonym"])


def test_a_spoilt_answer_on_disk_is_named(server, llm, tmp_path):
    server.answers = [says(GOOD)]
    llm.lexicon(PROMPT, ["synonym"])
    (path,) = tmp_path.iterdir()
    for text, message in [("{", "not a JSON file"), ("{}", "holds no answer")]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            llm.lexicon(PROMPT, ["synonym"])
        assert str(path) in str(caught.value)


def test_an_unusable_answer_is_shown_with_its_prompt(server, llm, tmp_path):
    server.answers = [says("I am a teapot. " * 50)]
    with pytest.raises(AnswerError, match=f"{PROMPT}.*'I am a teapot") as caught:
        llm.lexicon(PROMPT, ["synonym"])
    assert len(str(caught.value)) < 300
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "message", "times"),
    [
        (fails(500), "Error code: 500", 3),
        (fails(429, Retry_After="0"), "Error code: 429", 3),
        (cut, "Connection error", 3),
        (fails(401, "who are you?"), "who are you", 1),
        (fails(404, "no such model"), "no such model", 1),
        (fails(400, "too long"), "too long", 2),
        (raw("<html>Welcome</html>", kind="text/html"), "does not answer as a chat server", 1),
        (raw('{"hello": 1}'), "does not answer as a chat server", 1),
        (raw('{"choices": []}'), "does not answer as a chat server", 1),
        (raw("{oops"), "cannot be read", 1),
    ],
    ids="500 429 cut 401 404 400 page other-json no-choice no-json".split(),
)
def test_a_server_that_fails_is_named_after_a_bounded_number_of_tries(
    server, llm, tmp_path, answer, message, times
):
    server.answers = [answer]
    with pytest.raises(ServerError, match=message) as caught:
        llm.lexicon(PROMPT, ["synonym"])
    assert f"test-model at http://127.0.0.1:{server.server_port}/v1" in str(caught.value)
    assert len(server.requests) == times
    assert list(tmp_path.iterdir()) == []


def test_no_server_at_all(llm, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    with pytest.raises(ServerError, match="Connection error.*OPENAI_BASE_URL"):
        llm.lexicon(PROMPT, ["synonym"])


@pytest.mark.parametrize("key", [None, ""])
def test_no_key(llm, monkeypatch, key):
    monkeypatch.delenv("OPENAI_ADMIN_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY")
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ServerError, match="no API key: set the environment variable"):
        llm.lexicon(PROMPT, ["synonym"])


def test_a_missing_package_is_named(llm, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r"dpodiff\[llm\]"):
        llm.lexicon(PROMPT, ["synonym"])


def test_the_key_is_written_nowhere(server, llm, tmp_path):
    server.answers = [says(LINES.replace("jet", KEY)), fails(401, f"wrong key {KEY}")]
    llm.lexicon(PROMPT, ["synonym"])
    with pytest.raises(ServerError, match="wrong key") as caught:
        llm.lexicon("a boat", ["synonym"])
    said = [str(caught.value), repr(llm), *(path.read_text() for path in tmp_path.iterdir())]
    assert len(said) == 3
    assert not any(KEY in text for text in said)
    assert caught.value.__cause__ is caught.value.__context__ is None  # which knows the request


@pytest.mark.parametrize(
    "echo",
    [
        KEY.upper(),
        KEY.replace("-", " "),
        KEY[3:20],
        KEY[::-1],
        "\u200b".join(KEY),
        base64.b64encode(KEY.encode()).decode(),
        KEY.encode().hex(),
    ],
    ids="upper spaces part reversed between base64 hex".split(),
)
def test_a_key_that_is_repeated_otherwise_is_written_nowhere(server, llm, tmp_path, echo):
    answer = json.dumps({"substitutes": [{"word": "plane", "others": ["jet", f"x {echo}"]}]})
    escaped = answer.replace("-", "\\u002d")
    server.answers = [says(escaped), fails(401, f"wrong key {echo}")]
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        llm.lexicon(PROMPT, ["synonym"])
    with pytest.raises(ServerError, match="wrong key") as caught:
        llm.lexicon("a boat", ["synonym"])
    texts = [str(caught.value), *map(str, warned), *(p.read_text() for p in tmp_path.iterdir())]
    letters = [re.sub(r"[^a-z0-9]", "", text.lower()) for text in texts]
    hidden = re.sub(r"[^a-z0-9]", "", echo.lower())
    assert not any(hidden[i : i + 10] in text for text in letters for i in range(len(hidden) - 9))


@pytest.mark.parametrize(
    "answer", [dripping_body, dripping_headers, slow], ids=lambda f: f.__name__
)
def test_an_answer_that_takes_too_long_is_given_up(server, tmp_path, answer):
    server.answers = [answer]
    with pytest.raises(ServerError, match="timed out"):
        LLM("test-model", cache=tmp_path, timeout=0.2, retries=0).lexicon(PROMPT, ["synonym"])


def test_an_answer_without_end_is_given_up(server, llm, tmp_path):
    server.answers = [endless]
    with pytest.raises(ServerError, match="more than 1000000 bytes"):
        llm.lexicon(PROMPT, ["synonym"])
    assert server.sent < 100 * 2**20
    assert list(tmp_path.iterdir()) == []


def test_a_deeply_nested_answer_is_no_answer(server, llm):
    deep = "[" * 100_000
    server.answers = [raw(f'{{"choices": {deep}')]
    with pytest.raises(ServerError, match="cannot be read"):
        llm.lexicon(PROMPT, ["synonym"])
    server.answers = [says(f'{{"substitutes": {deep}}}')]
    with pytest.raises(AnswerError, match="no usable synonyms"):
        llm.lexicon(PROMPT, ["synonym"])


def test_what_is_no_word_is_left_out_and_told(server, llm):
    odd = ["air\ncraft", "<b>jet</b>", "a\0b", "w" * 61, "\ud800", "boat, car", "{x}", "glider"]
    many = [f"word{i}" for i in range(10_000)]
    items = [{"word": "plane", "others": odd}, {"word": "a", "others": many}]
    items += [{"word": word, "others": ["x"]} for word in many]
    server.answers = [says(json.dumps({"substitutes": items}))]
    with pytest.warns(UserWarning, match="not plain words, or too many.*'<b>jet</b>'"):
        lexicon = llm.lexicon(PROMPT, ["synonym"])
    assert lexicon.synonyms("plane") == ["air craft", "glider"]
    assert lexicon.synonyms("a") == many[:20]
    assert lexicon.synonyms("word9999") == []


@pytest.mark.parametrize("answer", ["red" + " " * 300_000 + "x", "- " * 200_000, "a ->" * 100_000])
def test_a_long_answer_is_read_in_linear_time(answer):
    """Quadratic time would be minutes."""
    assert read_answer(answer) is None or read_answer(answer).words == {}


def test_an_answer_that_cannot_be_kept_is_used(server, tmp_path):
    (tmp_path / "file").touch()
    server.answers = [says(GOOD)]
    with pytest.warns(UserWarning, match="could not be kept"):
        lexicon = LLM("test-model", cache=tmp_path / "file").lexicon(PROMPT, ["synonym"])
    assert lexicon.synonyms("plane") == ["aircraft", "jet"]


@pytest.mark.parametrize(
    "answer", [3, [], None, {"plane": "jet"}, {"plane": [3]}, {"plane": {"jet": 1}}], ids=repr
)
def test_an_answer_on_disk_that_is_no_list_of_words_is_named(server, llm, tmp_path, answer):
    server.answers = [says(GOOD)]
    llm.lexicon(PROMPT, ["synonym"])
    (path,) = tmp_path.iterdir()
    path.write_text(json.dumps({"answer": answer}))
    with pytest.raises(ValueError, match="holds no answer; delete it"):
        llm.lexicon(PROMPT, ["synonym"])


@pytest.mark.parametrize("by_name", [False, True])
@pytest.mark.parametrize("function", [improve, attack])
def test_a_search_takes_a_language_model_as_its_lexicon(
    server, llm, tmp_path, monkeypatch, function, by_name
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    server.answers = [says(GOOD)]
    own = {"encoder": "toy"} if function is attack else {}
    result = function(
        PROMPT,
        model=FakeModel(),
        loss=shade,
        space="synonym+antonym",
        lexicon="llm" if by_name else llm,
        budget=3,
        verify=0,
        progress=False,
        **own,
    )
    choices = [slot.choices for slot in result.objective.space.slots]
    assert ("plane", "aircraft", "jet") in [found[:3] for found in choices]
    assert ("", "aircraft", "jet") in choices
    assert len(server.requests) == 2  # one a kind, and none is asked again


def test_a_search_whose_language_model_fails_makes_no_image(server, llm):
    server.answers = [fails(401)]
    model = FakeModel()
    with pytest.raises(ServerError, match="test-model"):
        improve(PROMPT, model=model, loss=shade, space="synonym", lexicon=llm, progress=False)
    assert not model.batches
