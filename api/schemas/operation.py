"""What the service says of itself."""

from __future__ import annotations

from typing import Literal

from api.schemas.shapes import Answer


class Health(Answer):
    """The process is up."""

    status: Literal["ok"] = "ok"
    version: str


class Check(Answer):
    """One thing that the service needs."""

    ok: bool
    detail: str | None = None


class Readiness(Answer):
    """Whether jobs can be taken and will be worked off."""

    status: Literal["ready", "not_ready"]
    database: Check
    broker: Check
    worker: Check
