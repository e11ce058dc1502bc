"""API keys: made, checked, listed, revoked; and `python -m store.keys`, which makes the first one.

A key reads `rl_<id>_<secret>`. Of its secret, 32 random bytes, only a SHA-256 is kept: what has so much
chance in it needs no slow hash. Who may do what with a scope is not known here.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import re
import secrets
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
import sqlalchemy as sa

from store import ids, migrate, projects
from store.columns import now
from store.errors import NotFound, StoreError
from store.pages import Page, Sort, paged, to_page
from store.projects import current, only
from store.session import Connection, Database
from store.settings import Settings
from store.tables import DEFAULT_PROJECT, keys
from store.tables import projects as projects_table

SCOPES: Final = ("read", "write", "admin")
"""Each implies those before it."""

_SHAPE = re.compile(r"rl_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII)
_NOBODYS = hashlib.sha256(b"").hexdigest()
"""What an unknown key's secret is compared with, so that it takes no less time than a wrong one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it may be shown: without its secret."""

    id: str
    project_id: str
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Holder:
    """Whom a valid key stands for."""

    key_id: str
    project_id: str
    scopes: frozenset[str]
    """With those that they imply."""
    requests_per_minute: int | None
    """The project's own quota, if it has one; it is asked for with every request."""


_SHOWN = [keys.c[name] for name in Key.__dataclass_fields__]


def with_implied(scopes: Collection[str]) -> frozenset[str]:
    """`write` → read and write; a scope that is not known implies nothing and counts for nothing."""
    ranks = [SCOPES.index(scope) for scope in scopes if scope in SCOPES]
    return frozenset(SCOPES[: max(ranks) + 1] if ranks else ())


def add(
    tx: Connection, *, name: str, scopes: Collection[str], expires_at: datetime | None = None
) -> tuple[Key, str]:
    """A new key of this transaction's project, and what is to be sent: told here, once, and kept nowhere."""
    key_id, secret = ids.new("key"), secrets.token_urlsafe(32)
    values = {
        "id": key_id,
        "project_id": current(tx),
        "name": name,
        "scopes": [scope for scope in SCOPES if scope in scopes],
        "sha256": _digest(secret),
        "expires_at": expires_at,
    }
    tx.execute(keys.insert().values(values))
    return get(tx, key_id), f"rl_{key_id.removeprefix('key_')}_{secret}"


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def holder(tx: Connection, sent: str) -> Holder | None:
    """Whom this key stands for; None for one that is malformed, unknown, expired or revoked.

    The transaction belongs to no project yet: this is how it is found out.
    """
    match = _SHAPE.fullmatch(sent)
    if match is None:
        return None
    columns = (keys.c.id, keys.c.project_id, keys.c.scopes, keys.c.sha256)
    quota = projects_table.c.max_requests_per_minute
    joined = sa.select(*columns, quota, _is_valid().label("valid")).join(projects_table)
    row = tx.execute(joined.where(keys.c.id == f"key_{match[1]}")).one_or_none()
    is_right = hmac.compare_digest(_digest(match[2]), row.sha256 if row else _NOBODYS)
    if row is None or not is_right or not row.valid:
        return None
    return Holder(row.id, row.project_id, with_implied(row.scopes), row.max_requests_per_minute)


def is_valid(tx: Connection, key_id: str) -> bool:
    """Whether a key that was valid still is: asked again and again while a stream is open."""
    return tx.execute(sa.select(keys.c.id).where(keys.c.id == key_id, _is_valid())).one_or_none() is not None


def _is_valid() -> sa.ColumnElement[bool]:
    unexpired = sa.or_(keys.c.expires_at.is_(None), keys.c.expires_at > now())
    return sa.and_(keys.c.revoked_at.is_(None), unexpired)


def get(tx: Connection, key_id: str) -> Key:
    """A key by its id; `NotFound` where this project has none such."""
    chosen = sa.select(*_SHOWN).where(keys.c.id == key_id, only(tx, keys))
    row = tx.execute(chosen).one_or_none() if ids.possible(key_id) else None
    if row is None:
        raise NotFound("key", key_id)
    return Key(**row._mapping)


def page(
    tx: Connection, *, sort: Sort = "-created_at", cursor: str | None = None, limit: int = 50
) -> Page[Key]:
    """One page of a project's keys, revoked and expired ones too."""
    mine = sa.select(*_SHOWN).where(only(tx, keys))
    rows = tx.execute(paged(mine, keys.c.created_at, keys.c.id, sort=sort, cursor=cursor, limit=limit))
    return to_page([Key(**row._mapping) for row in rows], limit, lambda key: (key.created_at, key.id))


def revoke(tx: Connection, key_id: str) -> Key:
    """Make a key worthless for good; one that is revoked already stays as it is."""
    found = get(tx, key_id)
    unrevoked = (keys.c.id == found.id, only(tx, keys), keys.c.revoked_at.is_(None))
    tx.execute(keys.update().where(*unrevoked).values(revoked_at=now()))
    return get(tx, key_id)


def used(tx: Connection, key_ids: Collection[str]) -> None:
    """Note that these keys have been used."""
    tx.execute(keys.update().where(keys.c.id.in_(list(key_ids))).values(last_used_at=now()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a key by writing to the database: who can do that needs no key to be allowed to."""
    parser = argparse.ArgumentParser(prog="python -m store.keys", description="Make an API key.")
    parser.add_argument("name", help="what it is for")
    parser.add_argument("--scope", action="append", choices=SCOPES, help="may be repeated; default: admin")
    parser.add_argument("--project", default=DEFAULT_PROJECT, help="whose key; default: default")
    chosen = parser.parse_args(arguments)
    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with Database(settings.database) as database:
        try:
            key, secret = _first(database, chosen.project, chosen.name, chosen.scope or ["admin"])
        except StoreError as error:
            sys.exit(str(error))
    shown = {name: getattr(key, name) for name in Key.__dataclass_fields__}
    sys.stdout.write(orjson.dumps({**shown, "key": secret}).decode() + "\n")


def _first(database: Database, project_id: str, name: str, scopes: Collection[str]) -> tuple[Key, str]:
    migrate.upgrade(database)
    with database.of(project_id).writing() as tx:
        projects.get(tx, project_id)
        return add(tx, name=name, scopes=scopes)


if __name__ == "__main__":
    main()
