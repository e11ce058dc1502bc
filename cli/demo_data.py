"""The demo's data: real handwritten digits, and what they are told to be, which for many is spoiled.

Of the rows that training may see, two in five have their labels shuffled among each other, as where labels
were typed in a hurry. Validation rows come from the same source and are no better. The test rows are right:
what counts is whether a network has learned digits in spite of that.
"""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from pathlib import Path

SPLIT, TARGET = "split", "target"
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}
SHUFFLED = 0.4
"""Of the labels of the training and of the validation rows."""
SEED = 0


@dataclass(frozen=True, slots=True)
class Spoiled:
    """What was made of the file."""

    rows: dict[str, int]
    """Rows of each split."""
    wrong: dict[str, int]
    """How many of them have a label that is not theirs; a shuffled one may come back to where it was."""

    @property
    def wrong_share(self) -> float:
        """Of the training rows."""
        return self.wrong["train"] / self.rows["train"]


def spoil(clean: Path, spoiled: Path) -> Spoiled:
    """Write the rows of `clean` with a column that deals them to the splits, and with shuffled labels."""
    with clean.open(newline="") as file:
        rows = list(csv.DictReader(file))
    chance = random.Random(SEED)  # noqa: S311 - labels, no secrets
    places = list(range(len(rows)))
    chance.shuffle(places)
    counts: dict[str, int] = {}
    wrong: dict[str, int] = {}
    for split, share in SHARES.items():
        many = len(places) if split == "test" else round(share * len(rows))
        dealt, places = places[:many], places[many:]
        for place in dealt:
            rows[place][SPLIT] = split
        shuffled = dealt[: round(SHUFFLED * many)] if split != "test" else []
        counts[split], wrong[split] = many, _shuffle_labels(rows, shuffled, chance)
    with spoiled.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return Spoiled(counts, wrong)


def _shuffle_labels(rows: list[dict[str, str]], places: list[int], chance: random.Random) -> int:
    """Deal the labels of these rows out among them anew; how many got another one than their own."""
    before = [rows[place][TARGET] for place in places]
    after = before.copy()
    chance.shuffle(after)
    for place, label in zip(places, after, strict=True):
        rows[place][TARGET] = label
    return sum(old != new for old, new in zip(before, after, strict=True))
