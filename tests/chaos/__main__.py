"""`python -m tests.chaos`, which is `./run chaos`: faults on purpose, and whether the promises were kept.

    ./run chaos [--configuration sqlite|postgresql|both] [--seconds N] [--seed S]
    ./run chaos mutants [NAME …]     code is broken on purpose, and the test that should notice must fail
    ./run chaos load | soak | fuzz   what these say with --help

Exit code 1 if anything is amiss. A run is drawn from its seed: who asks for what, which faults come in which
order after which pauses. When exactly they strike is the machine's affair; a history lies beside each run.
"""

from __future__ import annotations

import sys
from importlib import import_module

SUBJECTS = ("mutants", "load", "soak", "fuzz")
"""Modules beside this one, each with a `main` of its own; without a word it is `campaign`."""


def main(arguments: list[str]) -> int:
    """The exit code."""
    named = bool(arguments) and arguments[0] in SUBJECTS
    subject = import_module(f"tests.chaos.{arguments[0] if named else 'campaign'}")
    return int(subject.main(arguments[1:] if named else arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
