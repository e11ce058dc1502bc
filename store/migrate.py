"""Bring a database's schema up to date: `python -m store.migrate`, or `upgrade(database)` from a program.

There is no way back: to return to an older version, restore the backup taken before the upgrade.
"""

from __future__ import annotations

import sys

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from store.errors import SchemaOutdated
from store.session import Connection, Database
from store.settings import Settings

# Any number will do, as long as every upgrade of Ridgeline asks for the same.
_LOCK = 7_249_318_845


def upgrade(database: Database, revision: str = "head") -> None:
    """Upgrade to the newest schema or to a revision, in one transaction; several at once wait in line."""
    with database.writing() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        try:
            command.upgrade(_config(tx), revision)
        except CommandError as error:
            raise SchemaOutdated(f"the database belongs to another version of Ridgeline: {error}") from error


def check(database: Database) -> None:
    """Raise `SchemaOutdated` unless the schema is the newest."""
    with database.reading() as tx:
        found = revision_of(tx)
        newest = ScriptDirectory.from_config(_config(tx)).get_current_head()
    if found != newest:
        raise SchemaOutdated


def revision_of(tx: Connection) -> str | None:
    """The revision of the schema that is there; None for an empty database."""
    return MigrationContext.configure(tx).get_current_revision()


def _config(tx: Connection) -> Config:
    """Alembic's settings, without a file; the scripts are found in the package, installed or not."""
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
