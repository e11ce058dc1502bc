"""The web's door is light: importing it loads nothing of the science's libraries and opens nothing."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    *("opentelemetry.sdk", "opentelemetry.exporter"),  # no endpoint is named, so nothing is traced
    *("torch", "numpy", "polars", "matplotlib", "sklearn", "scipy", "pandas", "pyarrow", "plotext"),
    *("onnx", "onnxruntime", "safetensors"),
)
PROGRAM = f"""
import socket, sys, sqlite3
def refuse(*_, **__): raise AssertionError("opened at import")
socket.socket.connect = refuse
sqlite3.connect = refuse
import api.app
from api.app import create_app
create_app()
from store.tracing import Tracing
with Tracing("", "w").span("x", parent=None): pass
loaded = [name for name in sys.modules if name.startswith({HEAVY})]
assert not loaded, loaded
assert "pysqlite3" not in sys.modules
"""


def test_importing_the_application_loads_and_opens_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
