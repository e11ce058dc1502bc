"""API keys: what may be asked for, and what is answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field

from api.schemas.shapes import Answer
from models.frozen import Frozen
from models.spec import Text
from store.keys import Key

Scope = Literal["read", "write", "admin"]
LONGEST_SECONDS = 10 * 366 * 24 * 3600


class KeyRequest(Frozen):
    """A key to be made."""

    name: Text
    """What it is for."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)] = Field(default=["write"])
    """`write` implies `read`, `admin` implies both."""
    expires_in_seconds: Annotated[int, Field(ge=1, le=LONGEST_SECONDS)] | None = None
    """How long it is good for; default: until it is revoked."""


class KeyAnswer(Answer):
    """A key, without what is to be sent."""

    id: str
    project_id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To within a minute."""
    links: dict[str, str]

    @classmethod
    def of(cls, key: Key, asking: str) -> Self:
        """The answer for a row, to a caller of the project `asking`."""
        return cls(**_parts(key, asking))


class KeyTold(KeyAnswer):
    """A new key, with what is to be sent."""

    key: str | None
    """`Authorization: Bearer …`. It is told this once and kept nowhere: a repeated answer has null here."""

    @classmethod
    def told(cls, key: Key, asking: str, sent: str | None) -> Self:
        """The answer for a row that was just made."""
        return cls(**_parts(key, asking), key=sent)


def _parts(key: Key, asking: str) -> dict[str, object]:
    shown = {name: getattr(key, name) for name in Key.__dataclass_fields__}
    # An operator finds another project's key by its project alone.
    address = f"/v1/keys/{key.id}"
    asked = "" if key.project_id == asking else f"?project={key.project_id}"
    return {**shown, "links": {"self": address + asked}}
