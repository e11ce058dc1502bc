"""A trained network as a file, and what its weights say.

The file is safetensors: plain tensors, and JSON beside them that holds the spec, the fitted preprocessing and
the dataset's description, so the network can be rebuilt and used with nothing else. It is never a pickle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from models.datasets import Description
from models.encoding import Feature
from models.errors import WeightsError
from models.network import Network, build
from models.preprocessing import Preprocessor
from models.spec import JobSpec
from models.tensors import write
from models.trained import About, opened

LISTENED_TO = 1_024
"""Rows at least, evenly spread, that tell which units are silent: one that answers differently to one row in
two hundred is missed once in 150 times."""


@dataclass(frozen=True, slots=True)
class Trained:
    """A network with all that is needed to use it."""

    network: Network
    spec: JobSpec
    preprocessor: Preprocessor
    description: Description


def save(
    path: Path,
    *,
    network_state: Mapping[str, Tensor],
    spec: JobSpec,
    preprocessor: Preprocessor,
    description: Description,
) -> None:
    """Write a trained network; `load` gives back one that answers the same. `OSError` where it cannot be."""
    # In training they are views into one flat tensor, which the format refuses: give each its own memory.
    tensors = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in network_state.items()
    }
    write(path, tensors, About(spec, preprocessor, description).metadata())


def load(path: Path) -> Trained:
    """Rebuild a trained network, in evaluation mode; `WeightsError` where the file is damaged."""
    metadata, tensors = opened(path, "pt")
    about = About.of(metadata)
    return Trained(_rebuilt(about, tensors), about.spec, about.preprocessor, about.description)


def summarize(
    network: Network, spec: JobSpec, preprocessor: Preprocessor, rows: Tensor | None = None
) -> dict[str, Any]:
    """What the weights say: of each layer, of each column, and of a linear model its coefficients.

    From `rows` of inputs, (n, features), on the network's device, comes which units answer the same to all.
    """
    # Once, and not number by number: the network may be on a GPU, and all that it is compared with is here.
    linears = {name: _Linear.of(layer) for name, layer in network.linears()}
    entering = next(iter(linears.values())).weight
    silent = {} if rows is None else _silent_units(network, rows)
    return {
        "layers": [{**_layer(name, own.weight), "silent": silent.get(name)} for name, own in linears.items()],
        "inputs": _inputs(entering, preprocessor.features),
        "linear": None if spec.network.hidden else _linear(linears["output"], preprocessor),
    }


class _Linear(NamedTuple):
    """A layer's numbers in float64, on the CPU."""

    weight: Tensor
    """(outputs, inputs)"""
    bias: Tensor
    """(outputs,)"""

    @classmethod
    def of(cls, layer: torch.nn.Linear) -> Self:
        return cls(*(each.detach().cpu().double() for each in (layer.weight, layer.bias)))


def _rebuilt(about: About, tensors: dict[str, Tensor]) -> Network:
    """A network of the spec's shape with the file's tensors, after a look that the two agree."""
    about.require_shapes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    spec, features = about.spec, len(about.preprocessor.features)
    network = build(spec, features, about.outputs, spec.training.seed)
    network.to(dtype=tensors["output.weight"].dtype)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError("the weights do not belong to this network") from error
    network.eval()
    return network


def _layer(name: str, weight: Tensor) -> dict[str, Any]:
    zeros = int((weight == 0).sum())
    return {
        "name": name,
        "shape": list(weight.shape),
        "zeros": zeros,
        "sparsity": zeros / weight.numel(),
        "l1_norm": _finite(weight.abs().sum().item()),
        "l2_norm": _finite(weight.norm().item()),
        "max_abs": _finite(weight.abs().max().item()),
    }


@torch.inference_mode()
def _silent_units(network: Network, rows: Tensor) -> dict[str, int]:
    """Units of each hidden layer that answer the same to every row, as a rectifier does that never opens."""
    x, found, name = rows[:: max(len(rows) // LISTENED_TO, 1)], dict[str, int](), ""
    for each, layer in network.named_children():
        x = layer(x)
        name = each if isinstance(layer, torch.nn.Linear) else name
        if each == f"{name}_activation":
            found[name] = int((x == x[:1]).all(0).sum())
    return found


def _inputs(entering: Tensor, features: list[Feature]) -> list[dict[str, Any]]:
    """How much of the first layer listens to each column of the file, whatever number of inputs it has."""
    columns = list(dict.fromkeys(feature.column for feature in features))
    place = {column: position for position, column in enumerate(columns)}
    owner = torch.tensor([place[feature.column] for feature in features])
    # What comes in as zero for every row is not listened to, whatever its weights were initialized to.
    heard = entering * torch.tensor([float(feature.scale != 0) for feature in features])
    squares = torch.zeros(len(columns), dtype=torch.float64).index_add_(0, owner, heard.square().sum(0))
    alive = torch.zeros(len(columns), dtype=torch.int64).index_add_(0, owner, (heard != 0).sum(0))
    norms = squares.sqrt()
    shares = norms / norms.sum().clamp(min=torch.finfo(torch.float64).tiny)
    told = (columns, norms.tolist(), shares.tolist(), alive.tolist())
    return [
        {"column": column, "norm": _finite(norm), "share": _finite(share), "kept": bool(weights)}
        for column, norm, share, weights in zip(*told, strict=True)
    ]


def _linear(layer: _Linear, preprocessor: Preprocessor) -> dict[str, Any]:
    """Intercept and coefficients, as trained and in the data's own units."""
    weight, bias = layer
    features = preprocessor.features
    trained = _coefficients("trained", weight, bias, preprocessor)
    curved = [feature.column for feature in features if feature.scale is None]
    if curved:
        reason = "numeric columns went through quantiles, so the model is not linear in their own units"
        return {"trained": trained, "original": None, "reason": reason}
    # With z = (x − c)/s, or z = 0 where s is 0: b + Σ w·z = (b − Σ w·c/s) + Σ (w/s)·x.
    inverse = weight.new_tensor([1 / feature.scale if feature.scale else 0.0 for feature in features])
    centers = weight.new_tensor([feature.center for feature in features])
    own = weight * inverse
    intercept = bias - own @ centers
    if preprocessor.target is not None:
        own, intercept = (
            own * preprocessor.target.sd,
            intercept * preprocessor.target.sd + preprocessor.target.mean,
        )
    return {
        "trained": trained,
        "original": _coefficients("original", own, intercept, preprocessor),
        "reason": None,
    }


def _coefficients(space: str, weight: Tensor, bias: Tensor, preprocessor: Preprocessor) -> dict[str, Any]:
    named = zip(preprocessor.features, weight.T.tolist(), strict=True)
    return {
        "space": space,
        "outputs": _outputs(preprocessor, len(bias)),
        "intercept": [_finite(value) for value in bias.tolist()],
        "coefficients": {feature.name: [_finite(value) for value in column] for feature, column in named},
    }


def _outputs(preprocessor: Preprocessor, count: int) -> list[str]:
    """What each output speaks for; of two classes the single logit speaks for the second."""
    if preprocessor.classes is None:
        return [preprocessor.target_name]
    return preprocessor.classes[-1:] if count == 1 else preprocessor.classes


def _finite(number: float) -> float | None:
    """JSON has no NaN; a network that diverged has."""
    return number if math.isfinite(number) else None
