"""Open every page of the built book in a headless browser, and report problems.

A page fails if it requests anything from outside of this machine, its console shows an error, a
file is missing, a formula cannot be rendered, it contains a widget without a kernel, or it is wider
than the screen of a phone. The browser is controlled by the Chrome DevTools Protocol and can reach
nothing but this machine.

    python book/check_pages.py
    python book/check_pages.py _build/html --screenshots _build/screenshots
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import itertools
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import websocket

Event = dict[str, Any]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOOPBACK = "127.0.0.1"
WIDTH = 1280  # pixels of a page on a laptop
PHONE = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": True}
FLAGS = [
    "--headless",
    "--no-sandbox",  # so that it also runs as root, in a container
    "--no-first-run",
    "--hide-scrollbars",
    "--no-proxy-server",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    f"--window-size={WIDTH},900",
    f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {LOOPBACK}",
    "--remote-debugging-port=0",
]
# Runs in a page after loading. Formulas are rendered after the page has loaded.
LOOK = """(async () => {
    await window.MathJax?.startup?.promise;
    const found = selector => Array.from(document.querySelectorAll(selector));
    return [
        ...found("mjx-merror").map(e => `formula not set: ${e.dataset.mjxError ?? e.textContent}`),
        ...found("script[type*='jupyter.widget-view']").map(e => "widget without a kernel"),
        ...found("link[rel~=preconnect], link[rel~=dns-prefetch], link[rel~=prefetch]")
            .filter(e => new URL(e.href).hostname !== location.hostname)
            .map(e => `outside host announced: ${e.href}`),
    ];
})()"""

# Elements that are wider than a narrow screen and do not scroll in their own box.
WIDER = """(() => {
    const wide = document.documentElement.clientWidth;
    const scrolls = e => e && (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX)
        || scrolls(e.parentElement));
    if (document.documentElement.scrollWidth <= wide + 1) return [];
    const out = Array.from(document.querySelectorAll("article *"))
        .filter(e => e.getBoundingClientRect().right > wide + 1 && !scrolls(e.parentElement));
    const named = e => `${e.tagName.toLowerCase()} "${e.textContent.trim().slice(0, 40)}"`;
    return [`wider than a phone: ${out.slice(0, 3).map(named).join(", ") || "the page"}`];
})()"""


class DevTools:
    """A connection to a browser: calls are answered in order, events are stored."""

    def __init__(self, url: str, timeout: float = 120) -> None:
        """Connect to the browser's WebSocket; ``timeout`` in seconds bounds every wait."""
        self.socket = websocket.create_connection(url, timeout=timeout, suppress_origin=True)
        self.numbers = itertools.count(1)
        self.events: list[Event] = []

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one command, to one tab if ``session`` is given, and wait for its result."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        self.socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def wait(self, wanted: Callable[[Event], bool]) -> None:
        """Read events until one is ``wanted``, including those that have arrived already."""
        if not any(map(wanted, self.events)):
            while not wanted(event := json.loads(self.socket.recv())):
                self.events.append(event)


class Tab:
    """One page in the browser."""

    def __init__(self, browser: DevTools) -> None:
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.blank = self.call("Page.getFrameTree")["frameTree"]["frame"]["loaderId"]
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command to this page."""
        return self.browser.call(method, self.session, **params)

    def open(self, url: str) -> list[str]:
        """Open ``url``, wait until its network is idle, and return the problems."""
        self.call("Page.navigate", url=url)
        self.browser.wait(self._at_rest)
        look = self.evaluate(LOOK)
        mine = [event for event in self.browser.events if event.get("sessionId") == self.session]
        seen = [problem(event["method"], event["params"]) for event in mine]
        return list(dict.fromkeys([*filter(None, seen), *look]))

    def on_a_phone(self) -> list[str]:
        """Set the width of a phone from now on, and return what is wider."""
        self.call("Emulation.setDeviceMetricsOverride", **PHONE)
        return self.evaluate(WIDER)

    def evaluate(self, expression: str) -> list[str]:
        """Return the problems that an expression finds in the page."""
        settings = {"awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", expression=expression, **settings)
        return answer["result"].get("value", [])

    def screenshot(self, path: Path) -> None:
        """Save the whole page as a PNG file."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        screen = {"width": WIDTH, "height": size["height"], "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        shot = self.call("Page.captureScreenshot")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self) -> None:
        """Close the page and discard its events."""
        self.browser.call("Target.closeTarget", targetId=self.target)
        self.browser.events.clear()

    def _at_rest(self, event: Event) -> bool:
        """Return whether the event says that the network of this page, or its redirect, is idle."""
        told = event["params"]
        return (
            event["method"] == "Page.lifecycleEvent"
            and (told["frameId"], told["name"]) == (self.target, "networkIdle")
            and told["loaderId"] != self.blank
        )


def problem(method: str, params: dict[str, Any]) -> str | None:
    """Return the problem in an event of the DevTools Protocol; None if there is none."""
    if method == "Network.requestWillBeSent" and outside(params["request"]["url"]):
        return f"request leaves the machine: {params['request']['url']}"
    if method == "Network.webSocketCreated" and outside(params["url"]):
        return f"request leaves the machine: {params['url']}"
    if method == "Log.entryAdded" and params["entry"]["level"] == "error":
        return f"console: {params['entry']['text']} {params['entry'].get('url', '')}".rstrip()
    if method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
        said = (str(part.get("value", part.get("description"))) for part in params["args"])
        return f"console: {' '.join(said)}"
    if method == "Runtime.exceptionThrown":
        details = params["exceptionDetails"]
        return f"console: {details.get('exception', {}).get('description', details['text'])}"
    return None


def outside(url: str) -> bool:
    """Return whether a request for ``url`` would leave this machine."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname != LOOPBACK


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve ``folder`` on the loopback interface, and yield the address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *request: Any) -> None:
            if not isinstance(sys.exc_info()[1], ConnectionError):  # a closed tab stops reading
                super().handle_error(*request)

    handler = functools.partial(Quiet, directory=str(folder))
    with Server((LOOPBACK, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{LOOPBACK}:{server.server_port}"
        server.shutdown()


@contextmanager
def launched(executable: str) -> Iterator[DevTools]:
    """Start the browser with a new profile, and stop it afterwards."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [executable, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            lines = iter(process.stderr.readline, "")
            found = (re.search(r"DevTools listening on (ws://\S+)", line) for line in lines)
            url = next(match[1] for match in found if match)
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield DevTools(url)
        finally:
            process.terminate()
            process.wait()


def pages(folder: Path) -> list[Path]:
    """Return the pages of a built book, without parts of the theme."""
    found = (path.relative_to(folder) for path in folder.rglob("*.html"))
    return sorted(path for path in found if not path.parts[0].startswith("_"))


def check(folder: Path, executable: str, shots: Path | None = None) -> dict[Path, list[str]]:
    """Return the problems of every page below ``folder``; ``shots`` is a folder for screenshots."""
    problems = {}
    with served(folder) as address, launched(executable) as browser:
        for page in pages(folder):
            tab = Tab(browser)
            problems[page] = tab.open(f"{address}/{page.as_posix()}")
            if shots:
                tab.screenshot(shots / page.with_suffix(".png"))
            problems[page] += tab.on_a_phone()
            tab.close()
    return problems


def main() -> None:
    """Run the command line of the check; it exits with an error if a page has a problem."""
    built = Path(__file__).parents[1] / "_build" / "html"
    parser = argparse.ArgumentParser(description="Check the built pages in a headless browser.")
    parser.add_argument("folder", nargs="?", type=Path, default=built, help="the built pages")
    parser.add_argument("--screenshots", type=Path, help="folder for one image per page")
    parser.add_argument("--optional", action="store_true", help="no error without a browser")
    options = parser.parse_args()
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        message = f"Pages not checked: none of {', '.join(BROWSERS)} is installed."
        if not options.optional:
            sys.exit(message)
        print(message)
        return
    problems = check(options.folder.resolve(), executable, options.screenshots)
    for page, found in problems.items():
        for one in found:
            print(f"{page}: {one}", file=sys.stderr)
    if not problems or any(problems.values()):
        sys.exit(f"{sum(map(bool, problems.values()))} of {len(problems)} pages have problems.")
    print(f"{len(problems)} pages checked: nothing left the machine, no error in the console.")


if __name__ == "__main__":
    main()
