"""Prompt and noise optimization for text-to-image diffusion models.

Names are imported on first use, so `import dpodiff` is fast and does not need torch.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dpodiff import gradients as gradients
    from dpodiff import lexicons as lexicons
    from dpodiff import losses as losses
    from dpodiff import models as models
    from dpodiff import plots as plots
    from dpodiff import solvers as solvers
    from dpodiff.alignment import align as align
    from dpodiff.api import attack as attack
    from dpodiff.api import improve as improve
    from dpodiff.black_box import BlackBox as BlackBox
    from dpodiff.constraints import Similarity as Similarity
    from dpodiff.constraints import load_encoder as load_encoder
    from dpodiff.evaluation import held_out as held_out
    from dpodiff.evaluation import on_search_seeds as on_search_seeds
    from dpodiff.evaluation import visual_distance as visual_distance
    from dpodiff.ledger import Budget as Budget
    from dpodiff.ledger import Cost as Cost
    from dpodiff.lexicons import LLM as LLM
    from dpodiff.lexicons import Dictionary as Dictionary
    from dpodiff.lexicons import Lexicon as Lexicon
    from dpodiff.lexicons import WordNet as WordNet
    from dpodiff.lexicons import antonym_space as antonym_space
    from dpodiff.lexicons import describe as describe
    from dpodiff.lexicons import extract_keywords as extract_keywords
    from dpodiff.lexicons import nplib_space as nplib_space
    from dpodiff.lexicons import synonym_space as synonym_space
    from dpodiff.losses import SphericalCLIP as SphericalCLIP
    from dpodiff.losses import Weighted as Weighted
    from dpodiff.models import Model as Model
    from dpodiff.models import PromptError as PromptError
    from dpodiff.models import load as load
    from dpodiff.noise_gradients import Hybrid as Hybrid
    from dpodiff.objective import Evaluation as Evaluation
    from dpodiff.objective import Objective as Objective
    from dpodiff.promptist import Promptist as Promptist
    from dpodiff.records import Recorded as Recorded
    from dpodiff.solvers import EPO as EPO
    from dpodiff.solvers import RandomSearch as RandomSearch
    from dpodiff.solvers import Solver as Solver
    from dpodiff.solvers import search as search
    from dpodiff.space import Candidate as Candidate
    from dpodiff.space import Prompts as Prompts
    from dpodiff.space import Slot as Slot
    from dpodiff.space import Space as Space
    from dpodiff.space_file import read_prompts as read_prompts
    from dpodiff.space_file import read_spaces as read_spaces
    from dpodiff.space_file import write_spaces as write_spaces
    from dpodiff.statistics import paired_bootstrap as paired_bootstrap
    from dpodiff.statistics import verdict as verdict
    from dpodiff.trace import Record as Record
    from dpodiff.trace import Result as Result
    from dpodiff.trace import Stamp as Stamp
    from dpodiff.trace import Trace as Trace
    from dpodiff.widgets import panel as panel

_MODULES = ("gradients", "lexicons", "losses", "models", "plots", "solvers")
_HOMES = {
    "alignment": ("align",),
    "api": ("attack", "improve"),
    "black_box": ("BlackBox",),
    "constraints": ("Similarity", "load_encoder"),
    "lexicons": (
        "LLM",
        "Dictionary",
        "Lexicon",
        "WordNet",
        "antonym_space",
        "describe",
        "extract_keywords",
        "nplib_space",
        "synonym_space",
    ),
    "evaluation": ("held_out", "on_search_seeds", "visual_distance"),
    "losses": ("SphericalCLIP", "Weighted"),
    "models": ("Model", "PromptError", "load"),
    "ledger": ("Budget", "Cost"),
    "noise_gradients": ("Hybrid",),
    "objective": ("Evaluation", "Objective"),
    "solvers": ("EPO", "RandomSearch", "Solver", "search"),
    "space": ("Candidate", "Prompts", "Slot", "Space"),
    "space_file": ("read_prompts", "read_spaces", "write_spaces"),
    "promptist": ("Promptist",),
    "records": ("Recorded",),
    "statistics": ("paired_bootstrap", "verdict"),
    "trace": ("Record", "Result", "Stamp", "Trace"),
    "widgets": ("panel",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted([*_HOME_OF, *_MODULES])


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
