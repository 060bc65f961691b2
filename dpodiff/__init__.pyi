from . import (
    gradients as gradients,
    losses as losses,
    models as models,
    objective as objective,
    patches as patches,
    plots as plots,
    results as results,
    solvers as solvers,
    spaces as spaces,
    studies as studies,
    sweeps as sweeps,
    toy as toy,
)
from .api import (
    Faithfulness as Faithfulness,
    align as align,
    attack as attack,
    faithfulness as faithfulness,
    improve as improve,
)
from .api.parameters import check_parameters as check_parameters
from .gradients import (
    Hybrid as Hybrid,
)
from .losses import (
    Ensemble as Ensemble,
    SphericalCLIP as SphericalCLIP,
    Weighted as Weighted,
)
from .models import (
    Model as Model,
    PromptError as PromptError,
    load as load,
)
from .models.black_box import (
    BlackBox as BlackBox,
)
from .names import (
    LoadError as LoadError,
)
from .objective import (
    Budget as Budget,
    Cost as Cost,
    Evaluation as Evaluation,
    Objective as Objective,
)
from .results.attribution import attribution as attribution
from .results.comparison import Verification as Verification
from .results.conclusions import Conclusion as Conclusion, conclusion as conclusion
from .results.held_out import (
    held_out as held_out,
    on_search_seeds as on_search_seeds,
    visual_distance as visual_distance,
)
from .results.records import (
    Recorded as Recorded,
)
from .results.result import (
    Result as Result,
)
from .results.saved import (
    SavedResult as SavedResult,
    load_result as load_result,
)
from .results.stamp import (
    Stamp as Stamp,
)
from .results.statistics import (
    paired_bootstrap as paired_bootstrap,
    subset_interval as subset_interval,
)
from .results.trace import (
    Record as Record,
    Trace as Trace,
)
from .results.transfer import transfer as transfer
from .results.verdicts import (
    Verdict as Verdict,
    verdict as verdict,
    verdict_table as verdict_table,
)
from .results.verification import verify as verify
from .solvers import (
    DNO as DNO,
    EPO as EPO,
    GPO as GPO,
    HPO as HPO,
    PEZ as PEZ,
    TPE as TPE,
    ForwardSelection as ForwardSelection,
    Joint as Joint,
    Listed as Listed,
    LLMSearch as LLMSearch,
    RandomSearch as RandomSearch,
    ReNO as ReNO,
    Screening as Screening,
    Solver as Solver,
    ZeroOrder as ZeroOrder,
    search as search,
    search_noise as search_noise,
)
from .spaces import (
    lexicons as lexicons,
)
from .spaces.constraints import (
    Similarity as Similarity,
    load_encoder as load_encoder,
)
from .spaces.contrasts import Contrast as Contrast, contrast_prompts as contrast_prompts
from .spaces.diagnosis import diagnosed_candidates as diagnosed_candidates
from .spaces.files import (
    read_prompts as read_prompts,
    read_spaces as read_spaces,
    write_spaces as write_spaces,
)
from .spaces.lexicons import (
    LLM as LLM,
    Dictionary as Dictionary,
    Lexicon as Lexicon,
    WordNet as WordNet,
    antonym_space as antonym_space,
    describe as describe,
    emphasis_space as emphasis_space,
    extract_keywords as extract_keywords,
    guidance_space as guidance_space,
    modifiers_space as modifiers_space,
    nplib_space as nplib_space,
    read_words as read_words,
    synonym_space as synonym_space,
    window_space as window_space,
)
from .spaces.promptist import (
    Promptist as Promptist,
)
from .spaces.prompts import (
    GuidedPrompts as GuidedPrompts,
    Prompts as Prompts,
)
from .spaces.slots import (
    Slot as Slot,
)
from .spaces.space import (
    Candidate as Candidate,
    Space as Space,
)
from .spaces.statements import (
    Statement as Statement,
    contrasts_of as contrasts_of,
    statements as statements,
)
from .spaces.written import WrittenSpace as WrittenSpace
from .studies import (
    Study as Study,
    StudyReport as StudyReport,
    StudySize as StudySize,
    read_study as read_study,
    study as study,
    study_panel as study_panel,
    study_size as study_size,
)
from .sweeps import sweep as sweep
from .widgets import (
    panel as panel,
)

__version__: str
