"""Everything that may be written into a spec, told so that somebody can choose: what it is, what it is for.

Nothing is listed here that the registries list already: techniques are the fields of `Regularization`,
metrics are `METRICS`, choices are the fields' own types. Light: no torch, no NumPy.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel

from models.datasets import BUNDLED, FORMATS
from models.metrics import METRICS
from models.regularizers import Regularization, Regularizer
from models.spec import (
    ONLY_FOR,
    JobSpec,
    NetworkSpec,
    OptimizerSpec,
    PreprocessingSpec,
    SplitSpec,
    TrainingSpec,
)

OPTIMIZERS = {
    "adam": (
        "Steps scaled by each weight's own gradient history; works without much tuning.",
        "Kingma & Ba 2015",
    ),
    "adamw": (
        "Adam whose weight decay is decoupled from the gradient; for larger networks.",
        "Loshchilov & Hutter 2019",
    ),
    "sgd": (
        "Gradient descent with momentum; slower to tune, and often the best at the end.",
        "Robbins & Monro 1951; Polyak 1964; Nesterov 1983; Sutskever et al. 2013",
    ),
    "fista": (
        "Linear models to their exact optimum: full batch, accelerated proximal gradient with restart.",
        "Beck & Teboulle 2009; O'Donoghue & Candès 2015",
    ),
}

SCHEDULES = {
    "constant": "The learning rate stays, after a warm-up if there is one.",
    "cosine": "It falls along half a cosine to zero at `max_epochs` (Loshchilov & Hutter 2017).",
    "one_cycle": "It rises to its peak and falls far below where it began (Smith 2018).",
    "reduce_on_plateau": "It is multiplied by `plateau_factor` whenever the validation loss stalls.",
}

ACTIVATIONS = {
    "relu": "max(0, x): the usual choice.",
    "leaky_relu": "x where positive, 0.01·x where not: units cannot die.",
    "elu": "x where positive, eˣ − 1 where not: smooth, with mean activations nearer zero.",
    "gelu": "x·Φ(x): smooth, usual in transformers.",
    "silu": "x·σ(x): smooth, often a little better than relu in deep networks.",
    "tanh": "Between −1 and 1, steepest at zero.",
    "sigmoid": "Between 0 and 1; for hidden layers mostly of historical interest.",
}


@cache
def catalog() -> dict[str, Any]:
    """The whole catalog as JSON."""
    return {
        "techniques": [_technique(name, kind) for name, kind in techniques().items()],
        "metrics": [_metric(name) for name in METRICS],
        "optimizers": [_optimizer(name) for name in choices(OptimizerSpec, "kind")],
        "schedules": _told(SCHEDULES),
        "activations": _told(ACTIVATIONS),
        "preprocessing": _model(PreprocessingSpec),
        "split": _model(SplitSpec),
        "network": _model(NetworkSpec),
        "training": _model(TrainingSpec),
        "datasets": {"bundled": list(BUNDLED), "formats": _told(FORMATS)},
        "spec": JobSpec.model_json_schema(),
    }


def techniques() -> dict[str, type[Regularizer]]:
    """The technique behind each field of `Regularization`."""
    return {name: get_args(field.annotation)[0] for name, field in Regularization.model_fields.items()}


def choices(model: type[BaseModel], field: str) -> tuple[str, ...]:
    """What a field with a closed list of words may say."""
    return get_args(model.model_fields[field].annotation)


def _technique(name: str, kind: type[Regularizer]) -> dict[str, Any]:
    return {
        "name": name,
        "pointer": f"/regularization/{name}",
        **_described(kind),
        "good_for": kind.good_for,
        "usual": kind.usual,
        "source": kind.source,
        "shorthands": _shorthands(name),
        **_model(kind),
    }


def _shorthands(name: str) -> list[dict[str, Any]]:
    """What may be written instead of the technique's object."""
    options = Regularization.model_json_schema()["properties"][name]["anyOf"]
    return [option for option in options if "$ref" not in option]


def _metric(name: str) -> dict[str, Any]:
    metric = METRICS[name]
    return {
        "name": name,
        "better": metric.better,
        "tasks": sorted(metric.tasks),
        "summary": metric.summary,
        "series": [f"train_{name}", f"val_{name}"],
    }


def _optimizer(kind: str) -> dict[str, Any]:
    summary, source = OPTIMIZERS[kind]
    settings = OptimizerSpec.model_json_schema()["properties"]
    own = {name: schema for name, schema in settings.items() if name != "kind" and _takes(kind, name)}
    return {
        "name": kind,
        "summary": summary,
        "source": source,
        "schema": {"type": "object", "properties": own},
    }


def _takes(kind: str, setting: str) -> bool:
    """Whether an optimizer has a setting; `fista` takes its own steps and knows no schedule."""
    return kind in ONLY_FOR[setting] if setting in ONLY_FOR else kind != "fista"


def _described(model: type[BaseModel]) -> dict[str, str]:
    """The docstring, and its first line by itself: there stands the formula."""
    text = inspect.cleandoc(model.__doc__ or "")
    return {"summary": text.partition("\n")[0], "description": text}


def _model(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema, which holds ranges and meanings, and the defaults by themselves."""
    fields = {name: field for name, field in model.model_fields.items() if not field.is_required()}
    defaults = model.model_construct(
        **{name: field.get_default(call_default_factory=True) for name, field in fields.items()}
    )
    return {
        "schema": model.model_json_schema(),
        "defaults": defaults.model_dump(mode="json", include=set(fields)),
    }


def _told(table: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "summary": summary} for name, summary in table.items()]
