"""Keys and projects in the store: what is kept of a secret, who holds a valid key, what a project has."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from store import datasets, keys, projects, usage
from store.errors import NoProject, NotFound, ProjectExists
from store.session import Database
from store.tables import DEFAULT_PROJECT, metadata
from tests.store import examples

SOON = timedelta(seconds=60)


def test_of_a_secret_only_a_digest_is_kept(database: Database) -> None:
    with database.writing() as tx:
        key, sent = keys.add(tx, name="mine", scopes=["write"])
        secret = sent[36:]
        everything = [str(tx.execute(sa.select(table)).all()) for table in metadata.sorted_tables]
    assert sent == f"rl_{key.id.removeprefix('key_')}_{secret}"
    assert len(secret) == 43
    assert not [rows for rows in everything if secret in rows]
    assert [rows for rows in everything if hashlib.sha256(secret.encode()).hexdigest() in rows]


def test_a_valid_key_says_whose_it_is(database: Database) -> None:
    with database.writing() as tx:
        key, sent = keys.add(tx, name="mine", scopes=["write"], expires_at=datetime.now(UTC) + SOON)
    unbound = database.of(None)  # type: ignore[arg-type] # as those have it who do not know yet
    with unbound.reading() as tx:
        holder = keys.holder(tx, sent)
        assert holder is not None
        assert (holder.key_id, holder.project_id) == (key.id, DEFAULT_PROJECT)
        assert holder.scopes == {"read", "write"}
        assert keys.is_valid(tx, key.id)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sent: sent[:-1],
        lambda sent: sent + "A",
        lambda sent: sent.upper(),
        lambda sent: sent[:36] + sent[36:].swapcase(),
        lambda sent: "rl_" + "0" * 32 + sent[35:],
        lambda sent: sent.replace("rl_", "xx_"),
        lambda sent: sent + "\n",
        lambda sent: f" {sent}",
        lambda sent: sent[36:],
        lambda _: "",
        lambda _: "rl_\x00",
    ],
)
def test_a_key_that_is_not_quite_right_is_nobodys(database: Database, spoil: object) -> None:
    with database.writing() as tx:
        _, sent = keys.add(tx, name="mine", scopes=["admin"])
        assert keys.holder(tx, spoil(sent)) is None  # type: ignore[operator]


def test_an_expired_or_revoked_key_is_nobodys(database: Database) -> None:
    with database.writing() as tx:
        expired, sent = keys.add(tx, name="old", scopes=["read"], expires_at=datetime.now(UTC) - SOON)
        assert (keys.holder(tx, sent), keys.is_valid(tx, expired.id)) == (None, False)
        key, sent = keys.add(tx, name="gone", scopes=["read"])
        revoked = keys.revoke(tx, key.id)
        assert revoked.revoked_at is not None
        assert (keys.holder(tx, sent), keys.is_valid(tx, key.id)) == (None, False)
        assert keys.revoke(tx, key.id) == revoked


@pytest.mark.parametrize(
    ("scopes", "implied"),
    [
        (["read"], {"read"}),
        (["write"], {"read", "write"}),
        (["admin"], {"read", "write", "admin"}),
        (["read", "admin"], {"read", "write", "admin"}),
        ([], set()),
        (["sudo"], set()),
    ],
)
def test_a_scope_implies_the_lesser_ones(scopes: list[str], implied: set[str]) -> None:
    assert keys.with_implied(scopes) == implied


def test_keys_are_their_projects(database: Database) -> None:
    with database.writing() as tx:
        other = projects.add(tx, name="other", quotas={"max_requests_per_minute": 7}).id
    with database.of(other).writing() as tx:
        key, sent = keys.add(tx, name="theirs", scopes=["read"])
        holder = keys.holder(tx, sent)
        assert holder is not None
        assert (holder.project_id, holder.requests_per_minute) == (other, 7)
        assert [each.id for each in keys.page(tx).rows] == [key.id]
    with database.writing() as tx:
        assert keys.page(tx).rows == []
        for act in (keys.get, keys.revoke):
            with pytest.raises(NotFound):
                act(tx, key.id)
        assert keys.is_valid(tx, key.id)
        keys.used(tx, [key.id])
    with database.of(other).reading() as tx:
        assert keys.get(tx, key.id).last_used_at is not None


def test_without_a_project_nothing_is_made_or_shown(database: Database) -> None:
    with database.of(None).writing() as tx:  # type: ignore[arg-type]
        for act in (
            lambda: keys.add(tx, name="nobody's", scopes=["admin"]),
            lambda: keys.page(tx),
            lambda: keys.get(tx, "key_1"),
            lambda: keys.revoke(tx, "key_1"),
            lambda: projects.usage_of(tx),
        ):
            with pytest.raises(NoProject):
                act()


# ── projects ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_name_is_one_projects(database: Database) -> None:
    with database.writing() as tx:
        made = projects.add(tx, name="risk", quotas={"max_open_jobs": 5})
        assert (made.max_open_jobs, made.max_stored_bytes) == (5, None)
    with pytest.raises(ProjectExists), database.writing() as tx:
        projects.add(tx, name="risk", quotas={})
    with pytest.raises(ProjectExists), database.writing() as tx:
        projects.change(tx, made.id, name=DEFAULT_PROJECT, quotas={})
    with database.writing() as tx:
        changed = projects.change(
            tx, made.id, name="risk", quotas={"max_open_jobs": None, "max_stored_bytes": 0}
        )
        assert (changed.name, changed.max_open_jobs, changed.max_stored_bytes) == ("risk", None, 0)
        with pytest.raises(NotFound):
            projects.change(tx, "project_none", quotas={})


def test_a_page_of_projects_is_all_or_the_one_that_may_be_seen(database: Database) -> None:
    with database.writing() as tx:
        made = [projects.add(tx, name=f"project {number}", quotas={}).id for number in range(3)]
        first = projects.page(tx, limit=2)
        rest = projects.page(tx, cursor=first.next)
        assert {each.id for each in (*first.rows, *rest.rows)} == {*made, DEFAULT_PROJECT}
        assert [each.id for each in projects.page(tx, among=made[1]).rows] == [made[1]]


def test_what_a_project_uses_is_its_own(database: Database) -> None:
    with database.writing() as tx:
        other = projects.add(tx, name="other", quotas={}).id
    examples.add_job(database)
    with database.reading() as tx:
        used = projects.usage_of(tx)
    assert used.open_jobs == 1
    assert used.stored_bytes > 0
    with database.of(other).reading() as tx:
        assert projects.usage_of(tx) == usage.NOTHING


def test_bundled_datasets_are_shared_and_charged_to_nobody(database: Database) -> None:
    with database.writing() as tx:
        other = projects.add(tx, name="other", quotas={}).id
        bundled = examples.add_dataset(tx, name="iris", bundled=True)
        examples.add_dataset(tx, sha256="b" * 64, name="mine")
    with database.of(other).writing() as tx:
        for _ in range(2):
            datasets.share_bundled(tx, ["iris", "mine"])
        [shared] = datasets.page(tx).rows
        assert (shared.table_key, shared.sha256) == (bundled.table_key, bundled.sha256)
        assert shared.id != bundled.id
        assert shared.bundled
        assert projects.usage_of(tx) == usage.NOTHING


# ── python -m store.keys ────────────────────────────────────────────────────────────────────────────────────


def test_the_first_key_is_made_without_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where there is no database yet."""
    monkeypatch.setenv("RIDGELINE_DATA_DIR", str(tmp_path / "new folder"))
    monkeypatch.delenv("RIDGELINE_DATABASE_URL", raising=False)
    done = subprocess.run([sys.executable, "-m", "store.keys", "first"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    with (
        Database(f"sqlite:///{tmp_path / 'new folder' / 'ridgeline.db'}") as database,
        database.reading() as tx,
    ):
        holder = keys.holder(tx, told["key"])
    assert holder is not None
    assert (holder.key_id, holder.project_id) == (told["id"], DEFAULT_PROJECT)
    assert "admin" in holder.scopes
    with pytest.raises(SystemExit, match="there is no project 'project_none'"):
        keys.main(["second", "--project", "project_none"])
    assert capsys.readouterr().out == ""
