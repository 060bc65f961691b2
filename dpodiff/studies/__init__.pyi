from .design import Study as Study
from .exclusion import Rules as Rules
from .making import study as study
from .pairs import Pair as Pair, Showing as Showing
from .panel import StudyPanel as StudyPanel, study_panel as study_panel
from .report import StudyReport as StudyReport, read_study as read_study
from .session import Session as Session
from .simulated import simulated_rater as simulated_rater
from .size import StudySize as StudySize, study_size as study_size
