"""Install the wheel in a new environment outside of the project, and run every notebook there.

The environment has what a reader gets by `pip install`: the package with the extras that the
notebooks install, in the pinned versions, and papermill with a kernel. The notebooks are copies.

    python -m book.check_wheel dist/dpodiff-0.1.0-py3-none-any.whl
    python -m book.check_wheel dist/dpodiff-0.1.0-py3-none-any.whl --only 01_quickstart
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from book.build import ROOT, Book, BuildError

EXTRAS = "plots,panel"  # as in the install cell of every notebook


@dataclass(frozen=True)
class Environment:
    """A virtual environment in ``folder`` that is independent of the project."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def make(self, wheel: Path) -> None:
        """Create it and install the wheel; CalledProcessError if that fails."""
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, self.folder], check=True)
        wanted = [f"dpodiff[{EXTRAS}] @ {wheel.as_uri()}", "ipykernel", "papermill"]
        pinned = ["--constraint", ROOT / "requirements.txt"]
        command = [uv, "pip", "install", "--quiet", "--python", self.python, *pinned, *wanted]
        subprocess.run(command, check=True)

    def run(self, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run its Python in ``cwd``, offline and without variables of other environments."""
        leads = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        settings = {name: value for name, value in os.environ.items() if name not in leads}
        settings |= {"HF_HUB_OFFLINE": "1"}
        command = [self.python, *arguments]
        return subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True)


def check(environment: Environment, notebooks: list[Path], cwd: Path) -> list[str]:
    """Return the names of the notebooks that fail; print the seconds and the error of each."""
    failed = []
    for notebook in notebooks:
        start = time.perf_counter()
        papermill = ("-m", "papermill", "--no-progress-bar", "--start-timeout", "300")
        done = environment.run(*papermill, notebook, "executed.ipynb", cwd=cwd)
        word = "stopped after" if done.returncode else "ran in"
        print(f"{notebook.stem} {word} {time.perf_counter() - start:.0f} s", flush=True)
        if done.returncode:
            print(done.stderr[-3000:], file=sys.stderr)
            failed.append(notebook.stem)
    return failed


def main() -> None:
    """Run the command line of the check; it exits with an error if a notebook fails."""
    parser = argparse.ArgumentParser(description="Run every notebook from an installed wheel.")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--only", nargs="+", default=[], metavar="CHAPTER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dpodiff-wheel-") as folder:
        elsewhere = Path(folder).resolve()
        environment = Environment(elsewhere / "environment")
        try:
            chosen = Book(ROOT).chapters(options.only)
            environment.make(options.wheel.resolve(strict=True))
        except (BuildError, FileNotFoundError, subprocess.CalledProcessError) as error:
            sys.exit(f"The wheel was not checked.\n{error}")
        copies = [Path(shutil.copy2(path, elsewhere)) for path in chosen]
        found = environment.run("-c", "import dpodiff; print(dpodiff.__file__)", cwd=elsewhere)
        if not found.stdout.startswith(str(environment.folder)):
            sys.exit(f"dpodiff is not imported from the wheel.\n{found.stdout}{found.stderr}")
        if failed := check(environment, copies, elsewhere):
            sys.exit(f"Of {len(copies)} notebooks these do not run: {', '.join(failed)}")
    print(f"{len(copies)} notebooks run from the installed wheel.")


if __name__ == "__main__":
    main()
