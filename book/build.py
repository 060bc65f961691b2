"""Build the book: papermill executes the chapters, Jupyter Book renders them.

A chapter's source is a notebook without outputs. Its executed copy is under ``_build/staged``, with
copies of the text pages, and is made again only if something it depends on has changed.

    python -m book.build                           # every chapter, on the toy world
    python -m book.build --profile gpu --jobs 1    # every chapter, on Stable Diffusion
    python -m book.build --only 01_quickstart      # one chapter and the text pages
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
import yaml
from traitlets.config import Config

from book import slides
from book.downloads import places, without_traces

ROOT = Path(__file__).parents[1]
Parameters = dict[str, Any]


class BuildError(RuntimeError):
    """An error that stops the build; the message says what and where."""


@dataclass(frozen=True)
class Book:
    """The paths of the parts of a book, below ``root``."""

    root: Path

    @property
    def staged(self) -> Path:
        return self.root / "_build" / "staged"

    @property
    def index(self) -> Path:
        return self.root / "_build" / "html" / "index.html"

    def chapters(self, only: Sequence[str] = ()) -> list[Path]:
        """Return the source notebooks in reading order; ``only`` selects them by their stems."""
        found = {path.stem: path for path in sorted((self.root / "notebooks").glob("*.ipynb"))}
        if unknown := sorted(set(only) - found.keys()):
            raise BuildError(f"no chapter named {unknown[0]!r}; there are {', '.join(found)}")
        return [path for stem, path in found.items() if not only or stem in only]

    def ingredients(self) -> Iterator[Path]:
        """Yield the files that any chapter's outputs may depend on, except the chapter itself."""
        yield self.root / "requirements.txt"
        files = (path for path in (self.root / "dpodiff").rglob("*") if path.is_file())
        yield from sorted(path for path in files if path.parent.name != "__pycache__")


@dataclass(frozen=True)
class Profile:
    """Parameters of a run: ``common`` for all chapters, and ``notebooks`` for single ones."""

    common: Parameters = field(default_factory=dict)
    notebooks: dict[str, Parameters] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Profile:
        """Read a profile; BuildError if the file is missing or has an unknown key."""
        if not path.is_file():
            known = ", ".join(sorted(other.stem for other in path.parent.glob("*.yaml")))
            raise BuildError(f"no profile named {path.stem!r}; there are {known}")
        try:
            return cls(**yaml.safe_load(path.read_text()))
        except TypeError as error:
            raise BuildError(
                f"{path}: only 'common' and 'notebooks' are allowed here: {error}"
            ) from None

    def parameters(self, notebook: Path) -> Parameters:
        """Return the parameters that differ from those in the chapter's own cell."""
        declared = {
            name: found["default"] for name, found in papermill.inspect_notebook(notebook).items()
        }
        own = self.notebooks.get(notebook.stem, {})
        if unknown := sorted(own.keys() - declared.keys()):
            raise BuildError(f"{notebook.name} declares no parameter {unknown[0]!r}")
        common = {name: value for name, value in self.common.items() if name in declared}
        wanted = {**common, **own}
        return {name: value for name, value in wanted.items() if value != _literal(declared[name])}


@dataclass(frozen=True)
class Task:
    """One chapter to execute, with a digest of everything its outputs depend on."""

    source: Path
    target: Path
    parameters: Parameters
    digest: str

    @property
    def stamp(self) -> Path:
        return self.target.with_suffix(".sha256")

    @property
    def fresh(self) -> bool:
        return self.stamp.is_file() and self.stamp.read_text() == self.digest

    def run(self, cwd: Path) -> float:
        """Execute the chapter in the folder ``cwd``; return the seconds, or raise BuildError."""
        start = time.perf_counter()
        self.stamp.unlink(missing_ok=True)
        try:
            with tempfile.TemporaryDirectory() as sockets:
                executed = self._execute(cwd, f"{sockets}/kernel")
        except papermill.PapermillExecutionError as error:
            raise BuildError(f"{self.source.name}, cell {error.cell_index}:{error}") from None
        except RuntimeError as error:  # the kernel did not start, or died
            raise BuildError(f"{self.source.name}: {error}") from None
        nbformat.write(without_traces(executed, places(cwd)), self.target)
        self.stamp.write_text(self.digest)
        return time.perf_counter() - start

    def _execute(self, cwd: Path, sockets: str) -> nbformat.NotebookNode:
        # Its own sockets: otherwise two kernels may choose the same free port.
        return papermill.execute_notebook(
            self.source,
            self.target,
            self.parameters,
            cwd=cwd,
            progress_bar=False,
            start_timeout=300,  # seconds; kernels start slowly on a busy machine
            config=Config(KernelManager={"transport": "ipc", "ip": sockets}),
            extra_arguments=["--IPKernelApp.log_level=50"],  # papermill reports failing cells
        )


def plan(book: Book, chapters: Sequence[Path], profile: Profile) -> list[Task]:
    """Return one task per chapter."""
    shared = hashlib.sha256()
    for path in book.ingredients():
        shared.update(str(path.relative_to(book.root)).encode() + path.read_bytes())
    tasks = []
    for source in chapters:
        parameters = profile.parameters(source)
        digest = shared.copy()
        digest.update(json.dumps(parameters, sort_keys=True).encode() + source.read_bytes())
        target = book.staged / "notebooks" / source.name
        tasks.append(Task(source, target, parameters, digest.hexdigest()))
    return tasks


def execute(tasks: Sequence[Task], cwd: Path, jobs: int) -> dict[str, float]:
    """Run the tasks that are not fresh, ``jobs`` at a time; BuildError names all that failed.

    Returns the seconds that each executed chapter took.
    """
    # Later chapters take longer. They start first, so that none runs alone at the end.
    stale = [task for task in reversed(tasks) if not task.fresh]
    jobs = max(1, min(jobs, len(stale)))
    _say(f"{len(stale)} of {len(tasks)} chapters to execute, {jobs} at a time")
    seconds, failures = {}, []
    with ProcessPoolExecutor(jobs, initializer=_share_cores, initargs=(jobs,)) as pool:
        running = {pool.submit(task.run, cwd): task for task in stale}
        for done in as_completed(running):
            name = running[done].source.stem
            try:
                seconds[name] = done.result()
                _say(f"executed {name} in {seconds[name]:.0f} s")
            except BuildError as error:
                _say(f"failed {name}")
                failures.append(str(error))
    if failures:
        raise BuildError("\n\n".join(failures))
    return seconds


def stage(book: Book, left_out: Sequence[str]) -> None:
    """Copy the settings and the text pages to the executed chapters."""
    (book.staged / "notebooks").mkdir(parents=True, exist_ok=True)
    for copy in list((book.staged / "notebooks").glob("*.ipynb")):
        if not (book.root / "notebooks" / copy.name).exists():  # renamed or removed
            copy.unlink()
    shutil.copy2(book.root / "_config.yml", book.staged)
    shutil.rmtree(book.staged / "book", ignore_errors=True)
    not_pages = shutil.ignore_patterns("*.py", "__pycache__", "profiles", "templates")
    shutil.copytree(book.root / "book", book.staged / "book", ignore=not_pages)
    toc = yaml.safe_load((book.root / "_toc.yml").read_text())
    for part in toc["parts"]:
        part["chapters"] = [
            entry for entry in part["chapters"] if Path(entry["file"]).stem not in left_out
        ]
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    (book.staged / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False))


def render(book: Book, strict: bool) -> None:
    """Render all pages again; with ``strict`` any warning is an error."""
    shutil.rmtree(book.index.parent, ignore_errors=True)  # removes pages of removed chapters
    command = [Path(sys.executable).with_name("jupyter-book"), "build", book.staged]
    command += ["--path-output", book.root]
    command += ["-q", "-n", "-W", "--keep-going"] if strict else ["-qq"]
    _say("rendering the pages")
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if finished.returncode:
        raise BuildError(f"{finished.stdout}\nJupyter Book stopped at what is printed above.")


def report(seconds: dict[str, float], rendering: float, total: float) -> None:
    """Print the time of the chapters, the slowest first, of the pages, and of the whole build."""
    for name, taken in sorted(seconds.items(), key=lambda item: -item[1]):
        _say(f"{taken:6.0f} s  {name}")
    _say(f"{sum(seconds.values()):6.0f} s  all executed chapters, one after another")
    _say(f"{rendering:6.0f} s  pages")
    _say(f"{total:6.0f} s  the whole build")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line of the builder; it prints the path of the first page."""
    parser = argparse.ArgumentParser(description="Execute the chapters and build the book.")
    parser.add_argument("--profile", default="toy", help="parameters, from book/profiles")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="CHAPTER", help="e.g. 01_quickstart"
    )
    parser.add_argument("--jobs", type=int, default=2, help="chapters executed at the same time")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the project")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    book = Book(options.root.resolve())
    try:
        profile = Profile.load(book.root / "book" / "profiles" / f"{options.profile}.yaml")
        chapters = book.chapters(options.only)
        stage(book, left_out=[path.stem for path in book.chapters() if path not in chapters])
        seconds = execute(plan(book, chapters, profile), book.root, options.jobs)
        executed = time.perf_counter()
        render(book, strict=not options.only)  # a part of the book may have links to missing pages
        slides.export(book.staged, book.index.parent, [path.stem for path in chapters])
    except BuildError as error:
        sys.exit(f"The book was not built.\n{error}")
    end = time.perf_counter()
    report(seconds, rendering=end - executed, total=end - start)
    print(book.index)


def _literal(source: str) -> Any:
    """Return the value of an assignment in a parameters cell."""
    try:
        return ast.literal_eval(source)
    except (SyntaxError, ValueError):
        return None


def _share_cores(jobs: int) -> None:
    """Give each kernel its share of the cores, and silence the debugger's advice."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
