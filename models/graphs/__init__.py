"""A trained network as an ONNX graph, written node by node from its weights, with NumPy and without torch.

The graph takes the data's own columns and holds all of the preprocessing: what is missing, unknown, infinite
or huge is dealt with inside it, as in training. Importing this package loads neither onnx nor NumPy.
"""

from __future__ import annotations

from models.graphs.model import NUMBERS, TEXTS, Origin, Port, floating, inputs, model, outputs

__all__ = ["NUMBERS", "TEXTS", "Origin", "Port", "floating", "inputs", "model", "outputs"]
