"""A graph while it is being written: nodes and constants, under names that no column has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto, TensorProto

ML = "ai.onnx.ml"
"""The domain of the operators that read text."""


class Sheet:
    """What has been written so far."""

    def __init__(self, taken: Collection[str]) -> None:
        """`taken` are the names of inputs and outputs; a column may be called anything."""
        self.written: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._prefix = "network/"
        while any(name.startswith(self._prefix) for name in taken):
            self._prefix += "/"
        self._times: Counter[str] = Counter()

    def constant(self, values: NDArray[Any], name: str) -> str:
        """A tensor that the file holds; its full name."""
        from onnx import numpy_helper

        full = self._named(name)
        self.constants.append(numpy_helper.from_array(values, full))
        return full

    def node(self, operator: str, *entering: str, name: str, domain: str = "", **attributes: Any) -> str:
        """An operator with one output; its full name."""
        full = self._named(name)
        self._write(operator, entering, [full], full, domain, attributes)
        return full

    def nodes(self, operator: str, *entering: str, names: Sequence[str], **attributes: Any) -> list[str]:
        """An operator with several outputs; their full names."""
        full = [self._named(name) for name in names]
        self._write(operator, entering, full, full[0], "", attributes)
        return full

    def output(self, operator: str, *entering: str, output: str, **attributes: Any) -> None:
        """The operator that gives an output of the graph."""
        self._write(operator, entering, [output], self._named("output"), "", attributes)

    def _write(
        self,
        operator: str,
        entering: Sequence[str],
        leaving: Sequence[str],
        label: str,
        domain: str,
        attributes: Mapping[str, Any],
    ) -> None:
        from onnx import helper

        node = helper.make_node(operator, entering, leaving, name=label, domain=domain, **attributes)
        self.written.append(node)

    def _named(self, name: str) -> str:
        self._times[name] += 1
        number = self._times[name]
        return f"{self._prefix}{name}" if number == 1 else f"{self._prefix}{name}:{number}"
