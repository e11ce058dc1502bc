"""What a network takes of memory while it is ready to be asked, estimated from its file.

The terms were fitted to what processes grew by with a dozen networks or two of a kind: narrow, 10,000 columns
wide, twenty layers deep, 16 MB large, with 3,000 levels, with levels of 300 characters, with 300 columns of
text, with 500 classes. Each is rounded up; together they are 2 to 25 % more than was measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from models.encoding import CategoricalColumn

if TYPE_CHECKING:
    from models.trained import Stored

_NETWORK_BYTES: Final = 256 * 1024
"""A session, and what the allocator cannot give back."""
_WEIGHT_COPIES: Final = 2
"""The runtime keeps weights as they are and as it likes to multiply by them."""
_TEXT_COPIES: Final = 6
"""What the file says in words of columns and levels is kept as objects, to read rows by, and in the graph."""
_NUMBER_BYTES: Final = 1024
"""A column of numbers besides its text …"""
_CATEGORICAL_BYTES: Final = 12 * 1024
"""… one of levels, which has a node of the graph to itself …"""
_INPUT_BYTES: Final = 400
"""… and each input that becomes of them."""


def footprint(network: Stored, file_bytes: int) -> int:
    """Bytes that a network read from a file of so many takes once it is ready."""
    weights = sum(tensor.nbytes for tensor in network.tensors.values())
    preprocessor = network.about.preprocessor
    categorical = sum(isinstance(column, CategoricalColumn) for column in preprocessor.columns)
    return (
        _NETWORK_BYTES
        + _WEIGHT_COPIES * weights
        + _TEXT_COPIES * max(0, file_bytes - weights)
        + _CATEGORICAL_BYTES * categorical
        + _NUMBER_BYTES * (len(preprocessor.columns) - categorical)
        + _INPUT_BYTES * len(preprocessor.features)
    )
