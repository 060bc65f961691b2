"""Cells of a notebook in this process, since each kernel would import the same things again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import matplotlib
import matplotlib.pyplot as plt
from IPython.core.displayhook import CapturingDisplayHook
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from matplotlib_inline.backend_inline import configure_inline_support


class Shell(InteractiveShell):
    """What a kernel's shell is to a chapter."""

    def enable_gui(self, gui=None):
        """Figures that are shown in the page need no window."""


@contextmanager
def opened(home: Path) -> Iterator[Shell]:
    """A shell that keeps its files in `home`; matplotlib is as before when it is closed."""
    backend, interactive = matplotlib.get_backend(), matplotlib.is_interactive()
    shell = Shell.instance(ipython_dir=str(home), user_module=ModuleType("chapter"))
    shell.history_manager.enabled = False
    shell.run_line_magic("matplotlib", "inline")
    yield shell
    configure_inline_support(shell, backend)  # or the next shell would show no figures
    Shell.clear_instance()
    plt.switch_backend(backend)
    matplotlib.interactive(interactive)


@contextmanager
def cleared(shell: Shell) -> Iterator[Shell]:
    """The shell without a name, with figures shown in the page."""
    shell.reset()
    with matplotlib.rc_context():
        yield shell
    plt.close("all")


def run_cell(shell: Shell, source: str) -> list[dict]:
    """What the cell shows, by kind; an exception of the cell is raised."""
    shell.display_pub = CapturingDisplayPublisher()
    outputs = shell.display_pub.outputs
    shell.display_trap.hook = CapturingDisplayHook(shell, outputs)
    # Kept in `In`, where `check_parameters` looks.
    shell.run_cell(source, store_history=True).raise_error()
    return [output["data"] for output in outputs]
