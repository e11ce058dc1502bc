"""Every regularization technique: its settings, its formula, its hooks. Add one here.

A regularizer is a frozen model whose docstring holds its formula, its source and what it is good for. It
overrides the hooks it needs and the loop calls every hook of every technique, so a new technique is one class
and one field of `Regularization`: that field *is* the registry, the API's schema, the catalog and the docs.

Hooks take tensors and use only their methods, so this file loads no torch. Penalties act on weights `w`,
never on biases and norm parameters, beside a `strength` which already carries the technique's strength, its
scope and its feature weights: a tensor of one number, or one for each weight. `penalty` sees the weights of
one layer, (…, n), and sums over the last dimension; the others see all weights of all networks of a stack,
flat. A penalty must be nothing at w = 0, with which layers are filled up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator

from models.frozen import Frozen
from models.metrics import direction

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.history import History
    from models.layers import Randomness

Rate = Annotated[float, Field(ge=0, lt=1)]
Strength = Annotated[float, Field(ge=0, le=1e6)]


class Regularizer(Frozen):
    """What a technique may do; each hook does nothing unless a technique overrides it."""

    good_for: ClassVar[str]
    """One sentence for the catalog: when to reach for it."""
    usual: ClassVar[str]
    """The usual range of its main setting."""
    source: ClassVar[str]
    """The paper it comes from."""
    proximal: ClassVar[bool] = False
    """It shrinks the weights after each step."""

    def on_input(self, columns: int, randomness: Randomness) -> nn.Module | None:
        """A layer before the first Linear."""

    def before_activation(self, layer: int, width: int) -> nn.Module | None:
        """A layer between the Linear and the activation of hidden layer `layer` (from 0)."""

    def after_activation(self, layer: int, width: int, randomness: Randomness) -> nn.Module | None:
        """A layer behind the activation of hidden layer `layer`."""

    def penalty(self, w: Tensor, strength: Tensor) -> Tensor | None:
        """What it adds to the objective: a scalar (per network)."""

    def add_gradient(self, w: Tensor, strength: Tensor, gradient: Tensor) -> None:
        """Add the penalty's gradient to `gradient` in place, where the penalty has one."""

    def shrink(self, w: Tensor, threshold: Tensor) -> None:
        """Proximal step on `w` in place, after the optimizer's, where the penalty has no gradient.

        `threshold` is the strength times the step size that each coordinate took, which is the learning rate
        for plain SGD, lr / (√v̂ + ε) for Adam: one number, or one for each weight.
        """

    def should_stop(self, history: History) -> str | None:
        """Why training should end here, judged from the curve alone; None to go on."""


class Penalty(Regularizer):
    """A regularizer that adds `strength · something(w)` to the objective."""

    strength: Strength
    """Its factor in the objective; 0 is none."""
    scope: Literal["all", "input"] = "all"
    """`all` weight matrices, or only those of the first layer (`input`), where columns enter."""
    feature_weights: Annotated[dict[str, Annotated[float, Field(ge=0, le=1e6)]], Field(max_length=10_000)] = (
        Field(default_factory=dict)
    )
    """Factor on the strength for the weights leaving a column: penalize what you distrust."""


class L1(Penalty):
    """Lasso penalty: Σ strength·|w| over weights, as a proximal step, so that weights become exactly zero.

    After each step w ← sign(w)·max(|w| − step·strength, 0), the proximal operator of the penalty in the
    metric of the step (soft-thresholding). A subgradient never gives a zero; this does.
    """

    good_for: ClassVar[str] = "Few of many columns matter: it picks them and sets the rest to exactly zero."
    usual: ClassVar[str] = (
        "1e-5 to 1e-2; λ_max (all weights zero) is max|Xᵀ(y − ȳ)|/n for logistic regression"
    )
    source: ClassVar[str] = "Tibshirani 1996; proximal step: Parikh & Boyd 2014, Duchi et al. 2011"
    proximal: ClassVar[bool] = True

    def penalty(self, w: Tensor, strength: Tensor) -> Tensor:
        return (strength * w.abs()).sum(-1)

    def shrink(self, w: Tensor, threshold: Tensor) -> None:
        # w − clip(w, −t, t) is the soft threshold in two operations, and exact at zero.
        w.sub_(w.clamp(-threshold, threshold))


class L2(Penalty):
    """Ridge penalty: Σ strength·w² over weights; its gradient 2·strength·w goes through the optimizer.

    Not weight decay: Adam divides this gradient by √v̂ like any other, `optimizer.weight_decay` is not.
    """

    good_for: ClassVar[str] = "Correlated columns: it shares the weight among them instead of choosing one."
    usual: ClassVar[str] = "1e-5 to 1e-2; Ridge(alpha) is alpha/n, LogisticRegression(C) is 1/(2·C·n)"
    source: ClassVar[str] = (
        "Hoerl & Kennard 1970; Krogh & Hertz 1991; against decay: Loshchilov & Hutter 2019"
    )

    def penalty(self, w: Tensor, strength: Tensor) -> Tensor:
        return (strength * w * w).sum(-1)

    def add_gradient(self, w: Tensor, strength: Tensor, gradient: Tensor) -> None:
        gradient.addcmul_(strength, w, value=2)


class Dropout(Regularizer):
    """In training each unit is zeroed with probability `rate` and the kept ones are scaled by 1/(1 − rate).

    In evaluation it is the identity (inverted dropout). On the input of a linear regression it amounts to
    Ridge(alpha = n·p/(1−p)) on standardized columns.
    """

    good_for: ClassVar[str] = "Wide layers that memorize: no unit can rely on another being there."
    usual: ClassVar[str] = "0.2 to 0.5 on hidden layers, 0 to 0.2 on the input"
    source: ClassVar[str] = "Srivastava et al. 2014; as ridge: Wager, Wang & Liang 2013"

    input: Rate = 0.0
    """Rate on the input columns."""
    hidden: Rate | Annotated[list[Rate], Field(max_length=64)] = 0.0
    """Rate after each hidden layer's activation; one number for all of them, or a list with one a layer."""

    def on_input(self, columns: int, randomness: Randomness) -> nn.Module | None:
        return _dropout(self.input, randomness)

    def after_activation(self, layer: int, width: int, randomness: Randomness) -> nn.Module | None:
        rate = self.hidden[layer] if isinstance(self.hidden, list) else self.hidden
        return _dropout(rate, randomness)


def _dropout(rate: float, randomness: Randomness) -> nn.Module | None:
    from models import layers

    return layers.Dropout(rate, randomness) if rate > 0 else None


class BatchNorm(Regularizer):
    """Each unit is standardized by its batch, then scaled and shifted: γ·(x − μ)/√(σ² + eps) + β.

    Evaluation uses running means and variances: running ← (1 − momentum)·running + momentum·batch. With few
    rows in a batch μ and σ are noise; under 16 rows the job carries a warning.
    """

    good_for: ClassVar[str] = "Deep or badly scaled networks: faster training at higher learning rates."
    usual: ClassVar[str] = "momentum 0.1; batches of 16 rows and more"
    source: ClassVar[str] = "Ioffe & Szegedy 2015"

    momentum: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Weight of the newest batch in the running statistics."""
    eps: Annotated[float, Field(gt=0, le=1)] = 1e-5
    """Added to the variance."""

    def before_activation(self, layer: int, width: int) -> nn.Module | None:
        from torch.nn import BatchNorm1d

        return BatchNorm1d(width, eps=self.eps, momentum=self.momentum)


class Monitor(Frozen):
    """A series of the curve that is watched, and how long it may stall."""

    metric: Annotated[str, Field(examples=["val_loss"])] = "val_loss"
    """`val_loss`, or `val_<metric>` for any metric; the direction is the metric's own."""
    patience: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Epochs without improvement before it counts as stalled."""
    min_delta: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    """An improvement must be larger than this."""

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        direction(name)
        return name

    def stalled_for(self, history: History) -> tuple[int, int]:
        """(epochs since the last improvement, the epoch of that improvement; 0 where there was none).

        Ties are not improvements. An epoch without a value (NaN) did not fail to improve: it does not count.
        """
        sign = 1.0 if direction(self.metric) == "higher" else -1.0
        best, best_epoch, waited, seen = history.memory.get(self, (float("-inf"), 0, 0, 0))
        for epoch, value in history.points(self.metric, after=seen):
            if sign * value > best + self.min_delta:
                best, best_epoch, waited = sign * value, epoch, 0
            elif not math.isnan(value):
                waited += 1
        history.memory[self] = (best, best_epoch, waited, len(history))
        return waited, best_epoch

    def says_something(self, history: History) -> bool:
        """Whether the series has had a value, and one that the rows do not decide on alone."""
        return self.metric not in history.undefined and any(self.stalled_for(history))


class EarlyStopping(Regularizer):
    """Training ends when the monitors have stalled; the best epoch's weights are restored.

    Stops at the first epoch t ≥ min_epochs where t − argbest(monitor) ≥ patience for all (or any) of them.
    For a quadratic error surface, stopping after t steps of size ε is L2 with strength of about 1/(2·t·ε).
    """

    good_for: ClassVar[str] = "Nearly always: it finds the number of epochs by itself and costs nothing."
    usual: ClassVar[str] = "patience 3 to 20 epochs on val_loss"
    source: ClassVar[str] = "Prechelt 1998; Bishop 1995; Goodfellow, Bengio & Courville 2016, 7.8"

    monitors: Annotated[list[Monitor], Field(min_length=1, max_length=10)] = Field(
        default_factory=lambda: [Monitor()]
    )
    """What is watched; the first one also judges which epoch is best."""
    combine: Literal["all", "any"] = "all"
    """Stop when `all` monitors have stalled, or `any`."""
    min_epochs: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Never stop before this epoch; the waiting counts from the start all the same."""
    restore_best_weights: bool = True
    """Go back to the best epoch's weights when training ends, however it ends."""

    def should_stop(self, history: History) -> str | None:
        if len(history) < self.min_epochs:
            return None
        waits = [(each, *each.stalled_for(history)) for each in self.monitors if each.says_something(history)]
        stalled = [wait for wait in waits if wait[1] >= wait[0].patience]
        if not stalled or (self.combine == "all" and len(stalled) < len(waits)):
            return None
        return "; ".join(
            f"{monitor.metric} has not improved for {wait} epochs since epoch {best}"
            for monitor, wait, best in stalled
        )


def _penalty_shorthand(given: Any) -> Any:
    """`1e-5` is `{"strength": 1e-5}`; false is none."""
    if given is False:
        return None
    return {"strength": given} if isinstance(given, int | float) and given is not True else given


def _dropout_shorthand(given: Any) -> Any:
    """`0.5` and `[0.5, 0.3]` are rates of the hidden layers; false is none."""
    if given is False:
        return None
    return {"hidden": given} if isinstance(given, int | float | list) and given is not True else given


def _switch(given: Any) -> Any:
    """true is the technique with its defaults; false is none."""
    return {True: {}, False: None}[given] if isinstance(given, bool) else given


def _early_stopping_shorthand(given: Any) -> Any:
    """`{"monitor": "val_loss", "patience": 3}` is one monitor."""
    given = _switch(given)
    if not isinstance(given, dict) or "monitors" in given:
        return given
    single = {"monitor": "metric", "patience": "patience", "min_delta": "min_delta"}
    monitor = {name: given[key] for key, name in single.items() if key in given}
    return {key: value for key, value in given.items() if key not in single} | {"monitors": [monitor]}


class _EarlyStoppingShorthand(EarlyStopping):
    """What may be written for early stopping: the monitors, or a single one in place."""

    monitor: str = "val_loss"
    patience: int = 10
    min_delta: float = 0.0


_SINGLE = _EarlyStoppingShorthand | EarlyStopping | bool | None


class Regularization(Frozen):
    """The cocktail of a job: each technique with its settings, or null."""

    l1: Annotated[
        L1 | None,
        BeforeValidator(_penalty_shorthand, json_schema_input_type=L1 | Strength | Literal[False] | None),
    ] = None
    l2: Annotated[
        L2 | None,
        BeforeValidator(_penalty_shorthand, json_schema_input_type=L2 | Strength | Literal[False] | None),
    ] = None
    dropout: Annotated[
        Dropout | None,
        BeforeValidator(
            _dropout_shorthand, json_schema_input_type=Dropout | Rate | list[Rate] | Literal[False] | None
        ),
    ] = None
    batch_norm: Annotated[
        BatchNorm | None, BeforeValidator(_switch, json_schema_input_type=BatchNorm | bool | None)
    ] = None
    early_stopping: Annotated[
        EarlyStopping | None, BeforeValidator(_early_stopping_shorthand, json_schema_input_type=_SINGLE)
    ] = None

    def techniques(self) -> dict[str, Regularizer]:
        """The techniques that are on, by name, in the order of the fields."""
        chosen = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: technique for name, technique in chosen.items() if technique is not None}

    def penalties(self) -> dict[str, Penalty]:
        """Those that add to the objective."""
        return {name: part for name, part in self.techniques().items() if isinstance(part, Penalty)}
