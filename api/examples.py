"""Specs that work when sent: the OpenAPI document shows them, and a test sends each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from api.bodies import JSON, YAML

SPECS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "shortest": ("Everything by default", {"dataset": "iris"}),
    "cocktail": (
        "Dropout, batch norm, L1, L2 and early stopping together",
        {
            "name": "digits-cocktail",
            "dataset": "digits",
            "split": {"validation": 0.2, "test": 0.2, "seed": 0, "stratify": True},
            "network": {"hidden": [128, 64], "activation": "relu"},
            "regularization": {
                "l1": {"strength": 1e-5},
                "l2": {"strength": 1e-4},
                "dropout": {"input": 0.1, "hidden": [0.5, 0.3]},
                "batch_norm": {"momentum": 0.1, "eps": 1e-5},
                "early_stopping": {
                    "monitors": [
                        {"metric": "val_loss", "patience": 3, "min_delta": 0.0},
                        {"metric": "val_f1_macro", "patience": 3},
                    ],
                    "combine": "all",
                    "min_epochs": 0,
                    "restore_best_weights": True,
                },
            },
            "optimizer": {
                "kind": "adam",
                "learning_rate": 0.001,
                "weight_decay": 0.0,
                "schedule": "constant",
            },
            "training": {"max_epochs": 50, "batch_size": 32, "seed": 0, "device": "auto"},
            "metrics": ["accuracy", "f1_macro"],
            "metadata": {"team": "risk"},
            "priority": 0,
        },
    ),
    "shorthands": (
        "The same techniques, written short",
        {
            "dataset": "digits",
            "network": {"hidden": [128, 64]},
            "regularization": {
                "l1": 1e-5,
                "l2": 1e-4,
                "dropout": [0.5, 0.3],
                "batch_norm": True,
                "early_stopping": {"monitor": "val_loss", "patience": 3},
            },
        },
    ),
    "lasso": (
        "Logistic regression with L1, solved to its optimum",
        {
            "dataset": "breast_cancer",
            "network": {"hidden": []},
            "regularization": {"l1": 0.01},
            "optimizer": {"kind": "fista"},
        },
    ),
    "distrust": (
        "Regression that penalizes one column more than the others",
        {
            "dataset": "diabetes",
            "network": {"hidden": []},
            "regularization": {"l2": {"strength": 0.01, "feature_weights": {"s1": 10.0}}},
            "optimizer": {"kind": "sgd", "momentum": 0.9, "schedule": "cosine", "warmup_epochs": 2},
            "training": {"max_epochs": 40},
        },
    ),
    "plain": (
        "No regularization at all, to compare with",
        {"dataset": "wine", "regularization": None, "training": {"max_epochs": 30}},
    ),
}

ROWS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "iris": (
        "One flower, of a network on `iris`",
        {
            "rows": [
                {
                    "sepal length (cm)": 5.1,
                    "sepal width (cm)": 3.5,
                    "petal length (cm)": 1.4,
                    "petal width (cm)": 0.2,
                }
            ]
        },
    ),
    "missing": (
        "Two of them; of the second not all was measured",
        {
            "rows": [
                {
                    "sepal length (cm)": 6.3,
                    "sepal width (cm)": 3.3,
                    "petal length (cm)": 6.0,
                    "petal width (cm)": 2.5,
                },
                {
                    "sepal length (cm)": 5.7,
                    "sepal width (cm)": None,
                    "petal length (cm)": 4.2,
                    "petal width (cm)": None,
                },
            ]
        },
    ),
}
"""Rows for a network that was trained on iris."""
ROWS_AS_CSV: Final = (
    "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n5.1,3.5,1.4,0.2\n6.3,,6.0,2.5\n"
)

_SCHEMA = {"schema": {"$ref": "#/components/schemas/JobSpec"}}
_EXAMPLES = {name: {"summary": summary, "value": spec} for name, (summary, spec) in SPECS.items()}

SPEC_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {kind: {**_SCHEMA, "examples": _EXAMPLES} for kind in (*JSON, YAML[0])},
    }
}
"""The request body of a route that takes a job spec."""


JOB_CHANGES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "name": ("Another name", {"name": "credit, dropout 0.5"}),
    "labels": ("A label more, and one less", {"metadata": {"team": "risk", "draft": None}}),
    "notes": ("What was found", {"notes": "Overfits from epoch 12 on; tried with more dropout next."}),
}
DATASET_CHANGES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "name": ("Another name", {"name": "credit 2026"}),
    "labels": ("A label more, and one less", {"metadata": {"source": "warehouse", "draft": None}}),
    "notes": ("Where it comes from", {"notes": "All customers of 2026, without those that closed."}),
}


def json_body(
    model: type[BaseModel],
    examples: dict[str, tuple[str, dict[str, Any]]],
    kinds: Sequence[str] = (*JSON, YAML[0]),
) -> dict[str, Any]:
    """The request body of a route that reads its body itself, for the OpenAPI document."""
    shown = {name: {"summary": summary, "value": value} for name, (summary, value) in examples.items()}
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    content = {kind: {"schema": schema, "examples": shown} for kind in kinds}
    return {"requestBody": {"required": True, "content": content}}
