"""Which networks may be trained together as a stack, and how many. It looks at specs alone, without torch.

Members of a stack share their data, their shapes and what the kernels take once for all of them. Everything
else is a member's own: seed, order of the data, learning rate and schedule, dropout rates, strengths, weight
decay, early stopping, epochs.
"""

from __future__ import annotations

import hashlib
import json

from models.spec import JobSpec

MOST_MEMBERS = 64
"""Beyond, an epoch of the stack takes long, and nothing is gained."""
STATE_BYTES = 8 * 2**20
"""Parameters, gradients and two moments of all members together: more leaves the cache, and stacks lose."""

_STATE_BYTES_A_PARAMETER = 16


def stack_key(spec: JobSpec) -> str | None:
    """Equal for complete specs that may be trained in one stack on one dataset; None: always alone."""
    if spec.optimizer.kind == "fista":
        return None
    chosen = spec.model_dump(mode="json")
    optimizer, regularization = chosen["optimizer"], chosen["regularization"] or {}
    shared = {
        "split": chosen["split"],
        "preprocessing": chosen["preprocessing"],
        "network": chosen["network"],
        "batch_norm": regularization.get("batch_norm"),
        "rule": "sgd" if optimizer["kind"] == "sgd" else "adam",
        "moments": [optimizer[name] for name in ("momentum", "nesterov", "betas")],
        "batch_size": chosen["training"]["batch_size"],
        "device": chosen["training"]["device"],
        "metrics": chosen["metrics"],
    }
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def stack_limit(parameters: int) -> int:
    """How many networks of so many parameters one stack holds."""
    return max(1, min(MOST_MEMBERS, STATE_BYTES // (_STATE_BYTES_A_PARAMETER * max(parameters, 1))))
