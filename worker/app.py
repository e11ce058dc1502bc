"""Celery, and everything that anybody in this room knows of it.

    celery -A worker.app worker -Q cpu -c 2        or, with the settings' queues and concurrency,
    python -m worker

A message carries nothing: it is a nudge to look at the table of jobs. So it may be lost (the reconciler
nudges again) or doubled (the second look finds nothing), and what is set below follows: early
acknowledgement, no results, no prefetching. The parent loads torch and computes nothing with it, which makes
forking safe and the children quick to start; importing this module loads none of it.

SIGTERM drains: nothing new is taken, the children put back the jobs they are training, and what hangs for
longer than the settings allow dies with the worker and is found by its lease.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import structlog
from billiard import active_children, current_process
from billiard.pool import EX_RECYCLE
from celery import Celery, signals
from celery.worker.consumer import Consumer

from store import logs
from store.settings import Settings
from worker import devices
from worker.devices import GPU_QUEUE
from worker.memory import KEPT_BYTES

log = structlog.get_logger(__name__)

TASK = "ridgeline.work"
"""The name under which a nudge travels; `api.queue` sends it without ever importing this room."""

CLAIMS_PER_NUDGE = 50
"""A nudge claims no more often than this; if more waits, the reconciler nudges again."""
NUDGES_PER_CHILD = 1000
"""Where a child's memory says nothing of what it ought to give back, it is replaced after so many."""
LOST_SECONDS = 1.0
"""How long the pool waits for a word of the task of a child that is gone, before its place is free again."""


def configuration() -> dict[str, Any]:
    """Celery's settings; read from the environment only when Celery first needs them."""
    settings = Settings()
    names = devices.queues(settings.queues)
    return {
        "broker_url": settings.broker,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # for ever
        "broker_transport_options": {
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            **settings.broker_options,
        },
        "result_backend": None,
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_acks_late": False,
        "task_ignore_result": True,
        "task_publish_retry": False,
        "task_queues": {name: {"exchange": name, "routing_key": name} for name in names},
        "task_default_queue": names[-1],
        "worker_concurrency": settings.concurrency or settings.processes(_gpus_for(names)),
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_enable_remote_control": False,
        **_pool(names),
        # Loading torch on a busy machine takes longer than the 4 seconds that a child is given to report.
        "worker_proc_alive_timeout": 120,
        "worker_lost_wait": LOST_SECONDS,
        "worker_consumer": "worker.app:quiet_consumer",
    }


def _gpus_for(names: Sequence[str]) -> int:
    return devices.gpus() if GPU_QUEUE in names else 0


def _pool(names: Sequence[str]) -> dict[str, Any]:
    """How children start, by the queues that they listen on, and when one makes room for a fresh one.

    For a second the pool is short of it, so only for a reason. A job needs what it needs; but what was held
    once is seldom given back. On a GPU the driver alone holds gigabytes of the machine's memory, and a fresh
    child has everything to load: there it goes by nudges. And CUDA does not survive a fork.
    """
    if GPU_QUEUE in names:
        return {
            "worker_pool_start_method": "spawn",
            "worker_max_tasks_per_child": NUDGES_PER_CHILD,
            "worker_max_memory_per_child": None,
        }
    return {
        "worker_pool_start_method": "fork",
        "worker_max_tasks_per_child": None,
        "worker_max_memory_per_child": KEPT_BYTES // 1024,  # it counts in KiB
    }


def quiet_consumer(*args: Any, worker_options: dict[str, Any] | None = None, **kwargs: Any) -> Consumer:
    """Celery's consumer without the chatter among workers, however the worker was started."""
    silence = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
    return Consumer(*args, worker_options=(worker_options or {}) | silence, **kwargs)


app = Celery("ridgeline", include=["worker.tasks"])
app.add_defaults(configuration)


def queues() -> tuple[str, ...]:
    """The queues that this worker takes jobs from: those of the settings, or what `-Q` says."""
    return tuple(app.amqp.queues.consume_from)


def nudge(queue: str) -> None:
    """Ask whoever listens on a queue to look at the table. Raises where the broker cannot be reached."""
    with _connected() as connection:
        app.send_task(TASK, queue=queue, connection=connection)


def waiting(queue: str) -> int:
    """How many nudges nobody has taken yet. Raises where the broker cannot be reached."""
    with _connected() as connection:
        return int(app.amqp.queues[queue](connection.default_channel).queue_declare().message_count)


@contextmanager
def _connected() -> Iterator[Any]:
    """A connection to the broker; left to itself, Celery would try for many seconds."""
    with app.connection_for_write() as connection:
        yield connection.ensure_connection(max_retries=1, interval_start=0.1)


_CHATTY = ("celery.worker.strategy", "celery.app.trace")
"""Say of every nudge that it came and went; what counts is what became of jobs."""

# ── the pool's children, from their start to their end ──────────────────────────────────────────────────────
# Celery holds receivers weakly, so they are functions of this module.


def _set_up_logging(**_: Any) -> None:
    logs.configure(Settings().log_level, quieted=_CHATTY)


def _hand_down(sender: Any = None, **_: Any) -> None:
    """Settle what goes by the queues, which `-Q` may have chosen, and tell children that start from nothing.

    They have the environment alone: what is told here, they ask nobody again.
    """
    names = queues()
    pool = _pool(names)
    if pool["worker_pool_start_method"] != app.conf.worker_pool_start_method:
        app.conf.update(pool)
        for option, value in pool.items():
            setattr(sender, option.removeprefix("worker_"), value)
    Settings.hand_down(queues=",".join(names), concurrency=sender.concurrency)
    if GPU_QUEUE in names:
        # Segments that grow leave fewer gaps between networks of all sizes.
        Settings.suggest("PYTORCH_ALLOC_CONF", "expandable_segments:True", unless=_ALLOCATOR_NAMES)


_ALLOCATOR_NAMES = ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")


def _load_before_the_fork(**_: Any) -> None:
    """Load torch once for all the children there will be: each starts in moments and shares its memory.

    All that is loaded stays, and is never looked through for garbage again: Celery does so before every fork,
    for a quarter of a second that no message moves, and a child that did would copy what it shares.
    """
    if app.conf.worker_pool_start_method == "fork":
        import_module("worker.child")
        gc.collect()
        gc.freeze()


def _start_child(**_: Any) -> None:
    from worker import child

    child.start(queues(), *place())


def place() -> tuple[int, int]:
    """Which of the pool's processes this is, and of how many; one that replaces another has its number."""
    return getattr(current_process(), "index", 0), Settings().concurrency or 1


def replace_child(reason: str) -> None:
    """End this child, in the midst of its task, and have its pool bring another. Does not return.

    At once, whatever libraries still hold: a broken driver could keep an orderly end waiting for ever. And
    not between two tasks, where children that share a pipe would find its lock taken by one that is gone.
    """
    from worker import child

    log.error("this process leaves, and another takes its place", reason=reason)
    try:
        child.stop()
    finally:  # A child that could not sign off must not stay, claim nothing and swallow every nudge.
        os._exit(EX_RECYCLE)


def _stop_child(**_: Any) -> None:
    from worker import child

    child.stop()


def _drain(**_: Any) -> None:
    """Ask the children to put back what they are training, and give them a while."""
    for process in active_children():
        process.terminate()  # a request, see `worker.child`
    # Whoever stops this worker waits `drain_seconds` before it kills, so be gone by then.
    limit = threading.Timer(0.8 * Settings().drain_seconds, _die)
    limit.daemon = True
    limit.start()


def _die() -> None:
    for process in active_children():
        os.kill(process.pid, signal.SIGKILL)
    os._exit(1)


signals.setup_logging.connect(_set_up_logging)
signals.worker_init.connect(_hand_down)
signals.worker_init.connect(_load_before_the_fork)
signals.worker_process_init.connect(_start_child)
signals.worker_process_shutdown.connect(_stop_child)
signals.worker_shutting_down.connect(_drain)
