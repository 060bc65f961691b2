"""Many searches at once: prompts x solvers x seeds as independent jobs, none of them lost.

`jobs`          jobs, what workers say of them, and pools of workers
`running`       independent jobs on workers, with retries: `outcomes`
`processes`     workers that are processes of this machine
`cluster`       workers that are actors of Ray
`log`           jobs whose results are kept as they come: `run_jobs`
`folders`       what the folders of long runs share: one writer, one set of settings
`prompts`       numbered prompts, from a list or a file
`settings`      of its searches: checks and stamp
`searches`      the job of a sweep: one search, on parts that stay loaded
`over_prompts`  `sweep`
`tables`        its table
`report`        what the table says over prompts

Imports from `api` and the folders before it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
