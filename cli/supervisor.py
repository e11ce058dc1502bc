"""Several programs kept running together, from the first start to the last end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType
from typing import Self

from cli.processes import Child, Program, StartError

LOOK_SECONDS = 0.1
GIVE_UP_AFTER = 3
"""A program that dies this often before everything is ready will not come up by itself."""


class Supervisor:
    """A `with` block within which programs run; leaving it, however it is left, stops them all.

    SIGINT, SIGTERM and SIGHUP end `wait_until` and `run`; a second one kills what is still stopping.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.children: list[Child] = []
        self._tell = tell
        self._asked = 0

    def __enter__(self) -> Self:
        numbers = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
        if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
            numbers.remove(signal.SIGHUP)  # Somebody said nohup.
        self._before = {number: signal.signal(number, self._ask) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._stop()
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal said so."""
        return self._asked > 0

    def start(self, program: Program) -> Child:
        """Keep a program running from now on."""
        child = Child(program, self._tell)
        self.children.append(child)
        return child

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Tend the children until all is ready or a signal came; `StartError` when it takes too long."""
        deadline = time.monotonic() + seconds
        while not self.asked_to_stop and not ready():
            self._tend()
            self._look_for_hopeless_ones()
            if time.monotonic() > deadline:
                raise StartError(f"{what} is not ready after {seconds:g} s{self._last_words()}")
            time.sleep(LOOK_SECONDS)

    def run(self) -> None:
        """Tend the children until a signal comes."""
        while not self.asked_to_stop:
            self._tend()
            time.sleep(LOOK_SECONDS)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked += 1

    def _tend(self) -> None:
        for child in self.children:
            child.tend()

    def _look_for_hopeless_ones(self) -> None:
        for child in self.children:
            if child.failures >= GIVE_UP_AFTER:
                raise StartError(f"{child.program.name} does not start\n{child.last_words(20)}")

    def _last_words(self) -> str:
        said = ((child.program.name, child.last_words(5)) for child in self.children)
        return "".join(f"\n{name} said last:\n{words}" for name, words in said if words)

    def _stop(self) -> None:
        """All at once but for those that the others lean on, which come last."""
        for leaned_on in (False, True):
            wave = [child for child in self.children if child.program.others_lean_on_it is leaned_on]
            began = time.monotonic()
            for child in wave:
                child.ask_to_stop()
            for child in wave:
                child.wait(began + child.program.grace_seconds, hurry=lambda: self._asked > 1)
        self.children.clear()
