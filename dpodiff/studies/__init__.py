"""Studies with people: a blind choice of the image that fits a text better.

    dpodiff.study({"search": results}, "study.html")
    print(dpodiff.read_study("answers", "study.key.json"))

`images`      images of results, folders and other programs, by method, prompt and seed
`pairs`       what is shown: pairs, repeated pairs and checks
`session`     the course of a study for one rater, used by the panel and simulated raters
`page`        the study as one HTML file, `page.html`
`design`      a study with its page and its key
`making`      a study from images
`simulated`   raters that are functions, for tests of a study
`panel`       the study in a notebook
`answers`     reading and checking files of answers
`exclusion`   rules for the exclusion of raters and answers
`measures`    win rates, agreement and Bradley-Terry scores
`report`      the report of a study
`size`        the number of prompts and pairs that a study needs

It imports from `results` and the folders before it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
