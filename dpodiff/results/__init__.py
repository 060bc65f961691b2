"""Traces, results and records of searches, and the statistics to draw conclusions from them.

`stamp`         the origin of numbers: parameters, commit, device, versions
`trace`         one record per evaluation, written while the search runs
`result`        the best candidate and the user's own prompt
`held_out`      both prompts on unseen seeds, with held-out losses and judges
`scoring`       many prompts by many measures; each image is made once
`transfer`      found prompts with other models, losses and seeds
`attribution`   found prompts without one of their words
`verification`  the best candidates compared with the user's prompt on fresh seeds
`comparison`    the comparison of each finalist, and the verdict
`acceptance`    verification within the budget of a search
`statistics`    paired intervals and verdicts
`conclusions`   sentences about a result that are checked against it
`goals`         measurements of benchmarks, and the goals that they met or missed
`records`       recorded long experiments; `recorded/` holds their tables
`headroom`      settings compared with the best one, and gains of picks by loss and space
`selection`     best of n, computed from evaluated candidates

It imports from `objective` and the folders before it, never from `solvers`: a solver returns a
result.
"""
