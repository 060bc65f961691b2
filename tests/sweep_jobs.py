"""Jobs that end their own worker or their driver, once; and a driver to be ended.

    python tests/sweep_jobs.py FOLDER WHERE [ADDRESS]

A process of its own imports this fast.
"""

import json
import os
import signal
import sys
from pathlib import Path

from dpodiff.sweeps import run_jobs

JOBS = [(number,) for number in range(12)]
ENDS_WORKER, ENDS_DRIVER, FAILS = 3, 6, 9


class Squares:
    """Squares of numbers; the folder says which process is to be ended, and whether it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, number: int) -> dict[str, int]:
        if number == FAILS:
            raise ValueError("9 has no square here")
        if number == ENDS_WORKER and self.first_time("worker"):
            os.kill(os.getpid(), signal.SIGKILL)
        if number == ENDS_DRIVER and self.first_time("driver"):
            os.kill(int((self.folder / "driver.pid").read_text()), signal.SIGKILL)
        with (self.folder / "begun.txt").open("a") as file:
            file.write(f"{number}\n")
        return {"square": number**2}

    def first_time(self, what: str) -> bool:
        try:
            (self.folder / f"{what}.ended").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class Stubborn(Exception):
    """An error that cannot be made again from its text."""

    def __init__(self, x: int, y: int) -> None:
        super().__init__(f"seen at {x, y}")


def shown(what: str):
    """An error or a value that no other process can have; or a plain value."""
    if what == "error":
        raise Stubborn(1, 2)
    return open(os.devnull) if what == "value" else "plain"


def main(folder: Path, on: str, address: str | None) -> None:
    (folder / "driver.pid").write_text(str(os.getpid()))
    entries = run_jobs(
        Squares(folder),
        JOBS,
        folder / "run",
        on=on,  # type: ignore[arg-type]
        workers=2,
        address=address,
        progress=False,
    )
    print(json.dumps([[entry.job, entry.value, entry.error] for entry in entries]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
