"""A language model that writes prompts, which is a real HTTP server on this machine."""

import json
import re
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from helpers import FakeModel, shade

from dpodiff import (
    LLM,
    BlackBox,
    Budget,
    LLMSearch,
    Objective,
    Space,
    WrittenSpace,
    attack,
    improve,
    nplib_space,
    search,
)
from dpodiff.objective import Missed
from dpodiff.spaces.lexicons import ServerError
from dpodiff.spaces.writer import read_prompt_pairs
from dpodiff.widgets import Panel

PROMPT = "a red ball"


class Chat(ThreadingHTTPServer):
    """Answers each question with what `say` makes of it; None is a refusal of JSON."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.questions, self.say = [], lambda question: ""


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = asked["messages"][0]["content"]
        self.server.questions.append(question)
        said = self.server.say(question)
        message = {"role": "assistant", "content": said}
        body = json.dumps({"id": "1", "choices": [{"index": 0, "message": message}]}).encode()
        self.send_response(400 if said is None and "response_format" in asked else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def chat(monkeypatch, tmp_path):
    pytest.importorskip("openai")
    server = Chat()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-key-that-nobody-may-see")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def as_json(*pairs):
    keys = ("prompt", "negative_prompt")
    return json.dumps({"prompts": [dict(zip(keys, pair)) for pair in pairs]})


def numbered(question):
    """Four prompts that no other question gets."""
    number = re.search(r"question (\d+)", question)[1]
    return as_json(*((f"{PROMPT}, {number}-{i}", f"dark {i}") for i in range(4)))


def paint(prompt, negative_prompt, seed):
    """The brighter, the more stars are asked for and the more grime is pushed away, up to nine."""
    stars = prompt.count("star") + negative_prompt.count("grime")
    return np.full((4, 4, 3), min(stars, 9) / 10)


def follows(question):
    """A reader's answer: the best prompt so far, and one step further on either side."""
    tried = re.findall(r"(?m)^-?[\d.]+  (.*)  \(negative prompt: (.*)\)$", question)
    best, negative = tried[0]
    negative = "" if negative == "none" else negative
    grimes = ", ".join(part for part in (negative, "grime") if part)
    return as_json((f"{best}, star", negative), (best, grimes), (f"{best}, star", grimes))


def run(chat, space=None, budget=13, **settings):
    space = WrittenSpace(PROMPT) if space is None else space
    objective = Objective(FakeModel(), shade, space, (0, 1))
    solver = LLMSearch(space, llm=LLM("test-model", retries=0), **settings)
    return search(solver, objective, Budget(budget), progress=False), solver


def test_a_search_sees_the_best_and_the_worst_with_their_losses(chat):
    chat.say = numbered
    result, _ = run(chat, best=2, worst=1)
    assert result.status == "budget"
    assert len(chat.questions) == 3
    first, _, last = chat.questions
    assert f"{result.baseline_losses[0] / 2 + result.baseline_losses[1] / 2:.4f}  {PROMPT}" in first
    told = [(sum(r.losses) / 2, r.positive) for r in result.trace.records[:9]]
    best, second, *_, worst = sorted(told)
    lines = re.findall(r"(?m)^([\d.]+)  (.*)  \(", last)
    assert lines == [(f"{loss:.4f}", positive) for loss, positive in (best, second, worst)]
    assert (
        result.prompts.positive
        == min(result.trace.records, key=lambda record: record.value).positive
    )


def test_questions_are_bounded_and_unusable_answers_are_reported_and_skipped(chat):
    answers = iter(["no idea", as_json(("", "dark"), ("x" * 700, "")), as_json((PROMPT, ""))])
    chat.say = lambda question: next(answers, None) or numbered(question)
    with pytest.warns(
        UserWarning, match="question [12] of 4: test-model returned no usable prompt"
    ) as caught:
        result, solver = run(chat, calls=4, budget=100)
    assert len(caught) == 2
    assert len(chat.questions) == 4
    assert result.status == "exhausted"
    assert result.cost.evaluations == 5
    assert [text[:20] for text in solver.unusable[:2]] == ["test-model returned "] * 2
    assert solver.unusable[2] == "all prompts were known"


def test_a_search_that_is_run_again_asks_nothing(chat):
    chat.say = numbered
    first, _ = run(chat)
    asked = len(chat.questions)
    again, _ = run(chat)
    assert len(chat.questions) == asked
    assert [record.positive for record in again.trace.records] == [
        record.positive for record in first.trace.records
    ]


def test_an_interrupted_search_goes_on_from_its_trace(chat, tmp_path):
    chat.say = numbered
    settings = {"solver": "llm", "loss": shade, "budget": 9, "verify": 0, "progress": False}
    whole = improve(PROMPT, model=FakeModel(), **settings)
    stopped = improve(
        PROMPT,
        model=FakeModel(),
        trace=tmp_path / "t.jsonl",
        callback=lambda record: record.evaluations == 4,
        **settings,
    )
    assert stopped.status == "stopped"
    lines = (tmp_path / "t.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "t.jsonl").write_text("".join(lines[:-1]))  # as a kill leaves it
    model, asked = FakeModel(), len(chat.questions)
    resumed = improve(PROMPT, model=model, trace=tmp_path / "t.jsonl", **settings)
    assert resumed.prompts == whole.prompts
    assert sum(model.batches) < 4 * 9  # the rest alone
    assert len(chat.questions) == asked


def test_at_equal_cost_a_reader_of_losses_gets_further_than_evolution(chat):
    chat.say = follows
    words = ["grime", "dust", "fog", "rust", "mold", "smoke", "mud", "soot"]
    settings = {
        "model": BlackBox(paint),
        "loss": "white",
        "budget": 12,
        "seeds": 1,
        "verify": 0,
        "progress": False,
    }
    written = improve(PROMPT, solver="llm", **settings)
    space = nplib_space(PROMPT, words)
    evolved = improve(PROMPT, space=space, solver="epo", **settings)
    assert written.cost.evaluations == evolved.cost.evaluations == 12
    assert sum(written.losses) < sum(evolved.losses) < sum(evolved.baseline_losses)


def test_an_attack_keeps_to_the_meaning(chat):
    chat.say = lambda question: as_json(("a crimson ball", ""), ("a blue boat", ""))
    result = attack(
        PROMPT,
        model=FakeModel(),
        loss=shade,
        encoder="toy",
        solver="llm",
        budget=3,
        verify=0,
        progress=False,
    )
    assert "means exactly the same" in chat.questions[0]
    assert re.search(r"(?m)^rejected .*  a blue boat  ", chat.questions[1])
    rejected = [record.positive for record in result.trace.records if not record.losses]
    assert rejected == ["a blue boat"]


def test_the_model_is_the_one_of_the_lexicon_and_other_choices_of_words_are_refused(chat):
    chat.say = numbered
    settings = {"loss": shade, "budget": 2, "verify": 0, "progress": False}
    model = FakeModel()
    own = LLM("my-model")
    result = improve(PROMPT, model=model, solver="llm", lexicon=own, **settings)
    assert result.trace.stamp.parameters["solver"]["model"] == "my-model"
    for wrong in (
        {"space": "nplib"},
        {"space": Space(PROMPT)},
        {"locked": ["red"]},
        {"nplib": ["dark"]},
    ):
        with pytest.raises(ValueError, match="'llm' writes whole prompts, so it takes no"):
            improve(PROMPT, model=model, solver="llm", **settings, **wrong)
    with pytest.raises(ValueError, match="must be a WrittenSpace"):
        LLMSearch(Space(PROMPT))
    with pytest.raises(ValueError, match="calls must be at least 1"):
        LLMSearch(WrittenSpace(PROMPT), calls=0)


def test_where_negative_prompts_are_ignored_none_is_asked_for(chat):
    model = FakeModel()
    model.takes_negative = False
    chat.say = numbered
    result = improve(
        PROMPT, model=model, loss=shade, solver="llm", budget=3, verify=0, progress=False
    )
    assert "with an empty negative prompt" in chat.questions[0]
    assert {record.negative for record in result.trace.records} == {""}


def test_what_the_images_miss_is_told(chat):
    chat.say = lambda question: as_json(("a white cup over a purple moon", "dark"))
    result = improve(
        "a white cup above a purple moon",
        loss="decomposed",
        lexicon="toy",
        solver="llm",
        seeds=1,
        budget=2,
        verify=0,
        progress=False,
    )
    facts = Missed(result.objective, result.objective.loss)()
    assert any("the images rather fit" in fact for fact in facts)
    assert facts == [line[2:] for line in re.findall(r"(?m)^- .*", chat.questions[0])]
    images = result.cost.images
    assert images == 2  # of the prompt and of what was written; the facts need none of their own


def test_without_a_key_no_image_is_made(chat, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    model = FakeModel()
    with pytest.raises(ServerError, match="OPENAI_API_KEY"):
        improve(PROMPT, model=model, loss=shade, solver="llm", progress=False)
    assert not model.batches


def test_a_failing_server_keeps_what_was_found(chat):
    chat.say = numbered
    chat.shutdown()
    chat.server_close()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result, _ = run(chat)
    assert result.status == "failed"
    assert "no answer from test-model" in str(result.error)
    assert result.prompts.positive == PROMPT


def test_the_panel_offers_it(chat):
    chat.say = numbered
    panel = Panel(PROMPT, model=FakeModel(), loss=shade, solver="llm", budget=3, verify=0)
    panel.run()
    panel.wait()
    assert panel.result.cost.evaluations == 3
    assert len(chat.questions) == 1


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (as_json(("a", "b"), ("a", "b"), ("c", "")), [("a", "b"), ("c", "")]),
        (f"Sure:\n```json\n{as_json(('a', 'b'))}\n```", [("a", "b")]),
        ('{"prompts": [{"prompt": "a"}]}', [("a", "")]),
        ('1. "a cat" || dark\n- a  dog ||\nnothing', [("a cat", "dark"), ("a dog", "")]),
        ('{"prompts": 3}', []),
        ('{"prompts": [{"prompt": 3, "negative_prompt": ""}]}', []),
        (as_json(("a\0b", ""), ("ok", "\ud800")), []),
        ("[" * 10_000, []),
        ("", []),
    ],
)
def test_answers_are_read_with_care(text, pairs):
    assert read_prompt_pairs(text) == pairs


def test_servers_without_schemas_are_asked_for_lines(chat):
    chat.say = lambda question: None if "||" not in question else "a red orb || dark"
    result, _ = run(chat, budget=2)
    assert result.trace.records[1].positive == "a red orb"
    assert [("||" in question) for question in chat.questions] == [False, True]


def test_written_prompts_are_candidates():
    space = WrittenSpace(PROMPT, (), "ugly")
    assert space.add(PROMPT, "ugly") == space.identity == (0,)
    assert space.add("a ball", "dark") == space.add("a ball", "dark") == (1,)
    assert [space.decode(candidate) for candidate in space] == [
        (PROMPT, "ugly"),
        ("a ball", "dark"),
    ]
    assert space == WrittenSpace(PROMPT, (), "ugly")
    for wrong in ((2,), (-1,), (0, 0), ()):
        with pytest.raises(ValueError, match="must be one number from 0 to 1"):
            space.decode(wrong)
    with pytest.raises(ValueError, match="null"):
        space.add("a\0b")
