"""Answers as the server gives them, shortened to what the command line reads."""

from __future__ import annotations

from typing import Any


def job(**changes: Any) -> dict[str, Any]:
    """A job that stopped early."""
    return {
        "id": "job_1",
        "name": "digits",
        "status": "succeeded",
        "stop_reason": "early_stopping",
        "stop_detail": "val_loss has not improved for 3 epochs since epoch 14",
        "allowed_actions": ["delete"],
        "spec": {"dataset": "digits", "name": None, "network": {"hidden": [128, 64]}, "metadata": {}},
        "warnings": [],
        "dataset": {"id": "ds_1", "name": "digits"},
        "progress": {"epoch": 17, "max_epochs": 50},
        "result": {
            "best_epoch": 14,
            "last_epoch": 17,
            "parameters": 17226,
            "train": {"loss": 0.01, "accuracy": 1.0},
            "validation": {"loss": 0.06, "accuracy": 0.98},
            "test": None,
            "generalization_gap": 0.05,
        },
        "error": None,
        "attempt": 1,
        "created_at": "2026-11-22T12:00:00Z",
        "duration_seconds": 1.9,
        **changes,
    }


def diagnosis(**changes: Any) -> dict[str, Any]:
    """Of a job that overfits."""
    return {
        "job_id": "job_1",
        "status": "succeeded",
        "stop_reason": "max_epochs",
        "verdict": "overfitting",
        "summary": "The gap is 28% of all there was to learn.",
        "epochs": 60,
        "evidence": [{"name": "gap_growth", "value": 2.0, "detail": "the gap grew to 3.1 by epoch 60"}],
        "suggestions": [
            {
                "technique": "dropout",
                "detail": "0.5 after the hidden layers: no unit may rely on another",
                "patch": {"regularization": {"dropout": {"hidden": [0.5, 0.5]}}},
            },
            {
                "technique": "early_stopping",
                "detail": "val_loss was lowest around epoch 2",
                "patch": {
                    "regularization": {
                        "early_stopping": {
                            "monitors": [{"metric": "val_loss", "patience": 10, "min_delta": 0.0}]
                        },
                        "l1": None,
                    }
                },
            },
        ],
        **changes,
    }


def dataset(**changes: Any) -> dict[str, Any]:
    """An uploaded dataset."""
    return {
        "id": "ds_1",
        "name": "wine.csv",
        "rows": 1780,
        "features": 13,
        "task": "classification",
        "task_reason": "the target holds text",
        "target": "kind",
        "notes": ["column 'when' is a date"],
        "created_at": "2026-11-22T12:00:00Z",
        **changes,
    }


def worker(**changes: Any) -> dict[str, Any]:
    """A worker process that waits."""
    return {
        "id": "worker_1",
        "state": "idle",
        "job_id": None,
        "queues": ["gpu", "cpu"],
        "device": "cuda:0",
        "device_name": "NVIDIA H200",
        "problem": None,
        "version": "0.1.0",
        "host": "machine",
        "pid": 7,
        "started_at": "2026-11-22T12:00:00Z",
        "seen_at": "2026-11-22T12:01:00Z",
        "quiet_seconds": 1.6,
        **changes,
    }
