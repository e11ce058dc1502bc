"""Made data whose truth is known: worlds from which any number of fresh rows can be drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Drawn = tuple[NDArray[np.float64], NDArray[Any]]
"""(rows, columns), and integer classes or real values."""
World = Callable[[np.random.Generator, int], Drawn]
"""So many rows more of the same."""


def two_clouds(random: np.random.Generator) -> World:
    """Two normal classes that overlap more or less."""
    return _clouds(random, shares=(0.5, 0.5), mislabelled=0.0)


def mislabelled(random: np.random.Generator) -> World:
    """Two normal classes, some rows with the other one's label."""
    return _clouds(random, shares=(0.5, 0.5), mislabelled=random.uniform(0.1, 0.35))


def imbalanced(random: np.random.Generator) -> World:
    """The same, one class ten times as frequent."""
    rare = random.uniform(0.07, 0.15)
    return _clouds(random, shares=(1 - rare, rare), mislabelled=0.0)


def multiclass(random: np.random.Generator) -> World:
    """Three to six normal classes."""
    classes = int(random.integers(3, 7))
    return _clouds(random, shares=(1 / classes,) * classes, mislabelled=random.choice([0.0, 0.15]))


def _clouds(random: np.random.Generator, *, shares: tuple[float, ...], mislabelled: float) -> World:
    columns = int(2 ** random.uniform(1, 6))
    centres = random.normal(size=(len(shares), columns))
    distances = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    centres *= random.uniform(1.5, 4.0) / distances[distances > 0].mean()

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        y = random.choice(len(shares), size=rows, p=shares)
        x = centres[y] + random.normal(size=(rows, columns))
        wrong = random.random(rows) < mislabelled
        return x, np.where(wrong, random.integers(0, len(shares), rows), y)

    return draw


def moons(random: np.random.Generator) -> World:
    """Two half circles around each other, and up to four columns that say nothing."""
    noise, idle = random.uniform(0.1, 0.35), int(random.integers(0, 5))

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        y, angle = random.integers(0, 2, rows), random.uniform(0, np.pi, rows)
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        x = np.where(y[:, None] == 1, [1.0, 0.5] - circle, circle) + noise * random.normal(size=(rows, 2))
        return np.concatenate([x, random.normal(size=(rows, idle))], axis=1), y

    return draw


def few_of_many(random: np.random.Generator) -> World:
    """A regression in which three of many columns matter."""
    columns, noise = int(random.integers(20, 81)), random.uniform(0.3, 1.5)

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        x = random.normal(size=(rows, columns))
        return x, x[:, :3].sum(axis=1) + noise * random.normal(size=rows)

    return draw


def sparse_logistic(random: np.random.Generator) -> World:
    """Two classes told by four of many columns."""
    columns, strength = int(random.integers(15, 81)), random.uniform(0.7, 2.0)

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        x = random.normal(size=(rows, columns))
        logit = strength * (x[:, :4] @ np.array([1.0, -1.0, 1.0, -1.0]))
        return x, (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)

    return draw


def smooth(random: np.random.Generator) -> World:
    """A regression on waves of a few columns."""
    columns, noise = int(random.integers(1, 7)), random.uniform(0.05, 0.6)
    directions, phases = random.normal(size=(columns, 3)), random.uniform(0, 2 * np.pi, 3)

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        x = random.normal(size=(rows, columns))
        waves = np.sin(x @ directions / np.sqrt(columns) * 1.5 + phases)
        return x, waves.sum(axis=1) + noise * random.normal(size=rows)

    return draw


def correlated(random: np.random.Generator) -> World:
    """A regression on many columns that follow a few hidden factors."""
    columns, factors = int(random.integers(10, 31)), int(random.integers(2, 5))
    loadings, noise = random.normal(size=(factors, columns)), random.uniform(0.2, 1.0)

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        hidden = random.normal(size=(rows, factors))
        x = hidden @ loadings + 0.5 * random.normal(size=(rows, columns))
        return x, hidden.sum(axis=1) + noise * random.normal(size=rows)

    return draw


def nothing(random: np.random.Generator) -> World:
    """Columns that say nothing of two classes, or of a number."""
    columns, classified = int(2 ** random.uniform(1, 6)), bool(random.integers(0, 2))

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        x = random.normal(size=(rows, columns))
        return x, random.integers(0, 2, rows) if classified else random.normal(size=rows)

    return draw


WORLDS: Mapping[str, Callable[[np.random.Generator], World]] = {
    each.__name__: each
    for each in (
        *(two_clouds, moons, mislabelled, few_of_many, sparse_logistic),
        *(smooth, nothing, multiclass, imbalanced, correlated),
    )
}
