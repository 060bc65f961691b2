"""The hub is a real HTTP server on this machine, or an address where nothing listens."""

import contextlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from dpodiff import LoadError, load, load_encoder, losses
from dpodiff.models import hub, pretrained


class Handler(BaseHTTPRequestHandler):
    """Lets itself be reached, and answers whatever is asked for with one status and code."""

    def do_HEAD(self):
        self.server.asked.append(self.path)
        status, code = (200, "") if self.path == "/" else self.server.answer
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, *args):
        pass


def point(monkeypatch, port):
    address = f"http://127.0.0.1:{port}"
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    return address


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "_asked", {})
    return tmp_path / "cache"


@pytest.fixture
def server(monkeypatch):
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked, server.answer = [], (404, "EntryNotFound")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        point(monkeypatch, server.server_port)
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def nowhere(monkeypatch):
    """The address of a hub where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield point(monkeypatch, free.getsockname()[1])


def attempts():
    """A model, a CLIP, a reward and an encoder that are not on this machine."""
    yield lambda: load("sd-v1-5")
    yield lambda: losses.load("clip:ViT-B-32/openai")
    yield lambda: losses.load("hpsv2.1")
    with contextlib.suppress(ImportError):
        import sentence_transformers  # noqa: F401

        yield lambda: load_encoder("sentence-transformers/sentence-t5-base", "cpu")


def test_without_a_network_the_hub_is_asked_once_and_three_ways_out_are_named(
    nowhere, cache, monkeypatch
):
    asked = []
    ask = hub._ask
    monkeypatch.setattr(hub, "_ask", lambda address: asked.append(address) or ask(address))
    for attempt in attempts():
        with pytest.raises(LoadError, match=f"{nowhere} cannot be reached") as error:
            attempt()
        message = str(error.value)
        assert "folder" in message
        assert f"cache {cache}" in message
        assert "'toy'" in message
        assert "\n" not in message
    assert asked == [nowhere]
    assert not constants.HF_HUB_OFFLINE


def test_what_the_user_typed_is_named_with_its_repository(nowhere):
    with pytest.raises(LoadError, match="^sd-v1-5 .stable-diffusion-v1-5/stable-diffusion-v1-5. c"):
        load("sd-v1-5")


def test_the_hub_is_asked_again_after_a_while(nowhere, monkeypatch):
    asked = []
    monkeypatch.setattr(hub, "_ask", lambda address: bool(asked.append(address)))
    now = iter([0.0, 0.0, hub.MEMORY - 1, hub.MEMORY + 1, hub.MEMORY + 1])
    monkeypatch.setattr(hub.time, "monotonic", lambda: next(now))
    assert [hub.answers() for _ in range(3)] == [False] * 3
    assert len(asked) == 2


def test_downloaded_files_are_used_without_a_network(nowhere, cache):
    folder = cache / "models--own--er"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("a" * 40)
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    save_file({"x": torch.ones(2)}, snapshot / "model.safetensors")
    assert pretrained.read("own/er")["x"].tolist() == [1, 1]


def test_offline_mode_is_named_where_it_is_set(server, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LoadError, match="HF_HUB_OFFLINE forbids to download it"):
        load("sd-v1-5")
    assert constants.HF_HUB_OFFLINE
    assert not server.asked


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            (403, "GatedRepo"),
            "it is gated. Accept its license at http.*/sd-.*hf auth login",
        ),
        ((401, "GatedRepo"), "it is gated"),
        ((401, "RepoNotFound"), "does not exist, or you have no access"),
        ((404, "RepoNotFound"), "does not exist, or you have no access"),
        ((403, ""), "does not exist, or you have no access"),
        ((400, ""), "answered with an error .*400"),
        ((404, "EntryNotFound"), "a file that it needs is missing at http"),
    ],
)
def test_what_the_hub_refuses_is_said(server, answer, message):
    server.answer = answer
    with pytest.raises(LoadError, match=message) as error:
        load("sd-turbo")
    assert "You can give the folder" in str(error.value)
    with pytest.raises(LoadError, match=message.replace("/sd-", "/RE-")):
        losses.load("hpsv2.1")
    assert server.asked.count("/") == 1
