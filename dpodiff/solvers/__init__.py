"""Solvers: one a file, all run by the one loop `search`."""

from dpodiff.solvers.base import Solver
from dpodiff.solvers.epo import EPO
from dpodiff.solvers.loop import search
from dpodiff.solvers.random_search import RandomSearch

__all__ = ["EPO", "RandomSearch", "Solver", "search"]
