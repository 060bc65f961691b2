"""Whether a reader accepts WordNet's substitutes, by labels of one reader of 84 prompts.

`wordnet_labels.csv` says of each substitute whether it means about the same in its prompt, in the
right form. "before" is a random fifth of what WordNet's most used part of speech gave, as base
forms; "after" is all that the package gives. The prompts were written after the rules were set,
and no rule was changed for them but that words that offend are left out.

    pytest -s tests/test_wordnet_labels.py
"""

import csv
import math
from pathlib import Path

import pytest

from dpodiff import WordNet, synonym_space

LABELS = Path(__file__).with_name("wordnet_labels.csv")


@pytest.fixture(scope="module")
def labels() -> list[dict[str, str]]:
    with LABELS.open(newline="") as file:
        return list(csv.DictReader(file))


def wilson(accepted: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The interval of a share, at 95%."""
    share, weight = accepted / total, z**2 / total
    middle = share + weight / 2
    half = z * math.sqrt(share * (1 - share) / total + weight / (4 * total))
    return (middle - half) / (1 + weight), (middle + half) / (1 + weight)


def interval(labels, version):
    """The interval of the accepted share of a version, printed."""
    accepted = [label["accepted"] == "yes" for label in labels if label["version"] == version]
    low, high = wilson(sum(accepted), len(accepted))
    share = sum(accepted) / len(accepted)
    print(f"{version}: {sum(accepted)} of {len(accepted)}, {share:.0%} [{low:.0%}, {high:.0%}]")
    return low, high


def test_readers_accept_more_than_before(labels):
    _, highest_before = interval(labels, "before")
    lowest_after, _ = interval(labels, "after")
    assert highest_before < 0.4 < 0.55 < lowest_after


def test_the_labels_are_of_what_the_code_gives(labels):
    words = WordNet()
    given = {
        (prompt, slot.text, other)
        for prompt in {label["prompt"] for label in labels}
        for slot in synonym_space(prompt, words).slots
        for other in slot.choices[1:]
    }
    after = [label for label in labels if label["version"] == "after"]
    assert given == {(label["prompt"], label["word"], label["substitute"]) for label in after}
