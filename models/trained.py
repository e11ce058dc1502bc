"""A weights file as it lies on the disk: what it says of its network, and the tensors as NumPy arrays.

It knows how such a file is made up, and nothing of torch: `models.weights` rebuilds the network from it,
`models.graphs` writes it as an ONNX graph.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ValidationError

from models.datasets import Description
from models.errors import WeightsError
from models.preprocessing import Preprocessor, task_of
from models.spec import JobSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = "ridgeline-1"
DAMAGED = "the weights file is damaged, or is no weights file"


@dataclass(frozen=True)
class About:
    """What a weights file says of its network."""

    spec: JobSpec
    preprocessor: Preprocessor
    description: Description

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> Self:
        """From the file's metadata; `WeightsError` where they are not ours, or damaged."""
        if metadata.get("format") != FORMAT:
            raise WeightsError("the weights file was not written by this program")
        try:
            return cls(
                JobSpec.model_validate_json(metadata["spec"]),
                Preprocessor.from_json(metadata["preprocessor"]),
                Description.model_validate_json(metadata["description"]),
            )
        except (KeyError, ValidationError) as error:
            raise WeightsError("what the weights file says of its network is damaged") from error

    def metadata(self) -> dict[str, str]:
        """What `of` reads; the same text for equal specs, in whichever order their names were written."""
        return {
            "format": FORMAT,
            "spec": json.dumps(json.loads(self.spec.model_dump_json()), sort_keys=True),
            "preprocessor": self.preprocessor.to_json(),
            "description": self.description.model_dump_json(),
        }

    @cached_property
    def task(self) -> Literal["binary", "multiclass", "regression"]:
        return task_of(self.description)

    @property
    def outputs(self) -> int:
        """Of the network: one for binary (a logit) and regression, else one a class."""
        return len(self.description.classes or ()) if self.task == "multiclass" else 1

    @property
    def hidden(self) -> list[int]:
        """Widths of the hidden layers."""
        return self.spec.network.hidden or []

    def require_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """`WeightsError` unless the weight matrices have the shapes that the spec gives them.

        Asked before anything is built: a damaged width must not take more memory than the file has.
        """
        widths = [len(self.preprocessor.features), *self.hidden, self.outputs]
        names = [*(f"hidden_{index + 1}" for index in range(len(self.hidden))), "output"]
        wanted = list(zip(widths[1:], widths[:-1], strict=True))
        if [shapes.get(f"{name}.weight") for name in names] != wanted:
            raise WeightsError("the weights do not have the shapes that the spec gives them")


@dataclass(frozen=True, slots=True)
class Stored:
    """A weights file that was read: what it says, and its tensors by name."""

    about: About
    tensors: Mapping[str, NDArray[Any]]

    def matrix(self, name: str) -> NDArray[Any]:
        """The weights of a layer, (outputs, inputs); their shapes were looked at when they were read."""
        return self.tensors[f"{name}.weight"]

    def vector(self, name: str, length: int) -> NDArray[Any]:
        """A tensor with a number for each unit; `WeightsError` where the file has none such."""
        found = self.tensors.get(name)
        if found is None or found.shape != (length,):
            raise WeightsError("the weights do not belong to this network")
        return found


def opened(path: Path, framework: Literal["np", "pt"]) -> tuple[dict[str, str], dict[str, Any]]:
    """What a weights file says of itself, and its tensors by name; `WeightsError` where it is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            metadata = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(DAMAGED) from error


def read(path: Path) -> Stored:
    """Read a weights file without torch; `WeightsError` where it is damaged."""
    metadata, tensors = opened(path, "np")
    about = About.of(metadata)
    about.require_shapes({name: tensor.shape for name, tensor in tensors.items()})
    return Stored(about, tensors)
