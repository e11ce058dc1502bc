"""What may be asked: the job spec, its shorthands and its bounds.

A spec says what to train; it knows nothing of torch, of the web or of where the data lies. What the asker
left out stays `None` here and is filled in by `models.defaults`, which has seen the data's description.
Everything is frozen and refuses unknown names, so a spec that validates means what it says.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from models.frozen import Frozen
from models.metrics import METRICS
from models.regularizers import Regularization


def storable(text: str) -> str:
    """PostgreSQL takes neither NUL nor lone surrogates, and people see neither: refuse both at the edge."""
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("text may not contain NUL characters or unpaired surrogates")
    return text


Text = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(storable)]
Integer = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Value = Annotated[str, Field(max_length=2000), AfterValidator(storable)] | bool | Integer | float | None
LabelKey = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(storable)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class SplitSpec(Frozen):
    """How rows are dealt to training, validation and test: by random fractions, or by a column."""

    column: Text | None = None
    """A column of the dataset that says `train`, `validation` or `test` for each row; excludes the rest."""
    validation: Fraction | None = Field(default=None, examples=[0.2])
    """Fraction of the rows for validation (default 0.2); 0 for none."""
    test: Fraction | None = Field(default=None, examples=[0.2])
    """Fraction of the rows for the test, touched once at the end (default 0.2); 0 for none."""
    seed: Seed | None = None
    """Seed of the shuffle (default 0)."""
    stratify: bool | None = None
    """Keep the classes' proportions in every split (default true for classification)."""

    @model_validator(mode="after")
    def _one_way_or_the_other(self) -> Self:
        fractions = (self.validation, self.test, self.seed, self.stratify)
        if self.column is not None and any(part is not None for part in fractions):
            raise ValueError("give either a column or fractions with a seed, not both")
        if (self.validation or 0) + (self.test or 0) >= 1:
            raise ValueError("validation and test together leave no rows to train on")
        return self


class PreprocessingSpec(Frozen):
    """What happens to columns before the network sees them; fitted on the training split only."""

    numeric: Literal["standardize", "robust", "quantile", "none"] = "standardize"
    """`standardize` (mean 0, sd 1), `robust` (median 0, interquartile range 1), `quantile` (to a normal)."""
    categorical: Literal["one_hot"] = "one_hot"
    """`one_hot`: one column a level; levels rarer than `rare_below` share one."""
    rare_below: Annotated[int, Field(ge=1, le=1_000_000)] = 2
    """A level seen in fewer training rows than this counts as rare; unknown levels count as rare too."""
    missing: Literal["median", "mean", "zero"] = "median"
    """What a missing number becomes; an indicator column is added wherever training rows miss values."""
    target: Literal["standardize", "none"] = "standardize"
    """Regression only: train on the standardized target; metrics stay in the target's units."""


class NetworkSpec(Frozen):
    """A multi-layer perceptron: Linear → batch norm → activation → dropout, for each hidden layer."""

    hidden: list[Annotated[int, Field(ge=1, le=2**40)]] | None = Field(
        default=None, max_length=64, examples=[[128, 64]]
    )
    """Widths of the hidden layers; `[]` is a linear model (logistic or linear regression)."""
    activation: Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"] = "relu"
    """The nonlinearity after each hidden layer."""


class OptimizerSpec(Frozen):
    """How the objective is descended."""

    kind: Literal["adam", "adamw", "sgd", "fista"] = "adam"
    """`adam`, `adamw`, `sgd`; `fista` solves linear models to their optimum with the full batch."""
    learning_rate: Annotated[float, Field(gt=0, le=100)] | None = Field(default=None, examples=[0.001])
    """Step size at the peak of the schedule; by default follows kind and data. Not for `fista`."""
    weight_decay: Annotated[float, Field(ge=0, le=100)] | None = None
    """Decoupled decay of weights (Loshchilov & Hutter 2019), apart from `l2`; default 0, `adamw` 0.01."""
    momentum: Annotated[float, Field(ge=0, lt=1)] | None = None
    """`sgd` only (default 0.9)."""
    nesterov: bool | None = None
    """`sgd` only (default false)."""
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] | None = (
        None
    )
    """`adam` and `adamw` only: decay of the two moments (default 0.9, 0.999)."""
    schedule: Literal["constant", "cosine", "one_cycle", "reduce_on_plateau"] = "constant"
    """How the learning rate moves from its peak over `max_epochs`."""
    warmup_epochs: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Epochs of linear warm-up before the schedule begins."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] | None = None
    """`reduce_on_plateau` only: the rate is multiplied by this (default 0.5)."""
    plateau_patience: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """`reduce_on_plateau` only: epochs without a better validation loss before that happens (default 5)."""
    tolerance: Annotated[float, Field(gt=0, le=1)] | None = None
    """`fista` only: stop when the largest move of a coefficient falls below this (default 1e-10)."""

    @model_validator(mode="after")
    def _settings_of_another_kind(self) -> Self:
        for name, kinds in ONLY_FOR.items():
            if getattr(self, name) is not None and self.kind not in kinds:
                raise ValueError(f"{name} is for {' and '.join(kinds)}, not for {self.kind}; leave it out")
        plateau = (self.plateau_factor, self.plateau_patience)
        if self.schedule != "reduce_on_plateau" and any(setting is not None for setting in plateau):
            raise ValueError("plateau settings go with schedule reduce_on_plateau; leave them out")
        if self.kind == "fista" and (self.schedule != "constant" or self.warmup_epochs):
            raise ValueError("fista takes its own steps; leave schedule and warmup_epochs out")
        return self


ONLY_FOR = {
    "learning_rate": ("adam", "adamw", "sgd"),
    "weight_decay": ("adam", "adamw", "sgd"),
    "momentum": ("sgd",),
    "nesterov": ("sgd",),
    "betas": ("adam", "adamw"),
    "tolerance": ("fista",),
}


class TrainingSpec(Frozen):
    """How long, in what portions, from which seed, where."""

    max_epochs: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(default=None, examples=[50])
    """Training ends here at the latest; by default enough updates for the data."""
    batch_size: Annotated[int, Field(ge=1, le=2**31)] | None = Field(default=None, examples=[32])
    """Rows a step; at or above the number of training rows the batch is full. By default follows the data."""
    seed: Seed = 0
    """Seed of the initial weights, the order of the data and the dropout masks."""
    max_runtime_seconds: Annotated[float, Field(gt=0, le=10_000_000)] | None = None
    """Training ends after this long, keeps its best weights and succeeds."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`cuda` waits for a GPU worker; `auto` takes what the next free worker has."""


def _known_metric(name: str) -> str:
    if name not in METRICS:
        raise ValueError(f"there is no metric {name!r}; choose from {', '.join(METRICS)}")
    return name


MetricName = Annotated[str, AfterValidator(_known_metric)]


def _none_means_none(given: Any) -> Any:
    """An explicit null asks for no technique; only leaving the field out asks for the default cocktail."""
    return {} if given is None or given is False else given


class JobSpec(Frozen):
    """A network to train, on what, and with which regularization. Only `dataset` is required."""

    dataset: Annotated[Text, Field(examples=["digits"])]
    """A dataset's id (`ds_…`) or its name; of several that share a name, `name@` and the first letters of the
    sha256."""
    name: Text | None = None
    """What people will call it; need not be unique."""
    split: SplitSpec = SplitSpec()
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    network: NetworkSpec = NetworkSpec()
    regularization: Annotated[
        Regularization | None,
        BeforeValidator(_none_means_none, json_schema_input_type=Regularization | Literal[False] | None),
    ] = None
    """Left out: a default cocktail for the data. Given: exactly what is written; `{}` or null is none."""
    optimizer: OptimizerSpec = OptimizerSpec()
    training: TrainingSpec = TrainingSpec()
    metrics: Annotated[list[MetricName], Field(max_length=20)] | None = Field(
        default=None, examples=[["accuracy", "f1_macro"]]
    )
    """Recorded every epoch for training and validation, and once for the test."""
    metadata: Annotated[
        dict[LabelKey, Value],
        Field(max_length=50),
    ] = Field(default_factory=dict)
    """Your own labels, for finding jobs again: `GET /v1/jobs?metadata.team=risk`. A server takes 16 KB."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Higher goes first."""

    @model_validator(mode="after")
    def _fista_is_for_linear_models(self) -> Self:
        if self.optimizer.kind == "fista" and self.network.hidden:
            raise ValueError("optimizer.kind fista solves linear models; set network.hidden to []")
        return self
