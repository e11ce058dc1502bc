"""How one column becomes inputs: what is learnt of it from the training rows, and how that is applied.

A numeric column (booleans and dates count as numbers) becomes its scaled value, and an indicator beside it
where training rows miss values. A categorical one becomes an input for each level that is not rare, one for
the rare and one for the missing. A column that does not vary in training becomes zero for good.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from models.frozen import Frozen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.spec import PreprocessingSpec

MAX_LEVELS = 1000
"""Levels of a column with inputs of their own; the most frequent ones are kept."""

_KNOTS = 1000
REACH = 1e300
"""Larger numbers are taken for this, so that differences of two stay finite."""
_SCALED_LIMIT = 1e6
_UNSCALED_LIMIT = 1e18
"""Its square still fits into single precision."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of the network."""

    name: str
    """`age`, `age (missing)`, `colour=red`, `colour (rare)`, `colour (missing)`."""
    column: str
    """The column of the file it comes from."""
    kind: Literal["numeric", "level", "rare", "missing"]
    center: float | None = 0.0
    """The input is (value − center)/scale; None where it is no such line."""
    scale: float | None = 1.0
    """0 where the input is always zero."""


class NumericColumn(Frozen):
    """Numbers: (value − center)/scale, or a curve through knots; missing ones are filled first."""

    kind: Literal["numeric"] = "numeric"
    name: str
    fill: float
    center: float
    scale: float
    limit: float
    """Inputs are held within ± this."""
    knots: list[float] | None
    """For `quantile`: values of the training rows …"""
    scores: list[float] | None
    """… and the normal scores of their ranks; straight lines between, flat outside."""
    indicator: bool
    """Whether an input says where the value was missing."""

    def features(self) -> list[Feature]:
        curved = self.knots is not None
        line = (None, None) if curved else (self.center, self.scale)
        value = Feature(self.name, self.name, "numeric", *line)
        return [value, Feature(f"{self.name} (missing)", self.name, "missing")] if self.indicator else [value]

    def transform(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """(rows, features)"""
        import numpy as np

        missing = ~np.isfinite(values)
        scaled = self._scaled(_filled(values, self.fill))
        return np.column_stack([scaled, missing] if self.indicator else [scaled])

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        if self.knots is not None and self.scores is not None:
            return np.interp(values, self.knots, self.scores)
        if self.scale == 0:
            return np.zeros(len(values))
        with np.errstate(over="ignore"):
            return np.clip((values - self.center) / self.scale, -self.limit, self.limit)


class CategoricalColumn(Frozen):
    """Text: an input a level (one-hot)."""

    kind: Literal["categorical"] = "categorical"
    name: str
    levels: list[str]
    """Those with inputs of their own."""
    rare: bool
    """Whether an input stands for rare and unknown levels; without it these are zero in all inputs."""
    missing: bool
    """Whether an input stands for no value."""

    def features(self) -> list[Feature]:
        levels = [Feature(f"{self.name}={level}", self.name, "level") for level in self.levels]
        rare = [Feature(f"{self.name} (rare)", self.name, "rare")] if self.rare else []
        missing = [Feature(f"{self.name} (missing)", self.name, "missing")] if self.missing else []
        features = levels + rare + missing
        # A single input says the same of every training row, and is zero like any column that does not vary.
        return features if len(features) > 1 else [replace(feature, scale=0.0) for feature in features]

    def transform(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """(rows, features)"""
        import numpy as np

        width = len(self.levels) + self.rare + self.missing
        hot = np.zeros((len(values), width + 1))
        if width > 1:
            hot[np.arange(len(values)), self._places(values)] = 1.0
        return hot[:, :width]

    def _places(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The input that each value lights; one behind the last where none does."""
        import numpy as np

        nowhere = len(self.levels) + self.rare + self.missing
        place: dict[Any, int] = {level: position for position, level in enumerate(self.levels)}
        place[None] = nowhere - 1 if self.missing else nowhere
        unknown = len(self.levels) if self.rare else nowhere
        return np.fromiter((place.get(value, unknown) for value in values.tolist()), np.int64, len(values))


def fit_numeric(name: str, values: NDArray[Any], spec: PreprocessingSpec) -> NumericColumn:
    """Learn how to fill and to scale; the scale is that of the filled column."""
    import numpy as np

    present = np.clip(values[np.isfinite(values)], -REACH, REACH)
    fill = _middle(present, spec.missing)
    filled = _filled(values, fill)
    knots, scores = _normal_scores(filled) if spec.numeric == "quantile" else (None, None)
    center, scale = _line(filled, spec.numeric)
    return NumericColumn(
        name=name,
        fill=fill,
        center=center,
        scale=scale,
        limit=_UNSCALED_LIMIT if spec.numeric == "none" else _SCALED_LIMIT,
        knots=knots,
        scores=scores,
        indicator=0 < len(present) < len(values),
    )


def fit_categorical(name: str, values: NDArray[Any], spec: PreprocessingSpec) -> CategoricalColumn:
    """Learn which levels occur often enough for an input of their own."""
    counts = Counter(values.tolist())
    missing = counts.pop(None, 0) > 0
    # Equal counts go by alphabet, so that the order of the rows decides nothing.
    ranked = sorted((-count, level) for level, count in counts.items() if count >= spec.rare_below)
    levels = sorted(level for _, level in ranked[:MAX_LEVELS])
    return CategoricalColumn(name=name, levels=levels, rare=len(levels) < len(counts), missing=missing)


def moments(values: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation; exactly (value, 0) where all values are the same."""
    import numpy as np

    peak = float(np.abs(values).max())
    if values.min() == values.max():
        return float(values[0]), 0.0
    # Squares of very large or very small numbers leave the range of a double: measure those by their peak.
    unit = 1.0 if 1e-100 < peak < 1e100 else peak
    return float((values / unit).mean() * unit), float((values / unit).std() * unit)


def most_inputs(spec: PreprocessingSpec, *, categorical: bool, rows: int, levels: int, missing: int) -> int:
    """No fit on a column with so many levels and missing values makes more inputs than this."""
    if not categorical:
        return 1 + (missing > 0)
    kept = min(levels, MAX_LEVELS, rows // spec.rare_below)
    return max(1, kept + (levels > 0) + (missing > 0))


def _filled(values: NDArray[Any], fill: float) -> NDArray[np.float64]:
    import numpy as np

    return np.clip(np.where(np.isfinite(values), values, fill), -REACH, REACH)


def _middle(present: NDArray[np.float64], how: Literal["median", "mean", "zero"]) -> float:
    import numpy as np

    if how == "zero" or not len(present):
        return 0.0
    return moments(present)[0] if how == "mean" else float(np.median(present))


def _line(values: NDArray[np.float64], how: str) -> tuple[float, float]:
    import numpy as np

    if how in ("quantile", "none"):
        return 0.0, 1.0
    mean, sd = moments(values)
    if how == "standardize":
        return mean, sd
    low, median, high = (float(value) for value in np.percentile(values, [25, 50, 75]))
    # Where half of the rows agree the quartiles coincide; the sd then still tells the others apart.
    return median, (high - low) or sd


def _normal_scores(values: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Training values and Φ⁻¹ of their mid-ranks, at most a thousand of them."""
    from statistics import NormalDist

    import numpy as np

    knots, counts = np.unique(values, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(values)
    if len(knots) > _KNOTS:
        chosen = np.unique(np.searchsorted(ranks, np.linspace(ranks[0], ranks[-1], _KNOTS)))
        knots, ranks = knots[chosen], ranks[chosen]
    normal = NormalDist()
    return knots.tolist(), [normal.inv_cdf(rank) for rank in ranks.tolist()]
