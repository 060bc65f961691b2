"""The number of prompts and pairs that a study needs."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from dpodiff.checks import check_finite, check_whole
from dpodiff.results.verdicts import FEWEST


@dataclass(frozen=True)
class StudySize:
    """The size of a study, as `study_size` returns it.

    Attributes:
        prompts: number of prompts that are needed.
        pairs: number of pairs of all prompts.
        answers: number of answers of all raters, without repeats and checks.
        design_effect: ratio to the number of answers that would be needed if all were independent.
        win_rate: win rate to detect.
        power: probability to detect it.

    Examples:
        >>> print(dpodiff.study_size(0.6, pairs_per_prompt=4, prompt_correlation=0.1))
        66 prompts, 264 pairs, 264 answers (design effect 1.30): a win rate of 0.60 is found with
        80% power
    """

    prompts: int
    pairs: int
    answers: int
    design_effect: float
    win_rate: float
    power: float

    def __str__(self) -> str:
        return (
            f"{self.prompts} prompts, {self.pairs} pairs, {self.answers} answers "
            f"(design effect {self.design_effect:.2f}): a win rate of {self.win_rate:.2f} is "
            f"found with {self.power:.0%} power"
        )


def study_size(
    win_rate: float,
    *,
    pairs_per_prompt: int = 1,
    raters: int = 1,
    prompt_correlation: float = 0.1,
    pair_correlation: float = 0.3,
    ties: float = 0.0,
    power: float = 0.8,
    level: float = 0.95,
) -> StudySize:
    """Return the size of a study that can distinguish a win rate from 1/2 in a two-sided test.

    For independent answers with variance v, and v0 at a win rate of 1/2, the number of answers is
    given by the usual formula for a test of one proportion, n = (z_level sqrt(v0) + z_power
    sqrt(v))^2 / (win_rate - 1/2)^2. It is multiplied by the design effect (Kish, 1965) 1 + (raters
    - 1) pair_correlation + raters (pairs_per_prompt - 1) prompt_correlation. Two prompts are added
    since the variance is estimated. There are at least 10 prompts, since no claim is made for
    fewer.

    The correlations are guesses until a pilot study has measured them. More pairs of the same
    prompt, and more raters of the same pair, help less than more prompts.

    Args:
        win_rate: win rate to detect, with a tie as half a win; 0 to 1, not 1/2.
        pairs_per_prompt: number of seeds per prompt.
        raters: number of raters per pair.
        prompt_correlation: correlation of answers to two pairs of the same prompt, from 0 to 1.
        pair_correlation: correlation of the answers of two raters to the same pair, from 0 to 1; at
            least `prompt_correlation`.
        ties: share of ties.
        power: probability of a significant result.
        level: coverage of the interval that must exclude 1/2.

    Raises:
        ValueError: if an argument is out of range.

    Examples:
        >>> [dpodiff.study_size(rate).pairs for rate in (0.55, 0.6, 0.65)]
        [785, 196, 87]
    """
    check_whole("pairs_per_prompt", pairs_per_prompt, 1)
    check_whole("raters", raters, 1)
    shares = {"win_rate": win_rate, "power": power, "level": level}
    for name, share in shares.items():
        check_finite(name, share)
        if not 0 < share < 1:
            raise ValueError(f"{name} must lie between 0 and 1, not {share}")
    for name, share in {"prompt_correlation": prompt_correlation, "ties": ties}.items():
        check_finite(name, share)
        if not 0 <= share < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, not {share}")
    check_finite("pair_correlation", pair_correlation)
    if not prompt_correlation <= pair_correlation <= 1:
        raise ValueError(
            f"pair_correlation must lie between that of the prompt, {prompt_correlation}, and 1, "
            f"not {pair_correlation}"
        )
    if win_rate == 0.5:
        raise ValueError("win_rate must differ from 1/2")
    if not ties / 2 < min(win_rate, 1 - win_rate):
        raise ValueError(f"with {ties:.0%} ties the win rate cannot be {win_rate}")
    effect = 1 + (raters - 1) * pair_correlation
    effect += raters * (pairs_per_prompt - 1) * prompt_correlation
    answers = _independent(win_rate, ties, power, level) * effect
    prompts = max(FEWEST, math.ceil(answers / (pairs_per_prompt * raters)) + 2)
    pairs = prompts * pairs_per_prompt
    return StudySize(prompts, pairs, pairs * raters, effect, win_rate, power)


def _independent(win_rate: float, ties: float, power: float, level: float) -> float:
    """Return the number of independent answers, as a fraction."""
    normal = NormalDist()
    z_level, z_power = normal.inv_cdf((1 + level) / 2), normal.inv_cdf(power)
    # Variance of an answer that is 1, 1/2 or 0, with probability `ties` of 1/2.
    spread = math.sqrt(win_rate * (1 - win_rate) - ties / 4)
    spread_half = math.sqrt((1 - ties) / 4)
    return ((z_level * spread_half + z_power * spread) / (win_rate - 0.5)) ** 2
