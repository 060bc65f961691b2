from .jobs import WorkerDied as WorkerDied
from .log import Entry as Entry, run_jobs as run_jobs
from .over_prompts import sweep as sweep
from .report import Summary as Summary, summary as summary
from .running import Outcome as Outcome, outcomes as outcomes
from .tables import read_table as read_table
