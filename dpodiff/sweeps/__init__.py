"""Many searches in parallel: prompts x solvers x seeds as independent jobs that can be resumed.

`jobs`          jobs, the answers of workers, and pools of workers
`running`       independent jobs on workers, with retries: `outcomes`
`processes`     workers that are processes of this machine
`cluster`       workers that are actors of Ray
`log`           jobs with stored results: `run_jobs`
`folders`       output folders of long runs: one writer, one set of settings
`prompts`       numbered prompts, from a list or a file
`settings`      settings of a sweep: checks and stamp
`searches`      the job of a sweep: one search with parts that stay loaded
`over_prompts`  `sweep`
`tables`        the table of a sweep
`report`        the summary of the table over prompts

It imports from `api` and the folders before it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
