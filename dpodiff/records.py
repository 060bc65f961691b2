"""Recorded experiments: long runs of the book, kept with what is needed to trust them.

A record is a folder with `stamp.json` (parameters, commit, device, versions, seconds), `table.csv`
(one row a prompt, solver and measure, before and after) and the traces of its searches.
"""

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dpodiff.statistics import paired_bootstrap
from dpodiff.trace import Stamp

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 10  # prompts that a claim is made on
WIDTH = 76  # characters of a line of output in the book
RESULTS = Path(__file__).parents[1] / "book" / "results"


@dataclass(frozen=True)
class Recorded:
    """An experiment that was run before.

    Attributes:
        name: of its folder.
        stamp: where its numbers come from.
        table: columns "prompt", "solver", "measure", "before", "after".
    """

    name: str
    stamp: Stamp
    table: "pd.DataFrame"

    @classmethod
    def load(cls, name: str, folder: Path = RESULTS) -> "Recorded":
        """Read a record.

        Raises:
            FileNotFoundError: there is none of that name, or it was not finished.
        """
        import pandas as pd

        stamp, table = folder / name / "stamp.json", folder / name / "table.csv"
        if not (stamp.is_file() and table.is_file()):
            known = sorted(path.parent.name for path in folder.glob("*/stamp.json"))
            raise FileNotFoundError(
                f"no finished record {name!r} in {folder}; there are: {', '.join(known) or 'none'}"
            )
        return cls(name, Stamp(**json.loads(stamp.read_text())), pd.read_csv(table))

    def stamp_text(self) -> str:
        """Where, when and how it was recorded, in a few lines."""
        stamp, commit = self.stamp, f"commit {self.stamp.commit[:12]}"
        versions = ", ".join(f"{k} {v}" for k, v in stamp.versions.items())
        settings = ", ".join(f"{k} = {v}" for k, v in stamp.parameters.items())
        first = f"Recorded {stamp.time[:10]} in {stamp.seconds:.0f} s on {stamp.device}, {commit}."
        return "\n".join(textwrap.fill(line, WIDTH) for line in (first, settings, versions))

    def differences(self) -> "pd.DataFrame":
        """Mean of after - before over prompts, with a paired 95% interval a solver and measure."""
        import pandas as pd

        rows = {
            f"{solver}: {measure}": {
                "solver": solver,
                "measure": measure,
                "before": group["before"].mean(),
                "after": group["after"].mean(),
                **paired_bootstrap(group["after"] - group["before"])._asdict(),
                "prompts": len(group),
            }
            for (solver, measure), group in self.table.groupby(["solver", "measure"], sort=False)
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    def contrast(self, first: str, second: str) -> "pd.DataFrame":
        """Mean over prompts of what `first` reached minus what `second` did, a measure a row."""
        import pandas as pd

        after = self.table.pivot(index=["measure", "prompt"], columns="solver", values="after")
        difference = (after[first] - after[second]).groupby("measure", sort=False)
        rows = {measure: paired_bootstrap(group)._asdict() for measure, group in difference}
        return pd.DataFrame.from_dict(rows, orient="index")

    def verdicts(self) -> list[str]:
        """Each claim "it gets better" with its interval: holds, fails, or rests on too little."""
        lines = []
        for name, row in self.differences().iterrows():
            better = row["high"] < 0 if row["measure"].startswith("loss") else row["low"] > 0
            interval = f"{row['mean']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
            verdict = "holds" if better else "FAILS"
            if row["prompts"] < FEWEST:  # the bootstrap of a handful is far too narrow
                verdict = f"OPEN (only {row['prompts']} prompts)"
            lines.append(f"{verdict}  {name:32} {interval}")
        return lines
