"""Kill jobs with SIGKILL at many moments, restart them, and compare the results.

    python killing.py FOLDER KILLS JOB ...

Moments are defined by progress, not by time: before and after a batch is made, and before, during
and after a line or a file is written. A job first runs without interruption, which counts the
moments. Then, for evenly spaced moments, a process runs it up to the moment and is killed, and
another one continues. The output is a line of JSON per job: the number of kills, how often the job
finished, how often with exactly the same answer, and the largest number of pieces that were made
twice. Pieces are batches of images, gradients, steps of the noise, questions to a language model,
and steps of a training.

It is a program, since it forks, which a process with threads must not do.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial, wraps
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import torch

import dpodiff
from dpodiff.models.batches import Batches
from dpodiff.objective.noise import NoiseObjective
from dpodiff.objective.text import TextObjective
from dpodiff.results.log import Log
from dpodiff.results.result import Result
from dpodiff.toy.train import fitting

PROMPT = "a small red plane in the sky"
PROMPTS = [
    f"a {color} ball on the {place}" for color in ("red", "blue") for place in ("sea", "sand")
]
Job = Callable[[Path], Any]  # function of a folder; its answer is ready for JSON
SMALL = {"seeds": 2, "batch_size": 3, "progress": False}


class Progress:
    """Counts the moments of a job, and ends the process at one of them.

    Args:
        folder: folder of the job.
        last: number of the moment at which the process ends; 0 for never.
    """

    def __init__(self, folder: Path, last: int) -> None:
        self.folder, self.last, self.moments = folder, last, 0
        self._inside = False  # whether a piece is being made

    def moment(self, before_the_end: Callable[[], object] = lambda: None) -> None:
        """Count a moment, and call `before_the_end` if the process ends at the next one."""
        self.moments += 1
        if self.moments == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.moments + 1 == self.last:
            before_the_end()

    def watch(self) -> None:
        """Watch all batches and all writes."""
        for owner, name in (
            (NoiseObjective, "evaluate"),
            (TextObjective, "value_and_gradient"),
            (Batches, "_fitted"),
            (fitting, "_one_step"),
            (dpodiff.LLM, "_ask"),
        ):
            setattr(owner, name, self._making(getattr(owner, name)))
        write, replace = Log.append, os.replace

        def append(log: Log, line: dict, **how: Any) -> None:
            half = json.dumps(line)[: 40 + len(json.dumps(line)) // 3].encode()
            self.moment(partial(_add, log.path, half))
            self.moment()
            write(log, line, **how)
            self.moment()

        def put(part: Path, path: Path) -> None:
            self.moment()
            replace(part, path)
            self.moment()

        Log.append, os.replace = append, put

    def _making(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its calls counted, except calls inside another piece."""

        @wraps(work)
        def make(*args: Any, **settings: Any) -> Any:
            self.moment()
            outside, self._inside = self._inside, True
            if not outside:
                _add(self.folder / "pieces", b".")
            made = work(*args, **settings)
            self._inside = outside
            self.moment()
            return made

        return make


def _add(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(data)


def improve(folder: Path) -> Any:
    return told(dpodiff.improve(PROMPT, budget=14, verify=6, trace=folder / "trace.jsonl", **SMALL))


def attack(folder: Path) -> Any:
    settings = {"budget": 14, "verify": 6, "similarity": 0.8}
    return told(dpodiff.attack(PROMPT, trace=folder / "trace.jsonl", **settings, **SMALL))


def gpo(folder: Path) -> Any:
    settings = {"solver": "gpo", "space": "antonym", "budget": 12, "verify": 0}
    return told(dpodiff.improve(PROMPT, trace=folder / "trace.jsonl", **settings, **SMALL))


def align(folder: Path) -> Any:
    settings = {"budget": 22, "gamma": 0.1, "permutations": 4}
    return told(dpodiff.align(PROMPT, trace=folder / "trace.jsonl", **settings, **SMALL))


def sweep(folder: Path) -> Any:
    settings = {"budget": 5, "verify": 0, "solver": ["epo", "random"]}
    table = dpodiff.sweep(PROMPTS[:2], out=folder / "sweep", **settings, **SMALL)
    return table.drop(columns="seconds").to_json(orient="records")


def lexicon(folder: Path) -> Any:
    llm = dpodiff.LLM("tiny", cache=folder / "cache")
    spaces = [dpodiff.synonym_space(one, llm.lexicon(one)) for one in PROMPTS]
    return [space.to_json() for space in spaces]


def training(folder: Path) -> Any:
    from dpodiff.toy.train.vae import train_vae

    recipe = fitting.Recipe(steps=5, batch=4, save_seconds=-1.0)
    torch.manual_seed(0)
    module = train_vae(folder, "cpu", recipe)
    return [value.double().sum().item() for value in module.state_dict().values()]


JOBS = {job.__name__: job for job in (improve, attack, gpo, align, sweep, lexicon, training)}


def told(result: Result) -> Any:
    """Return the content of a result without times."""
    noise = None if result.noise is None else result.noise.flatten().tolist()
    records = [(one.candidate, one.losses, one.value) for one in result.trace.records]
    return [result.verdict, result.status, result.losses, result.cost.spent, records, noise]


class Words(BaseHTTPRequestHandler):
    """A local language model that knows the synonyms of one word."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": "ball -> sphere, orb"}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        body = json.dumps({"id": "1", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def serve() -> int:
    """Start the language model in its own process, and return the id of the process."""
    server = HTTPServer(("127.0.0.1", 0), Words)
    os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{server.server_port}/v1"
    os.environ["OPENAI_API_KEY"] = "none"
    child = os.fork()
    if not child:
        server.serve_forever()
    server.server_close()
    return child


def done(job: Job, folder: Path, last: int = 0) -> bool:
    """Run the job in its own process up to a moment; return whether it finished."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if not child:
        try:
            progress = Progress(folder, last)
            progress.watch()
            answer = job(folder)
            (folder / "answer.json").write_text(json.dumps(answer))
            (folder / "moments").write_text(str(progress.moments))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def killed(job: Job, kills: int, folder: Path) -> dict[str, int]:
    """Return the counts for a job that is killed several times."""
    whole = folder / "whole"
    if not done(job, whole):
        raise RuntimeError("the work cannot be done even undisturbed")
    moments, pieces = int((whole / "moments").read_text()), _pieces(whole)
    finished = equal = lost = 0
    for k in range(kills):
        place = folder / str(k)
        done(job, place, last=1 + round(k * (moments - 1) / max(1, kills - 1)))
        if done(job, place):
            finished += 1
            equal += (place / "answer.json").read_text() == (whole / "answer.json").read_text()
            lost = max(lost, _pieces(place) - pieces)
    return {"kills": kills, "finished": finished, "equal answers": equal, "pieces lost": lost}


def _pieces(folder: Path) -> int:
    return (folder / "pieces").stat().st_size


def report(jobs: Mapping[str, Job], folder: str, kills: str, *names: str) -> None:
    """Kill the jobs of these names, and print their counts."""
    torch.set_num_threads(1)
    for name in names:
        place = Path(folder) / name
        place.mkdir(parents=True)
        print(json.dumps({"what": name, **killed(jobs[name], int(kills), place)}), flush=True)


def main(*arguments: str) -> None:
    torch.set_num_threads(1)
    # A forked process does not have the threads in which transformers reads weights.
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"
    dpodiff.improve(PROMPT, budget=2, verify=0, **SMALL)  # imports once for all processes
    server = serve()
    try:
        report(JOBS, *arguments)
    finally:
        os.kill(server, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
