"""Work in processes of their own, started once and then asked in turn, one thread each, like a worker's.

    with Errand("benchmarks.stacks:half", workload="W3", part=0) as errand:
        errand.tell(seed); …; errand.hear()

The child imports the function, which gets the settings ready once and returns what is to be done each time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent


class Errand:
    """A process that waits to be told, works, and answers."""

    def __init__(self, place: str, **settings: Any) -> None:
        command = [sys.executable, "-m", "benchmarks.errands", place, json.dumps(settings)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> Self:
        self.hear()  # It says once that it stands ready.
        return self

    def __exit__(self, *_: object) -> None:
        """Its input ends, and with it the process."""
        self._process.communicate()

    def ask(self, question: Any = None) -> Any:
        """Tell and wait for the answer."""
        self.tell(question)
        return self.hear()

    def tell(self, question: Any = None) -> None:
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)

    def hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process ended without an answer; its last words are above")
        return json.loads(line)


def ask_all(errands: Sequence[Errand], question: Any = None) -> list[Any]:
    """All work at the same time; their answers."""
    for errand in errands:
        errand.tell(question)
    return [errand.hear() for errand in errands]


def main(place: str, settings: str) -> None:
    """Answers go out by the standard output, so whatever else is printed goes to the standard error."""
    import torch

    torch.set_num_threads(1)
    answers, sys.stdout = sys.stdout, sys.stderr
    module, _, name = place.partition(":")
    act: Callable[[Any], Any] = getattr(import_module(module), name)(**json.loads(settings))
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(act(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
