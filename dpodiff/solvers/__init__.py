"""Solvers: one a file, all run by the one loop `search`.

Those that follow gradients need torch, so their names are imported on first use.
"""

import importlib
from typing import TYPE_CHECKING

from dpodiff.solvers.base import Solver
from dpodiff.solvers.epo import EPO
from dpodiff.solvers.loop import search
from dpodiff.solvers.random_search import RandomSearch

if TYPE_CHECKING:
    from dpodiff.solvers.best_of_n import search_noise as search_noise
    from dpodiff.solvers.dno import DNO as DNO
    from dpodiff.solvers.dno import ReNO as ReNO
    from dpodiff.solvers.gpo import GPO as GPO
    from dpodiff.solvers.gpo import shortcuts as shortcuts
    from dpodiff.solvers.hpo import HPO as HPO
    from dpodiff.solvers.joint import Joint as Joint
    from dpodiff.solvers.pez import PEZ as PEZ
    from dpodiff.solvers.screening import Rung as Rung
    from dpodiff.solvers.screening import Screening as Screening
    from dpodiff.solvers.zero_order import ZeroOrder as ZeroOrder

_HOMES = {
    "DNO": "dno",
    "GPO": "gpo",
    "HPO": "hpo",
    "Joint": "joint",
    "PEZ": "pez",
    "ReNO": "dno",
    "Rung": "screening",
    "Screening": "screening",
    "ZeroOrder": "zero_order",
    "search_noise": "best_of_n",
    "shortcuts": "gpo",
}

__all__ = ["EPO", "RandomSearch", "Solver", "search"]
__all__ += _HOMES


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
