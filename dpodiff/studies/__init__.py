"""Studies with people: which of two images fits a text better, asked blind.

    dpodiff.study({"search": results}, "study.html")
    print(dpodiff.read_study("answers", "study.key.json"))

`images`      of results, of folders and of other programs, by method, prompt and seed
`pairs`       what is shown: pairs, repeated pairs and checks
`session`     one rater's way through a study; the panel and simulated raters take it
`page`        the study as one HTML file, `page.html`
`design`      a study: all that is shown, its page and its key
`making`      from images to a study
`simulated`   raters that are functions, to test a study with
`panel`       the study in a notebook
`answers`     answers that were read from files, and checked
`exclusion`   which raters and answers are left out, and why
`measures`    win rates, agreement and Bradley-Terry scores
`report`      all of these, read from files
`size`        how many prompts and pairs a study needs

Imports from `results` and the folders before it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
