"""Curves for the chart tests: how training goes when it goes well, too far, wrong, or not at all."""

from __future__ import annotations

import math

from api.charts import Curve

INFINITE, NAN = math.inf, math.nan

HOSTILE_NAMES = [
    "$\\frac{1}{2$",
    "_no legend_",
    "<img src=x onerror=alert(1)>",
    "]]>&amp;\"'<!--",
    "A" * 10_000,
    "W" * 64,
    "\x1b[31mred\x07\r\n\x00\x9b2J",
    "\u202egnp.exe\u2066",
    "שלום עולם العربية",
    "😀👩‍👩‍👧 数据集",
    "e" + "\u0301" * 500,
    "\ud800",
    " ",
    "",
]


def overfitted(
    name: str = "digits-cocktail", *, last: int = 40, best: int = 15, job: str = "job_0001aaaabbbb"
) -> Curve:
    """Validation turns upward after the best epoch while training goes on falling."""
    epochs = list(range(1, last + 1))
    train = [2.2 * math.exp(-epoch / 3) + 0.05 for epoch in epochs]
    validation = [2.2 * math.exp(-epoch / 3) + 0.2 + 0.01 * abs(epoch - best) for epoch in epochs]
    series: dict[str, list[float | None]] = {
        "train_loss": [*train],
        "val_loss": [*validation],
        "train_accuracy": [1 - value / 3 for value in train],
        "val_accuracy": [1 - value / 3 for value in validation],
        "penalty_l1": [0.1 / epoch for epoch in epochs],
    }
    best_epoch = min(epochs, key=lambda epoch: validation[epoch - 1])
    return Curve(job, name, epochs, series, best_epoch, (last, "early_stopping"))


def diverged() -> Curve:
    train: list[float | None] = [0.9, 0.7, 0.66, 2.1, 40.0, 9e5, NAN]
    validation: list[float | None] = [0.95, 0.74, 0.7, 3.0, 60.0, 2e6, INFINITE]
    series = {"train_loss": train, "val_loss": validation}
    return Curve("job_0002aaaabbbb", "too hot", list(range(1, 8)), series, 3, (7, "diverged"))


def not_begun() -> Curve:
    return Curve("job_0003aaaabbbb", "not begun", [], {"train_loss": [], "val_loss": []})


def one_epoch() -> Curve:
    series: dict[str, list[float | None]] = {"train_loss": [0.5], "val_loss": [0.6]}
    return Curve("job_0004aaaabbbb", "one epoch", [1], series, 1, (1, "finished"))


def without_validation() -> Curve:
    series: dict[str, list[float | None]] = {"train_loss": [0.5, 0.4], "val_loss": [None, None]}
    return Curve("job_0005aaaabbbb", "no validation", [1, 2], series, 2, (2, "max_epochs"))


def hard_to_draw() -> list[Curve]:
    """Numbers that break axes."""
    columns: list[list[float | None]] = [
        [NAN, NAN, NAN, NAN],
        [INFINITE, -INFINITE, NAN, None],
        [1.7e308, -1.7e308, 1.0, 1e-320],
        [5e-324, 5e-324, 5e-324, 1.0],
        [0.0, 0.0, 0.0, 0.0],
        [1e15, 1e15, 1e15 + 0.125, 1e15],
        [-1e99, 1.0, 1e99, 0.0],
        [NAN, 1.0, NAN, 2.0],
        [1e-100, 1e100, 1.0, None],
    ]
    names = ("train_loss", "val_loss", "val_r2")
    return [
        Curve(
            f"job_{index}",
            "edge",
            [1, 2, 3, 4],
            dict(zip(names, (column, column[::-1], column), strict=True)),
            best,
        )
        for index, column in enumerate(columns)
        for best in (None, 1)
    ]
