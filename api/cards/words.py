"""A cocktail in words: each technique with its strength."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

Settings = Mapping[str, Any]


def techniques(spec: Mapping[str, Any]) -> dict[str, str]:
    """Name → words, of the techniques that are on in a full spec; weight decay counts as one."""
    cocktail = spec.get("regularization") or {}
    found = {name: _words(name, settings) for name, settings in cocktail.items() if settings is not None}
    decay = (spec.get("optimizer") or {}).get("weight_decay")
    return found | ({"weight_decay": f"decoupled weight decay of {decay:g}"} if decay else {})


def _words(name: str, settings: Settings) -> str:
    say = _SAYING.get(name)
    return say(settings) if say else f"{name} with {json.dumps(settings)}"


def _l1(settings: Settings) -> str:
    return f"L1 penalty, {_strength(settings)}: sets weights to exactly zero"


def _l2(settings: Settings) -> str:
    return f"L2 penalty, {_strength(settings)}: keeps weights small"


def _strength(settings: Settings) -> str:
    where = "on the first layer's weights" if settings["scope"] == "input" else "on all weights"
    columns = settings["feature_weights"]
    scaled = f", scaled for {len(columns)} {'column' if len(columns) == 1 else 'columns'}" if columns else ""
    return f"strength {settings['strength']:g} {where}{scaled}"


def _dropout(settings: Settings) -> str:
    hidden = settings["hidden"]
    rates = ", ".join(f"{rate:g}" for rate in (hidden if isinstance(hidden, list) else [hidden]))
    return f"dropout, rate {settings['input']:g} on the input and {rates} on hidden layers; in training only"


def _batch_norm(settings: Settings) -> str:
    return f"batch norm, momentum {settings['momentum']:g}, eps {settings['eps']:g}"


def _early_stopping(settings: Settings) -> str:
    monitors = [f"{one['metric']} (patience {one['patience']})" for one in settings["monitors"]]
    several = f"until {settings['combine']} of these have stalled: " if len(monitors) > 1 else "on "
    restored = "restored" if settings["restore_best_weights"] else "not restored"
    return f"early stopping {several}{', '.join(monitors)}; best weights {restored}"


_SAYING: Final[dict[str, Callable[[Settings], str]]] = {
    "l1": _l1,
    "l2": _l2,
    "dropout": _dropout,
    "batch_norm": _batch_norm,
    "early_stopping": _early_stopping,
}
"""A technique without a line here is told by its settings."""
