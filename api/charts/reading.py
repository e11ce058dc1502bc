"""What a reader should take from a curve, in a line of words: the best epoch, its value, the gap, the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from api.charts.curve import LOSSES, Curve
from api.charts.lettering import number, plain
from models.metrics import direction


def labels(curves: Sequence[Curve], cells: int) -> list[str]:
    """What to call each curve: its name, its short id where it has none, both where names are the same."""
    names = [plain(curve.name, cells) for curve in curves]
    shared = Counter(names)
    return [
        _label(name, plain(curve.job_id, 64)[-8:], cells, unique=shared[name] == 1)
        for name, curve in zip(names, curves, strict=True)
    ]


def _label(name: str, short_id: str, cells: int, *, unique: bool) -> str:
    if not name:
        return f"job …{short_id}"
    return name if unique else f"{plain(name, cells - 12)} (…{short_id})"


def judged(names: Sequence[str]) -> str:
    """The series that speaks for a group: the first one of the validation split, else the first."""
    return next((name for name in names if name.startswith("val_")), names[0] if names else "")


def reading(curve: Curve, names: Sequence[str]) -> str:
    """`val_loss 0.0871 · gap 0.0512` at the best epoch, or at the latest where none is best."""
    name = judged(names)
    epoch = curve.best_epoch if curve.best_epoch is not None else max(curve.epochs, default=None)
    return " · ".join([*_value(curve, name, epoch), *_gap(curve, name, epoch), *_broken(curve, name)])


def detail(curve: Curve, names: Sequence[str]) -> str:
    """`0.0871 at epoch 14 · gap 0.0512`, for a legend: short, and rather how it diverged than its gap."""
    name = judged(names)
    value = curve.value(name, curve.best_epoch)
    parts = [f"{number(value)} at epoch {curve.best_epoch:,}"] if value is not None else []
    parts += _divergence(curve) or _gap(curve, name, curve.best_epoch)
    parts += _broken(curve, name)
    return " · ".join(parts) or ("nothing measured" if curve.epochs else "no epochs yet")


def ending(curve: Curve) -> str:
    """`stopped at epoch 17: early stopping`; empty while the job runs."""
    diverged = _divergence(curve)
    if curve.stopped is None or (diverged and curve.stopped[1] == "diverged"):
        return " · ".join(diverged)
    epoch, reason = curve.stopped
    return " · ".join([*diverged, f"stopped at epoch {epoch:,}: {plain(reason, 40).replace('_', ' ')}"])


def winner(curves: Sequence[Curve], names: Sequence[str]) -> int | None:
    """Which curve has the best value at its best epoch."""
    name = judged(names)
    sign = -1.0 if _better_high(name) else 1.0
    values = ((curve.value(name, curve.best_epoch), index) for index, curve in enumerate(curves))
    return min(((sign * value, index) for value, index in values if value is not None), default=(0.0, None))[
        1
    ]


def _value(curve: Curve, name: str, epoch: int | None) -> list[str]:
    value = curve.value(name, epoch)
    return [] if value is None else [f"{name} {number(value)}"]


def _gap(curve: Curve, name: str, epoch: int | None) -> list[str]:
    """How much worse the network does on what it has not seen: positive where it does."""
    validation, training = curve.value(name, epoch), curve.value("train_" + name.removeprefix("val_"), epoch)
    if not name.startswith("val_") or validation is None or training is None:
        return []
    return [f"gap {number(training - validation if _better_high(name) else validation - training)}"]


def _divergence(curve: Curve) -> list[str]:
    epoch = curve.diverged_at()
    return [] if epoch is None else [f"diverged at epoch {epoch:,}"]


def _broken(curve: Curve, name: str) -> list[str]:
    epoch = curve.first_nonfinite(name) if name not in LOSSES else None
    return [] if epoch is None else [f"not finite at epoch {epoch:,}"]


def _better_high(name: str) -> bool:
    try:
        return direction(name) == "higher"
    except ValueError:
        return False
