"""Who calls, and what they may do: the one place where keys become callers and requests need scopes.

Everything is denied but what `needed` lets through. It goes by method and path, before any routing, so a
route cannot be forgotten, and what there is cannot be found out without a key. What a caller then sees is
narrowed by `caller.database`, which carries the caller's project into every query.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import structlog
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import errors
from api.problems import Report, respond
from api.quotas import Counted, Quotas
from store import keys
from store.errors import NotFound, StoreError
from store.keys import Holder
from store.session import Database
from store.settings import Settings
from store.tables import DEFAULT_PROJECT

Need = Literal["nothing", "read", "write", "admin", "operator"]

_OPEN: Final = frozenset({"/", "/healthz", "/readyz", "/docs", "/v1/openapi.json"})
_OPEN_BELOW: Final = ("/docs/", "/dashboard/")
_OPERATORS: Final = ("/metrics",)
_ADMINS: Final = ("/v1/keys", "/v1/projects", "/v1/webhooks")
_READS: Final = frozenset({("POST", "/v1/jobs/validate"), ("GET", "/v1/projects/current")})
"""What only reads, although its method or its place says otherwise."""
PREDICT: Final = re.compile(r"/v1/jobs/[^/]+/predict")
"""The same with a job's id in its path; to be matched from end to end, newlines included."""

TRUSTED_SECONDS: Final = 0.5
"""A key that was valid so long ago is taken for valid: revoking one works within a second."""
_MOST_TRUSTED: Final = 10_000
NOTED_SECONDS: Final = 60.0
"""How often it is written down which keys have been used."""
PASSED_OVER_BYTES: Final = 64 * 1024
PASSED_OVER_SECONDS: Final = 1.0
"""Of a body whose sender is refused: what is let arrive, and how long."""

log = structlog.get_logger(__name__)


def needed(method: str, path: str) -> Need:
    """What a request needs. What opens a door must fit exactly; what closes one fits whatever begins so."""
    method = "GET" if method == "HEAD" else method
    if path in _OPEN or path.startswith(_OPEN_BELOW):
        return "nothing"
    if (method, path) in _READS or (method == "POST" and PREDICT.fullmatch(path)):
        return "read"
    if path.startswith(_OPERATORS):
        return "operator"
    if path.startswith(_ADMINS):
        return "admin"
    return "read" if method in ("GET", "OPTIONS") else "write"


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sent a request, and the database as they may see it."""

    project_id: str
    key_id: str | None
    """None where the server asks for no keys."""
    scopes: frozenset[str]
    database: Database

    @property
    def is_operator(self) -> bool:
        """Whether they run the service: an admin of the default project may see to all the others."""
        return self.project_id == DEFAULT_PROJECT and "admin" in self.scopes

    def may(self, need: Need) -> bool:
        """Whether what a request needs is what they have."""
        return need == "nothing" or (self.is_operator if need == "operator" else need in self.scopes)

    def require_operator(self) -> None:
        """Refuse whoever only sees to their own project."""
        if not self.is_operator:
            raise _forbidden(self, "operator", {})

    def database_of(self, project_id: str | None) -> Database:
        """The database as a project sees it: their own, or for operators any."""
        if project_id is None or project_id == self.project_id:
            return self.database
        if not self.is_operator:
            raise NotFound("project", project_id)
        return self.database.of(project_id)


class Access:
    """Tells callers by their keys."""

    def __init__(self, settings: Settings, database: Database, counted: Counted) -> None:
        self._settings = settings
        self._database = database
        self._counted = counted
        self._trusted: dict[bytes, tuple[float, Holder]] = {}
        self._valid_at: dict[str, float] = {}
        self._used: set[str] = set()

    async def caller(self, scope: Scope) -> tuple[Caller, int | None]:
        """Who sent this, and how many requests their project may send a minute if it has its own quota."""
        if not self._settings.asks_for_keys:
            everything = keys.with_implied(["admin"])
            return Caller(DEFAULT_PROJECT, None, everything, self._database.of(DEFAULT_PROJECT)), 0
        holder = await self._holder(_sent_key(scope))
        if holder is None:
            raise await self._refusal(scope)
        self._used.add(holder.key_id)
        bound = self._database.of(holder.project_id)
        caller = Caller(holder.project_id, holder.key_id, holder.scopes, bound)
        return caller, holder.requests_per_minute

    async def still(self, caller: Caller) -> bool:
        """Whether a caller whom an answer is still being told would be let in again."""
        if caller.key_id is None or self._valid_at.get(caller.key_id, 0.0) > time.monotonic():
            return True
        if not await run_in_threadpool(self._is_valid, caller.key_id):
            return False
        self._valid_at[caller.key_id] = time.monotonic() + TRUSTED_SECONDS
        return True

    def _is_valid(self, key_id: str) -> bool:
        with self._database.reading() as tx:
            return keys.is_valid(tx, key_id)

    async def _holder(self, sent: str | None) -> Holder | None:
        if sent is None:
            return None
        # The key itself stays nowhere in memory for longer than its request.
        digest = hashlib.sha256(sent.encode("latin-1", "replace")).digest()
        until, holder = self._trusted.get(digest, (0.0, None))
        if holder is not None and until > time.monotonic():
            return holder
        holder = await run_in_threadpool(self._looked_up, sent)
        if holder is not None:
            self._trust(digest, holder)
        return holder

    def _looked_up(self, sent: str) -> Holder | None:
        with self._database.reading() as tx:
            return keys.holder(tx, sent)

    def _trust(self, digest: bytes, holder: Holder) -> None:
        for memory in (self._trusted, self._valid_at):
            if len(memory) >= _MOST_TRUSTED:
                memory.clear()
        self._trusted[digest] = (time.monotonic() + TRUSTED_SECONDS, holder)

    async def _refusal(self, scope: Scope) -> errors.WebError:
        """401; or 429, where too many wrong keys came from one place. A right one is let in all the same:

        whoever shares an address with somebody who guesses is not locked out, and 32 random bytes are not
        guessed. What is throttled is the noise.
        """
        allowed = self._settings.auth_failures_per_minute
        window = await self._counted.hit(allowed, "failures", place_of(scope))
        if window is None or window.is_open:
            return errors.UnauthorizedError()
        detail = "send a valid API key, which is let in at any time, or wait"
        return errors.TooManyFailuresError(detail, headers={"Retry-After": str(window.reset_seconds)})

    async def note_uses(self) -> None:
        """Write down which keys have been used since the last time."""
        used, self._used = self._used, set()
        if used:
            with contextlib.suppress(StoreError):
                await run_in_threadpool(self._note, used)

    def _note(self, used: set[str]) -> None:
        with self._database.writing() as tx:
            keys.used(tx, used)

    async def keep_noting(self) -> None:
        """Note uses again and again, until cancelled."""
        while True:
            await asyncio.sleep(NOTED_SECONDS)
            await self.note_uses()


def _sent_key(scope: Scope) -> str | None:
    """The key of the Authorization header; None where there is none, or more than one."""
    sent = Headers(scope=scope).getlist("authorization")
    kind, _, key = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
    return key.strip() if kind.lower() == "bearer" else None


def place_of(scope: Scope) -> str:
    """Where a request comes from: an IPv4 address, or the network of an IPv6 one, which has countless."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:100]
    return host if address.version == 4 else str(ipaddress.ip_network(f"{address}/64", strict=False))


class Guard:
    """Lets a request through to the routes if its caller may send it."""

    def __init__(self, app: ASGIApp, access: Access, quotas: Quotas) -> None:
        self.app = app
        self._access = access
        self._quotas = quotas

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        need = needed(scope["method"], _path(scope)) if scope["type"] == "http" else "nothing"
        if need == "nothing":
            await self.app(scope, receive, send)
            return
        try:
            told = await self._let_in(scope, need)
        except (errors.WebError, StoreError) as error:
            await _let_arrive(scope, receive)
            await respond(_said(error, scope), scope)(scope, receive, send)
            return
        await self.app(scope, receive, _telling(send, told))

    async def _let_in(self, scope: Scope, need: Need) -> Mapping[str, str]:
        """Put the caller into the request's state; the headers that tell of the quota."""
        caller, per_minute = await self._access.caller(scope)
        structlog.contextvars.bind_contextvars(project_id=caller.project_id, key_id=caller.key_id)
        told = await self._quotas.count_request(caller.project_id, per_minute)
        if not caller.may(need):
            raise _forbidden(caller, need, told)
        scope.setdefault("state", {})["caller"] = caller
        return told


def _path(scope: Scope) -> str:
    """The path as the routes see it, without what the application is mounted under."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "").rstrip("/"))


def _forbidden(caller: Caller, need: Need, told: Mapping[str, str]) -> errors.ForbiddenError:
    has = ", ".join(scope for scope in keys.SCOPES if scope in caller.scopes) or "none"
    if need == "operator":
        detail = "only an admin key of the default project may do this"
    else:
        detail = f"this needs a key with the scope {need}, and yours has {has}"
    challenge = f'Bearer error="insufficient_scope", scope="{"admin" if need == "operator" else need}"'
    return errors.ForbiddenError(detail, headers={**told, "WWW-Authenticate": challenge})


def _said(error: Exception, scope: Scope) -> Report:
    """The report; and where a body is still to come, that nobody here will read it."""
    report = errors.report(error)
    sent = Headers(scope=scope)
    if sent.get("content-length", "0") == "0" and "transfer-encoding" not in sent:
        return report
    return report.with_headers({"Connection": "close"})


async def _let_arrive(scope: Scope, receive: Receive) -> None:
    """Pass over a body that is on its way, if it is small: closing on it may cost its sender the answer.

    What arrives at a closed connection is answered with a reset, which throws away what was sent before
    (RFC 9112, 9.6). Who asks before sending (`Expect: 100-continue`) is told no without it.
    """
    if "expect" in Headers(scope=scope):
        return
    passed_over, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PASSED_OVER_SECONDS):
            while more and passed_over < PASSED_OVER_BYTES:
                message = await receive()
                passed_over += len(message.get("body", b""))
                more = message.get("more_body", False)


def _telling(send: Send, told: Mapping[str, str]) -> Send:
    """A `send` that adds headers to the answer."""
    if not told:
        return send

    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(told)
        await send(message)

    return telling
