"""Names for rows: a prefix that says what it is, and a UUIDv7, so that ids sort by creation."""

from __future__ import annotations

from typing import Literal

from uuid_utils import uuid7

Prefix = Literal["job", "ds", "study", "req", "worker", "key", "project", "webhook", "msg"]
LONGEST = 40


def new(prefix: Prefix) -> str:
    """A fresh id such as `job_0193…`; later ones of a process sort behind earlier ones."""
    return f"{prefix}_{uuid7().hex}"


def possible(text: str) -> bool:
    """Whether this could be the id of anything; what could not be one need not reach the database."""
    return 0 < len(text) <= LONGEST and text.isascii() and text.isprintable()
