"""A trained network in use: columns in the data's own units → labels with probabilities, or values.

By ONNX Runtime on the graph of `models.graphs`, so whoever predicts needs no torch; one thread, so that
whoever serves leaves the processors to those who train. Importing this loads neither it nor NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from models.errors import WeightsError
from models.graphs import NUMBERS, TEXTS, model
from models.graphs.columns import Columns
from models.trained import About, Stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_AT_ONCE: Final = 4_000_000
"""Numbers of a layer that are in memory at once; more rows than that allows go through one after another."""
_OUT_OF_MEMORY: Final = ("bad_alloc", "Failed to allocate memory", "bad allocation")


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the network says of some rows, in their order."""

    labels: list[str] | None
    """The most probable classes; None for regression."""
    probabilities: NDArray[Any] | None
    """(rows, classes), in the order of the classes; None for regression."""
    values: NDArray[Any] | None
    """(rows,) in the target's own units; None for classification."""

    @property
    def numbers(self) -> NDArray[Any]:
        """The probabilities, or the values."""
        found = self.values if self.probabilities is None else self.probabilities
        assert found is not None  # noqa: S101 - one of them is there
        return found

    @property
    def is_finite(self) -> bool:
        """Whether every number is one; those of a network that diverged are not."""
        import numpy as np

        return bool(np.isfinite(self.numbers).all())


class Predictor:
    """A network that is ready to be asked, by several threads at once if they like."""

    def __init__(self, about: About, session: Any) -> None:
        self.about = about
        self._session = session
        columns = Columns.of(about.preprocessor.columns)
        self._numbers = [column.name for column in columns.numbers]
        self._texts = [column.name for column in columns.texts]
        first = about.hidden[0] if about.hidden else about.outputs
        widest = max([len(self._numbers), len(self._texts) * first, *about.hidden, about.outputs])
        self._rows_at_once = max(1, MOST_AT_ONCE // widest)

    @classmethod
    def of(cls, stored: Stored) -> Self:
        """Make a network ready; `WeightsError` where the weights make no graph, or `MemoryError`."""
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # It would keep the memory of the largest request for good.
        options.log_severity_level = 4
        written = model(stored, together=True).SerializeToString()
        try:
            session = onnxruntime.InferenceSession(written, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # What it raises has no class in common but this one.
            _complain_of_memory(error)
            raise WeightsError("no network that can be used could be made of the weights") from error
        return cls(stored.about, session)

    def predict(self, columns: Mapping[str, NDArray[Any]]) -> Predictions:
        """What becomes of rows whose columns are given by name.

        Numbers, booleans and dates as float64 with NaN for missing, text as objects with `""` for missing,
        (rows,) each, as `models.datasets.rows` makes them. `WeightsError` where the network cannot be run,
        `MemoryError` where that takes more than there is.
        """
        import numpy as np

        rows = len(next(iter(columns.values())))
        starts = range(0, max(rows, 1), self._rows_at_once)
        parts = [self._run(columns, slice(start, start + self._rows_at_once)) for start in starts]
        found = [np.concatenate(each) for each in zip(*parts, strict=True)]
        if self.about.task == "regression":
            return Predictions(None, None, found[0])
        return Predictions(found[0].tolist(), found[1], None)

    def _run(self, columns: Mapping[str, NDArray[Any]], rows: slice) -> list[NDArray[Any]]:
        import numpy as np

        feeds = {
            name: np.ascontiguousarray(np.array([columns[column][rows] for column in names]).T)
            for name, names in ((NUMBERS, self._numbers), (TEXTS, self._texts))
            if names
        }
        try:
            found: list[NDArray[Any]] = self._session.run(None, feeds)
        except Exception as error:
            _complain_of_memory(error)
            raise WeightsError("the network cannot be run") from error
        return found


def _complain_of_memory(error: Exception) -> None:
    """`MemoryError` where that is what it is: the runtime tells it in words alone."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in _OUT_OF_MEMORY):
        raise MemoryError("there was not enough memory to run the network") from error
