"""Bring a database's schema up to date: `python -m store.migrate`, or `upgrade(database)` from a program.

There is no way back: to return to an older version, restore the backup taken before the upgrade.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from store.errors import SchemaOutdated
from store.session import Connection, Database
from store.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

# Any number will do, as long as every upgrade of Ridgeline asks for the same.
_LOCK = 7_249_318_845


def upgrade(database: Database, revision: str = "head") -> None:
    """Upgrade to the newest schema or to a revision, in one transaction; several at once wait in line."""
    if revision == "head" and _is_newest(database):
        return
    # Ten megabytes, which a server that finds nothing to upgrade does without.
    from alembic import command
    from alembic.util import CommandError

    # An index over a million jobs takes a while, and so may whoever is at it already.
    with database.patient().writing() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        try:
            command.upgrade(_config(tx), revision)
        except CommandError as error:
            raise SchemaOutdated(f"the database belongs to another version of Ridgeline: {error}") from error


def check(database: Database) -> None:
    """Raise `SchemaOutdated` unless the schema is the newest."""
    if not _is_newest(database):
        raise SchemaOutdated


def _is_newest(database: Database) -> bool:
    with database.reading() as tx:
        return revision_of(tx) == newest()


@cache
def newest() -> str:
    """The newest revision there is: migrations are called by their number, `0002_what_it_does.py`."""
    versions = Path(__file__).parent / "migrations" / "versions"
    return max(path.name[:4] for path in versions.glob("[0-9]*.py"))


_REVISIONS = sa.table("alembic_version", sa.column("version_num"))


def revision_of(tx: Connection) -> str | None:
    """The revision of the schema that is there; None for an empty database."""
    if not sa.inspect(tx).has_table(_REVISIONS.name):
        return None
    revision: str | None = tx.execute(sa.select(_REVISIONS.c.version_num)).scalar()
    return revision


def _config(tx: Connection) -> Config:
    """Alembic's settings, without a file; the scripts are found in the package, installed or not."""
    from alembic.config import Config

    config = Config(attributes={"connection": tx})
    config.set_main_option("script_location", "store:migrations")
    config.set_main_option("path_separator", "os")
    return config


def main() -> None:
    """`python -m store.migrate`: upgrade the database that the settings name."""
    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with Database(settings.database) as database:
        upgrade(database)
        sys.stdout.write(f"{database.url.render_as_string(hide_password=True)} is up to date\n")


if __name__ == "__main__":
    main()
