"""Recorded experiments: long runs of the book, with the metadata that makes them verifiable.

A record is a folder with `stamp.json` (parameters, commit, device, versions, seconds), `table.csv`
(one row per search and measure, before and after) and the searches: whole traces, or `curves.csv`,
the best value so far by cost.

Claims are about prompts, so searches of one prompt with several seeds are averaged first.
"""

import html
import textwrap
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dpodiff.checks import check_path, check_text
from dpodiff.results.record_files import other_weights, read_stamp, read_table
from dpodiff.results.result import WIDTH
from dpodiff.results.stamp import Stamp
from dpodiff.results.statistics import Interval, paired_bootstrap
from dpodiff.results.verdicts import Verdict, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    Claim = tuple[str, str, str]  # text, and two solvers of which the first should be better

LARGE = 0.1  # a change of a share that users notice
# Records are part of the package, so that every chapter runs after `pip install`.
RESULTS = Path(str(resources.files("dpodiff.results") / "recorded"))


@dataclass(frozen=True)
class Recorded:
    """A recorded experiment.

    Attributes:
        name: name of its folder.
        stamp: origin of its numbers.
        table: columns "prompt", "solver", "measure", "before", "after". With several searches per
            prompt and solver it also has "search_seed". For verified searches it also has
            "verified", the value of the verified result.
        curves: columns "prompt", "solver", "search_seed", "spent" and "best", one row per
            improvement; None if the record has traces instead.

    Examples:
        >>> record = dpodiff.Recorded.load("claims")
        >>> record.of("random", "epo").table["solver"].unique().tolist()
        ['random', 'epo']
        >>> record.contrast("epo", "random").columns.tolist()
        ['mean', 'low', 'high', 'prompts']
    """

    name: str
    stamp: Stamp = field(repr=False)
    table: "pd.DataFrame" = field(repr=False)
    curves: "pd.DataFrame | None" = field(default=None, repr=False)

    @classmethod
    def load(cls, name: str, folder: Path = RESULTS) -> "Recorded":
        """Read a record.

        Raises:
            FileNotFoundError: if there is no finished record of that name.
            ValueError: if a file cannot be read or lacks a column; the message names the file.
        """
        check_text("name", name)
        check_path("folder", folder, optional=False)
        folder = Path(folder)
        stamp, table = folder / name / "stamp.json", folder / name / "table.csv"
        if not (stamp.is_file() and table.is_file()):
            begun = (path.parent for path in folder.glob("*/stamp.json"))
            known = sorted(path.name for path in begun if (path / "table.csv").is_file())
            raise FileNotFoundError(
                f"no finished record {name!r} in {folder}; there are: {', '.join(known) or 'none'}"
            )
        curves = folder / name / "curves.csv"
        return cls(
            name,
            read_stamp(stamp),
            read_table(table),
            read_table(curves, ("prompt", "solver", "spent", "best")) if curves.is_file() else None,
        )

    def of(self, *solvers: str) -> "Recorded":
        """Return the part of the record with these solvers.

        Raises:
            ValueError: if one was not recorded; the message names the recorded ones.
        """
        known = list(self.table["solver"].unique())
        if missing := [solver for solver in solvers if solver not in known]:
            raise ValueError(f"{self.name} has no {missing[0]!r}; it has {', '.join(known)}")
        table, curves = self.table, self.curves
        if curves is not None:
            curves = curves[curves["solver"].isin(solvers)]
        return replace(self, table=table[table["solver"].isin(solvers)], curves=curves)

    def gained(self, start: float, end: float) -> "Recorded":
        """Return the record of the gain between two costs, by the searched loss.

        Args:
            start: evaluations spent, from 0.
            end: evaluations spent, above `start`.

        Returns:
            a record with the only measure "loss, search seeds": 0 before, and the change after, at
            most 0.

        Raises:
            ValueError: if the record has no curves.
        """
        curves: Any = self.curves  # pandas annotates its results too generally
        if curves is None:
            raise ValueError(f"{self.name} has no curves, so nothing is known between the ends")
        import pandas as pd

        keys = ["prompt", "solver", "search_seed"]
        first = curves.groupby(keys, sort=False)["best"].first()

        def reached(cost: float) -> Any:  # a series
            paid = curves[curves["spent"] <= cost]
            return paid.groupby(keys)["best"].last().reindex(first.index).fillna(first)

        change = pd.DataFrame({"after": reached(end) - reached(start)}).reset_index()
        return replace(self, table=change.assign(measure="loss, search seeds", before=0.0))

    def stamp_text(self) -> str:
        """Place, time and settings of the recording, in a few lines.

        For the toy world the last line says if the recorded weights differ from the installed ones.
        The numbers may then differ from those of the current model.
        """
        stamp = self.stamp
        commit = "commit " + ", ".join(commit[:12] for commit in stamp.commit.split("; "))
        versions = ", ".join(f"{k} {v}" for k, v in stamp.versions.items())
        settings = ", ".join(f"{k} = {v}" for k, v in stamp.parameters.items())
        first = f"Recorded {stamp.time[:10]} in {stamp.seconds:.0f} s on {stamp.device}, {commit}."
        lines = [first, settings, versions, *other_weights(stamp)]
        return "\n".join(textwrap.fill(line, WIDTH) for line in lines)

    def per_prompt(self) -> "pd.DataFrame":
        """Return the mean before and after of each prompt, solver and measure."""
        keys = ["solver", "measure", "prompt"]
        # Any: pandas annotates a mean of groups as any scalar too.
        means: Any = self.table.groupby(keys, sort=False)[["before", "after"]].mean()
        return means.reset_index()

    def differences(self) -> "pd.DataFrame":
        """Return the mean change over prompts with its 95% interval, per solver and measure."""
        import pandas as pd

        # Any: pandas annotates keys of groups as Hashable, although they are pairs here.
        groups: Any = self.per_prompt().groupby(["solver", "measure"], sort=False)
        rows = {
            f"{solver}: {measure}": {
                "solver": solver,
                "measure": measure,
                "before": group["before"].mean(),
                "after": group["after"].mean(),
                **_interval(group["after"] - group["before"]),
            }
            for (solver, measure), group in groups
        }
        return pd.DataFrame.from_dict(rows, orient="index")

    def changes(self, measure: str) -> "pd.DataFrame":
        """Return the change of one measure, one row per solver.

        Returns:
            "before", "after"; "mean", "low" and "high", the change with its 95% interval over
            prompts; "risen" and "fallen", the shares of prompts that rise or fall by more than 0.1;
            "prompts".

        Raises:
            ValueError: if the measure was not recorded; the message names the recorded ones.

        Examples:
            >>> record = dpodiff.Recorded.load("claims").of("random", "epo")
            >>> record.changes("judge, clean").index.tolist()
            ['random', 'epo']
        """
        import pandas as pd

        means: Any = self.per_prompt()
        if measure not in set(means["measure"]):
            known = ", ".join(means["measure"].unique())
            raise ValueError(f"{self.name} has no measure {measure!r}; it has {known}")
        rows = {}
        for solver, group in means[means["measure"] == measure].groupby("solver", sort=False):
            gaps = group["after"] - group["before"]
            rows[solver] = {
                "before": group["before"].mean(),
                "after": group["after"].mean(),
                **_interval(gaps),
                "risen": float((gaps > LARGE).mean()),
                "fallen": float((gaps < -LARGE).mean()),
            }
        return pd.DataFrame.from_dict(rows, orient="index")

    def verified(self) -> "Recorded":
        """Return the record after verification: "after" is the value of the returned prompts.

        Raises:
            ValueError: if the searches were not verified.
        """
        if "verified" not in self.table:
            raise ValueError(f"the searches of {self.name} were not verified")
        return replace(self, table=self.table.assign(after=self.table["verified"]))

    def contrast(self, first: str, second: str) -> "pd.DataFrame":
        """Return the mean over prompts of `first` minus `second` after the search, per measure.

        Only searches of the same prompt and search seed are compared.
        """
        import pandas as pd

        pairs = self._pairs(first, second).groupby("measure", sort=False)
        rows = {measure: _interval(gaps) for measure, gaps in pairs}
        return pd.DataFrame.from_dict(rows, orient="index")

    def _pairs(self, first: str, second: str) -> "pd.Series":
        """Return `first` minus `second` per measure and prompt, over the searches of both."""
        table = self.table
        if "search_seed" not in table:
            table = table.assign(search_seed=0)
        keys = ["measure", "prompt", "search_seed", "solver"]
        means: Any = table.groupby(keys, sort=False)["after"].mean()
        after = means.unstack()
        gaps = (after[first] - after[second]).dropna()
        return gaps.groupby(["measure", "prompt"], sort=False).mean()

    def contrasts(self, claims: "Sequence[Claim]", measure: str) -> "pd.DataFrame":
        """Return `contrast` of each claim whose two solvers were recorded on enough prompts.

        Args:
            claims: (text, first solver, second solver).
            measure: measure to compare.

        Returns:
            one row per claim, named by its text, as `plots.intervals` takes them.
        """
        import pandas as pd

        rows, known = {}, set(self.table["solver"])
        for text, first, second in claims:
            if not {first, second} <= known:
                continue
            pairs = self._pairs(first, second)
            if len(pairs) and len(gaps := pairs.loc[measure]) > 1:
                rows[text] = _interval(gaps)
        columns = pd.Index(["mean", "low", "high", "prompts"])
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def tested(
        self, claims: "Sequence[Claim]", measure: str, better: str = "lower"
    ) -> list[Verdict]:
        """Return the verdict on each claim of `contrasts`.

        Args:
            claims, measure: as in `contrasts`.
            better: the side of zero on which the claims hold, "lower" or "higher".
        """
        return [
            _verdict(str(text), row, better, measure)
            for text, row in self.contrasts(claims, measure).iterrows()
        ]

    def verdicts(self, *, worse: bool = False) -> list[Verdict]:
        """Return the verdict on "it gets better" for each solver and measure.

        Args:
            worse: whether the claim is "it gets worse", for an attack.
        """
        found = []
        for _, row in self.differences().iterrows():
            measure = str(row["measure"])
            better = "lower" if _lower_is_better(measure) != worse else "higher"
            found.append(_verdict(str(row["solver"]), row, better, measure))
        return found

    def _repr_html_(self) -> str:
        """Return the stamp in a folded block, whose title says if the weights are others."""
        stamp = self.stamp
        title = f"Recorded {stamp.time[:10]} in {stamp.seconds:.0f} s on {stamp.device}"
        title = ". ".join([title, *other_weights(stamp)])
        text = html.escape(self.stamp_text())
        return f"<details><summary>{html.escape(title)}</summary><pre>{text}</pre></details>"


def _interval(gaps: "pd.Series") -> dict[str, float]:
    """Return the mean over prompts, its interval, and the number of prompts."""
    mean, low, high = paired_bootstrap(gaps)
    return {"mean": mean, "low": low, "high": high, "prompts": len(gaps)}


def _lower_is_better(measure: str) -> bool:
    return measure.startswith("loss") or measure == "visual distance"


def _verdict(claim: str, row: Any, better: str, measure: str) -> Verdict:
    """Return the `verdict` for a row of a frame with "mean", "low", "high" and "prompts"."""
    gap = Interval(row["mean"], row["low"], row["high"])
    return verdict(claim, gap, row["prompts"], better, measure)
