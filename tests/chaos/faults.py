"""What is done to an installation at random: each fault is a function that does it and says what it did.

Processes are killed by their ids, SIGKILL unless said otherwise. Which jobs were being trained by what was
killed is looked up a moment before, so a job may have ended in between; the checker knows.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import NamedTuple

from tests.chaos.history import Fault
from tests.chaos.installation import KILL, Installation, Trainer, eventually


class Done(NamedTuple):
    """What a fault did."""

    detail: str
    victims: Iterable[Trainer] = ()


Inflict = Callable[[Installation, Random], Done | None]
"""None: there was nothing to do it to."""


def pool_child(made: Installation, random: Random) -> Done | None:
    """The process that trains a job, its worker lives on."""
    trainers = made.trainers()
    if not trainers:
        return None
    victim = random.choice(trainers)
    kill(victim.pid)
    return Done(f"process {victim.pid}", [victim])


def worker(made: Installation, random: Random) -> Done:
    """A worker's parent; the children notice, and the supervisor ends what is left of them."""
    name = random.choice(made.named("worker"))
    victims = _trained_by(made, [name])
    made.signal(name, KILL)
    return Done(name, victims)


def worker_group(made: Installation, random: Random) -> Done:
    """A worker with all its processes at the same moment, as when a machine is gone."""
    name = random.choice(made.named("worker"))
    victims = _trained_by(made, [name])
    made.signal(name, KILL, group=True)
    return Done(f"{name} and its processes", victims)


def api(made: Installation, random: Random) -> Done:
    """An API, with whatever it was just answering."""
    name = random.choice(made.named("api"))
    made.signal(name, KILL)
    return Done(name)


def reconciler(made: Installation, random: Random) -> Done:
    """One of the reconcilers."""
    name = random.choice(made.named("reconciler"))
    made.signal(name, KILL)
    return Done(name)


def broker(made: Installation, random: Random) -> Done:
    """The broker; it comes back with what its file holds."""
    made.signal("broker", KILL)
    return Done("with its data")


def broker_without_data(made: Installation, random: Random) -> Done:
    """The broker, and everything that it had ever written."""
    with made.holding_off():
        made.signal("broker", KILL)
        made.parts["broker"].wait(time.monotonic() + 10, hurry=lambda: False)
        for path in (made.settings.data_dir / "broker").iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Done("and its data")


def database(made: Installation, random: Random) -> Done:
    """PostgreSQL is stopped at once (SIGQUIT) and recovers; on SQLite all who write die together."""
    if "database" in made.parts:
        made.signal("database", signal.SIGQUIT)
        return Done("stopped at once")
    names = [name for noun in ("worker", "reconciler", "api") for name in made.named(noun)]
    victims = _trained_by(made, names)
    with made.holding_off():
        for name in names:
            made.signal(name, KILL, group=True)
    return Done("all who write", victims)


def everything(made: Installation, random: Random) -> Done:
    """Every process at once; PostgreSQL by an immediate stop, for SIGKILL would leave its memory behind."""
    victims = made.trainers()
    with made.holding_off():
        for name in made.parts:
            made.signal(name, signal.SIGQUIT if name == "database" else KILL, group=name != "database")
    return Done(f"{len(made.parts)} programs", victims)


def stopped_worker(made: Installation, random: Random) -> Done | None:
    """A process that trains is stopped beyond its lease, while another may take its job; then it goes on."""
    trainers = made.trainers()
    if not trainers:
        return None
    victim = random.choice(trainers)
    with stopped(victim.pid):
        time.sleep(made.settings.lease_seconds + made.settings.reconcile_seconds + 1.0)
    return Done(f"process {victim.pid} stopped and continued", [victim])


FAULTS: dict[str, Inflict] = {
    "pool child": pool_child,
    "worker": worker,
    "worker with its processes": worker_group,
    "api": api,
    "reconciler": reconciler,
    "broker": broker,
    "broker without its data": broker_without_data,
    "database": database,
    "everything": everything,
    "stopped worker": stopped_worker,
}


def inflict(made: Installation, kind: str, random: Random) -> Fault | None:
    """Do it; None where there was nothing to do it to, even after a while."""
    at = time.time()

    def done() -> Done | None:
        nonlocal at
        at = time.time()
        return FAULTS[kind](made, random)

    what = eventually(done, NOBODY_SECONDS, pause=0.2)
    if what is None:
        return None
    return Fault(at, time.time(), kind, what.detail, [one.victim for one in what.victims])


NOBODY_SECONDS = 30.0
"""How long a fault waits for somebody to train."""


def order(random: Random) -> Iterable[str]:
    """Kinds in an order of chance, again and again: all of them before any round begins anew."""
    while True:
        kinds = [*FAULTS, *OFTEN]
        random.shuffle(kinds)
        yield from kinds


OFTEN = ("pool child", "pool child", "stopped worker")
"""They cost nothing but the attempt: nothing else has to start anew."""


def _trained_by(made: Installation, names: Iterable[str]) -> list[Trainer]:
    return [one for name in names for one in made.trainers() if one.pid in made.children_of(name)]


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """SIGSTOP, and SIGCONT at the end; to what may end by itself or be killed meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def kill(pid: int) -> None:
    """SIGKILL, to what may just have ended by itself."""
    with suppress(ProcessLookupError):
        os.kill(pid, KILL)
