"""What penalties cost a stack: a strength for every weight of every member."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from models.parameters import Parameters
from models.regularizers import Penalty

if TYPE_CHECKING:
    from models.training import Training

_IN_THE_STRENGTH = {"strength", "scope", "feature_weights"}


@dataclass(frozen=True, slots=True)
class Priced:
    """A penalty, and its strength: one number, or one a weight, flat and laid out as the weights are."""

    penalty: Penalty
    strength: Tensor
    asked: Tensor | None
    """(K,): whose it is; None: everybody's."""


def priced(trainings: Sequence[Training], parameters: Parameters) -> dict[str, list[Priced]]:
    """Technique → the members' penalties: one, unless they differ in more than their strengths."""
    asked = [each.spec.regularization.penalties() if each.spec.regularization else {} for each in trainings]
    columns = trainings[0].columns
    found: dict[str, list[Priced]] = {}
    for name in dict.fromkeys(name for penalties in asked for name in penalties):
        own = [penalties.get(name) for penalties in asked]
        kinds = dict.fromkeys(_kind(penalty) for penalty in own if penalty)
        for kind in kinds:
            chosen = [penalty if penalty and _kind(penalty) == kind else None for penalty in own]
            some = next(penalty for penalty in chosen if penalty)
            own_strength = strength(chosen, parameters, columns)
            found.setdefault(name, []).append(Priced(some, own_strength, _whose(chosen, parameters)))
    return found


def strength(penalties: Sequence[Penalty | None], parameters: Parameters, columns: list[str]) -> Tensor:
    """The strength: a number where all weights have the same, else flat; one penalty a member, or None.

    Scope and feature weights are multiplied in; `columns` names the dataset's column behind each input.
    """
    layout, weights = parameters.weight_layout, parameters.weights
    first = penalties[0]
    if (
        first
        and all(each == first for each in penalties)
        and first.scope == "all"
        and not first.feature_weights
    ):
        return weights.new_tensor(first.strength)
    flat = torch.zeros_like(weights)
    for member, penalty in enumerate(penalties):
        for index, name in enumerate(layout.shapes if penalty else ()):
            assert penalty is not None  # noqa: S101 - there is nothing to go through else
            own = layout.of(flat, name)[member]
            own.fill_(penalty.strength if penalty.scope == "all" or index == 0 else 0.0)
            if index == 0 and penalty.feature_weights:
                own *= own.new_tensor([penalty.feature_weights.get(column, 1.0) for column in columns])
    return flat


def _whose(penalties: Sequence[Penalty | None], parameters: Parameters) -> Tensor | None:
    asked = [penalty is not None for penalty in penalties]
    return None if all(asked) else torch.tensor(asked, device=parameters.weights.device)


def _kind(penalty: Penalty) -> str:
    """All that a penalty is, but for what its strength carries."""
    return json.dumps([type(penalty).__name__, penalty.model_dump(mode="json", exclude=_IN_THE_STRENGTH)])
