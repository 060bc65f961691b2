"""What a search leaves behind, and what may be concluded from it.

`stamp`         where numbers come from: parameters, commit, device, versions
`trace`         one record per evaluation, written while the search runs
`result`        the best candidate beside the user's own prompt
`held_out`      the same two prompts on unseen seeds, by losses and judges that took no part
`scoring`       many prompts by many measures, each image made once
`transfer`      found prompts under other models, losses and seeds
`attribution`   found prompts without each of their words
`verification`  the best candidates against the user's prompt on fresh seeds
`comparison`    what it says: each finalist, and the verdict
`acceptance`    verification within the budget of a search
`statistics`    paired intervals and verdicts
`conclusions`   sentences about a result, checked when the result is there
`goals`         what benchmarks measured, and the goals that they met or missed
`records`       long experiments that were run before; `recorded/` holds their tables
`headroom`      settings against the best one, and what picks gain by loss and space
`selection`     best of n, computed from evaluated candidates

Imports from `objective` and the folders before it, never from `solvers`: a solver returns a result.
"""
