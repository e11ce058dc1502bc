"""How much a project may have and ask for: open jobs, stored bytes, requests in a minute.

The first two are read in the transaction that would add to them, under the project's lock, so they hold.
Requests are counted by the `limits` package, in this process or in a Redis that several share; whether that
works never decides whether somebody is served.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import structlog
from fastapi.concurrency import run_in_threadpool
from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter

from api.errors import QuotaExceededError
from store import projects, usage
from store.projects import Project
from store.session import Connection
from store.settings import Settings

Name = Literal["open_jobs", "stored_bytes", "requests_per_minute"]

_RETRY_SECONDS: Final[dict[Name, int]] = {"open_jobs": 10, "stored_bytes": 60}
"""Jobs end and files are deleted at nobody knows what time; it is worth while to ask again after so long."""
_WARN_SECONDS: Final = 10.0
"""Between two warnings that requests cannot be counted."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """A minute in which something is counted."""

    is_open: bool
    """Whether this one was still within the limit."""
    remaining: int
    reset_seconds: int


class Counted:
    """Counts by the minute, wherever the settings say."""

    def __init__(self, url: str) -> None:
        options = {} if url.startswith("memory:") else {"socket_timeout": 1, "socket_connect_timeout": 1}
        # A socket's address as Celery writes it, so that the broker may be named here too.
        place = url.replace("redis+socket:", "redis+unix:", 1)
        self._storage = storage_from_string(place, wrap_exceptions=True, **options)
        self._limiter = FixedWindowRateLimiter(self._storage)
        self._is_quick = url.startswith("memory:")
        self._warned_at = -math.inf

    async def hit(self, amount: int, *who: str) -> Window | None:
        """Count one; None where counting does not work now, which is nobody's fault who calls."""
        try:
            if self._is_quick:
                return self._hit(amount, who)
            return await run_in_threadpool(self._hit, amount, who)
        except StorageError as error:
            if time.monotonic() - self._warned_at > _WARN_SECONDS:
                self._warned_at = time.monotonic()
                log.warning("requests cannot be counted now", reason=str(error)[:200])
            return None

    def _hit(self, amount: int, who: tuple[str, ...]) -> Window:
        item = RateLimitItemPerMinute(amount)
        is_open = self._limiter.hit(item, *who)
        stats = self._limiter.get_window_stats(item, *who)
        return Window(is_open, stats.remaining, max(1, math.ceil(stats.reset_time - time.time())))


class Quotas:
    """What each project may have: its own quotas, or those of the settings. 0 is no limit."""

    def __init__(self, settings: Settings, counted: Counted) -> None:
        self._settings = settings
        self._counted = counted

    def of(self, project: Project) -> dict[str, int]:
        """The quotas that hold for a project."""
        settings = self._settings
        chosen = {
            "open_jobs": (project.max_open_jobs, settings.quota_open_jobs),
            "stored_bytes": (project.max_stored_bytes, settings.quota_stored_bytes),
            "requests_per_minute": (project.max_requests_per_minute, settings.quota_requests_per_minute),
        }
        return {name: default if own is None else own for name, (own, default) in chosen.items()}

    async def count_request(self, project_id: str, per_minute: int | None) -> Mapping[str, str]:
        """Count a request; the headers that tell how many more may come, or 429 where none may."""
        limit = self._settings.quota_requests_per_minute if per_minute is None else per_minute
        window = await self._counted.hit(limit, "requests", project_id) if limit else None
        if window is None:
            return {}
        told = {
            "RateLimit-Policy": f'"requests";q={limit};w=60',
            "RateLimit": f'"requests";r={window.remaining};t={window.reset_seconds}',
        }
        if window.is_open:
            return told
        headers = {**told, "Retry-After": str(window.reset_seconds)}
        detail = f"this project may send {limit:,} requests in a minute, and has"
        raise QuotaExceededError(detail, quota="requests_per_minute", limit=limit, headers=headers)

    def make_room_for_job(self, tx: Connection) -> None:
        """Refuse one job more where the project has as many as it may; the count holds until the commit."""
        project = projects.get(tx, projects.current(tx), locked=True)
        limits = self.of(project)
        used = projects.usage_of(tx)
        most = limits["open_jobs"]
        if most and used.open_jobs >= most:
            detail = f"this project may have {most:,} jobs that have not ended, and has"
            raise _exceeded("open_jobs", most, detail)
        if limits["stored_bytes"]:
            _refuse_if_full(limits["stored_bytes"], used.stored_bytes)

    def make_room_for_bytes(self, tx: Connection) -> None:
        """Refuse what this transaction has added where the project would then have more than it may.

        Where it has added nothing yet: refuse whatever it would, once the project has as much as it may.
        """
        added = usage.charged(tx, projects.current(tx)).stored_bytes
        project = projects.get(tx, projects.current(tx), locked=added > 0)
        if limit := self.of(project)["stored_bytes"]:
            _refuse_if_full(limit, projects.usage_of(tx).stored_bytes - added, added)


def _refuse_if_full(limit: int, stored: int, more: int = 0) -> None:
    """What fits to the byte fits; whoever has reached the limit adds nothing."""
    if stored + more > limit or stored == limit:
        detail = f"this project may store {limit:,} bytes, and has {stored:,}"
        raise _exceeded("stored_bytes", limit, f"{detail}; this would add {more:,}" if more else detail)


def _exceeded(name: Name, limit: int, detail: str) -> QuotaExceededError:
    headers = {"Retry-After": str(_RETRY_SECONDS[name])}
    return QuotaExceededError(detail, quota=name, limit=limit, headers=headers)
