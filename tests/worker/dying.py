"""What is done in a process that dies of it; loads little, for that process is forked."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from store.session import Database
from store.settings import Settings
from worker import webhooks
from worker.outbound import Outbound, Receipt


def send_and_die(database_url: str) -> None:
    """Deliver webhooks until one has been taken, and be killed before that is noted."""
    webhooks.GRACE_SECONDS = 0.0  # type: ignore[misc]
    outbound = Outbound(seconds=1, private_hosts={"127.0.0.1"})

    def post_and_die(*said: Any) -> Receipt:
        assert outbound.post(*said).status == 204
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    webhooks.Deliverer(Database(database_url), Settings(webhook_seconds=0.1), post=post_and_die).start()
    time.sleep(60)
