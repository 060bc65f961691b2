from .base import Solver as Solver
from .best_of_n import search_noise as search_noise
from .dno import DNO as DNO, ReNO as ReNO
from .epo import EPO as EPO
from .forward_selection import ForwardSelection as ForwardSelection
from .gpo import GPO as GPO, shortcuts as shortcuts
from .hpo import HPO as HPO
from .joint import Joint as Joint
from .listed import Listed as Listed
from .llm_search import LLMSearch as LLMSearch
from .loop import search as search
from .pez import PEZ as PEZ
from .random_search import RandomSearch as RandomSearch
from .screening import Rung as Rung, Screening as Screening
from .tpe import TPE as TPE
from .zero_order import ZeroOrder as ZeroOrder
