"""Keys at the door: throttled, revoked in mid-answer, kept out of logs; loopback, origins, starting."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from api.access import TRUSTED_SECONDS, place_of
from api.app import create_app
from api.deps import Server
from store import keys, logs
from store.errors import DatabaseUnavailable
from store.settings import Settings
from store.tables import DEFAULT_PROJECT
from tests.api import belongings
from tests.api.acting import problem
from tests.api.belongings import Party
from tests.api.conftest import HOME

ALLOWED = 25
"""Wrong keys a minute: all tests that send some share an address, but for the one that is about it."""
WRONG = f"Bearer rl_{'0' * 32}_{'A' * 43}"


@pytest.fixture(scope="module")
def settings(settings: Settings) -> Settings:
    chosen = {
        "auth": "keys",
        "auth_failures_per_minute": ALLOWED,
        "cors_origins": "https://a.example, http://b:3000",
    }
    return settings.model_copy(update=chosen)


@pytest.fixture(scope="module")
def operator(client: TestClient, server: Server) -> Party:
    return belongings.party(client, server, DEFAULT_PROJECT)


def from_place(app: FastAPI, host: str) -> TestClient:
    """A client at this address, of an application that runs already."""
    return TestClient(app, HOME, client=(host, 50_000))


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────────


def test_wrong_keys_are_throttled_and_right_ones_let_in_all_the_same(app: FastAPI, operator: Party) -> None:
    neighbour = from_place(app, "203.0.113.7")
    answers = [neighbour.get("/v1/jobs", headers={"Authorization": WRONG}) for _ in range(ALLOWED + 2)]
    assert [answer.status_code for answer in answers] == [401] * ALLOWED + [429] * 2
    assert problem(answers[-1], 429)["type"].endswith("#too-many-failures")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60
    right = {"Authorization": f"Bearer {operator.keys['read']}"}
    assert neighbour.get("/v1/jobs", headers=right).status_code == 200
    assert neighbour.get("/healthz").status_code == 200
    elsewhere = from_place(app, "203.0.113.8")
    assert elsewhere.get("/v1/jobs", headers={"Authorization": WRONG}).status_code == 401


def test_an_ipv6_network_is_one_place() -> None:
    def place(host: str) -> str:
        return place_of({"client": (host, 1)})

    assert place("2001:db8::1") == place("2001:db8::ffff") != place("2001:db8:0:1::1")
    assert place("192.0.2.1") != place("192.0.2.2")
    assert place_of({"client": None}) == ""


def test_an_unknown_key_is_looked_at_as_long_as_a_wrong_one(server: Server, operator: Party) -> None:
    """The same statements and one comparison, whether the id exists or not: time tells nothing."""
    known = operator.keys["read"]
    stem = known[: len("rl_") + 32]
    told = []
    for sent in (f"{stem}_{'A' * 43}", f"rl_{'0' * 32}_{'A' * 43}"):
        statements: list[str] = []
        with server.database.reading() as tx:
            sa.event.listen(
                tx, "before_cursor_execute", lambda *given, seen=statements: seen.append(given[2])
            )
            assert keys.holder(tx, sent) is None
        told.append(statements)
    assert told[0] == told[1]
    assert sum("SELECT" in statement for statement in told[0]) == 1


# ── revoking ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_revoked_key_is_worthless_within_a_second(client: TestClient, operator: Party) -> None:
    made = operator.made("POST", "/v1/keys", json={"name": "soon gone"})
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert client.get("/v1/jobs", headers=headers).status_code == 200
    assert operator.send("DELETE", f"/v1/keys/{made['id']}").status_code == 204
    revoked_at = time.monotonic()
    while client.get("/v1/jobs", headers=headers).status_code == 200:
        assert time.monotonic() - revoked_at < 1
    assert TRUSTED_SECONDS < 1


@pytest.mark.parametrize(
    ("query", "accept", "status"),
    [("/events", "text/event-stream", 200), ("?wait=30", "application/json", 401)],
)
def test_revoking_a_key_ends_what_is_being_told_to_it(
    client: TestClient, operator: Party, query: str, accept: str, status: int
) -> None:
    made = operator.made("POST", "/v1/keys", json={"name": "watcher"})
    job = operator.made("POST", "/v1/jobs", json={"dataset": "iris"})["id"]
    headers = {"Authorization": f"Bearer {made['key']}", "Accept": accept}
    answers = []
    watching = threading.Thread(
        target=lambda: answers.append(client.get(f"/v1/jobs/{job}{query}", headers=headers))
    )
    watching.start()
    time.sleep(0.3)
    assert watching.is_alive()
    operator.send("DELETE", f"/v1/keys/{made['id']}")
    watching.join(5)
    assert not watching.is_alive()
    assert answers[0].status_code == status


def test_a_database_that_is_away_lets_nobody_in(settings: Settings) -> None:
    away = settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"})
    with TestClient(create_app(away), HOME) as client:
        answer = client.get("/v1/jobs", headers={"Authorization": WRONG})
        assert problem(answer, 503)["type"].endswith("#database-unavailable")
        assert client.get("/v1/jobs").status_code == 401
        assert client.get("/healthz").status_code == 200


# ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_key_is_written_into_a_log_or_an_answer(
    settings: Settings, server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = belongings.party(TestClient(create_app(settings), HOME), server, DEFAULT_PROJECT)
    secret = owner.keys["admin"]

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault in the midst of it all")

    logs.configure("debug")
    with owner.client:
        assert owner.send("GET", "/v1/keys").status_code == 200
        assert owner.send("POST", "/v1/jobs", json={"dataset": "none"}).status_code == 422
        monkeypatch.setattr(keys, "page", broken)
        answers = [owner.send("GET", "/v1/keys"), owner.send("GET", f"/v1/keys/{secret}")]
    written = capsys.readouterr()
    said = written.out + written.err
    assert "a fault in the midst of it all" in said
    assert [answer.status_code for answer in answers] == [500, 404]
    assert secret[36:] not in said + "".join(answer.text for answer in answers)
    assert '"key_id"' in said
    logs.configure("error")


def test_who_used_a_key_is_noted(server: Server, operator: Party) -> None:
    assert operator.made("GET", "/v1/keys", scope="admin")["data"]
    operator.client.portal.call(server.access.note_uses)  # type: ignore[union-attr]
    used = [key for key in operator.made("GET", "/v1/keys")["data"] if key["last_used_at"]]
    assert used


def test_a_body_that_nobody_will_read_closes_the_connection(client: TestClient, operator: Party) -> None:
    refused = client.post("/v1/datasets", files={"file": ("a.csv", "a,b\n1,2\n")})
    assert (refused.status_code, refused.headers["connection"]) == (401, "close")
    forbidden = operator.send("POST", "/v1/datasets", scope="read", files={"file": ("a.csv", "a,b\n1,2\n")})
    assert (forbidden.status_code, forbidden.headers["connection"]) == (403, "close")
    assert "connection" not in client.get("/v1/jobs").headers


# ── other origins ───────────────────────────────────────────────────────────────────────────────────────────

ORIGIN = {"Origin": "https://a.example"}
PREFLIGHT = {
    **ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization",
}


def test_a_page_that_was_named_may_call_and_read(client: TestClient, operator: Party) -> None:
    before = client.options("/v1/jobs", headers=PREFLIGHT)
    assert before.status_code == 200
    assert before.headers["access-control-allow-origin"] == "https://a.example"
    assert "authorization" in before.headers["access-control-allow-headers"].lower()
    answer = operator.send("POST", "/v1/jobs", json={"dataset": "iris"}, headers=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == "https://a.example"
    exposed = {name.strip() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert exposed >= {"Location", "ETag", "Link", "Retry-After", "RateLimit", "X-Request-ID"}
    assert "access-control-allow-credentials" not in answer.headers
    assert "Origin" in answer.headers["vary"]


def test_problems_can_be_read_too(
    client: TestClient, operator: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(keys, "page", broken)
    answers = [
        client.get("/v1/jobs", headers=ORIGIN),
        operator.send("GET", "/v1/jobs/none", headers=ORIGIN),
        operator.send("GET", "/metrics", scope="read", headers=ORIGIN),
        operator.send("GET", "/v1/keys", headers=ORIGIN),
        client.get("/" + "a" * 30_000, headers=ORIGIN),
        client.options("/v1/jobs", headers={**PREFLIGHT, "Access-Control-Request-Method": "BREW"}),
    ]
    assert [answer.status_code for answer in answers] == [401, 404, 403, 500, 414, 400]
    assert {answer.headers["access-control-allow-origin"] for answer in answers} == {"https://a.example"}
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}


@pytest.mark.parametrize("origin", ["https://evil.example", "https://a.example.evil.example", "null", "*"])
def test_other_pages_may_not(client: TestClient, origin: str) -> None:
    for answer in (
        client.get("/healthz", headers={"Origin": origin}),
        client.options("/v1/jobs", headers={**PREFLIGHT, "Origin": origin}),
    ):
        assert "access-control-allow-origin" not in answer.headers
    assert answer.status_code == 401


def test_without_named_origins_there_is_no_such_header(settings: Settings) -> None:
    with TestClient(create_app(settings.model_copy(update={"cors_origins": ""})), HOME) as client:
        answer = client.get("/healthz", headers=ORIGIN)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("origins", ["*", "a.example", "https://a.example/", "https://*.example", "null"])
def test_origins_are_named_in_full(origins: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        Settings(cors_origins=origins)


# ── without keys ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def keyless(settings: Settings) -> Iterator[FastAPI]:
    app = create_app(settings.model_copy(update={"auth": "auto"}))
    with TestClient(app, HOME):
        yield app


@pytest.mark.parametrize(
    ("home", "client", "status"),
    [
        ("http://localhost", "127.0.0.1", 200),
        ("http://[::1]", "::1", 200),
        # The socket was bound by another program than ours, which the settings do not know of.
        ("http://192.0.2.1", "127.0.0.1", 421),
        # A proxy on this machine says whom it asks for.
        ("http://localhost", "192.0.2.1", 421),
    ],
)
def test_without_keys_a_connection_begins_and_ends_on_loopback(
    keyless: FastAPI, home: str, client: str, status: int
) -> None:
    caller = TestClient(keyless, home, client=(client, 50_000))
    assert caller.get("/v1/jobs", headers={"Host": "localhost"}).status_code == status


def test_without_keys_a_socket_in_a_file_is_not_loopback(keyless: FastAPI) -> None:
    async def through_a_file(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        changed = {**scope, "server": ("/run/ridgeline.sock", None)} if scope["type"] == "http" else scope
        await keyless(changed, receive, send)

    assert TestClient(through_a_file, HOME).get("/healthz").status_code == 421


def test_without_keys_everybody_is_the_default_projects_operator(keyless: FastAPI) -> None:
    caller = TestClient(keyless, HOME)
    assert caller.get("/v1/projects/current").json()["id"] == DEFAULT_PROJECT
    assert caller.get("/metrics").status_code == 200
    answer = caller.get("/v1/jobs", headers={"Authorization": WRONG})
    assert (answer.status_code, answer.headers.get("ratelimit")) == (200, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "ridgeline.example"])
def test_no_server_for_others_starts_without_keys(host: str) -> None:
    settings = Settings(auth="off", host=host)
    with pytest.raises(RuntimeError, match="refusing to listen"):
        create_app(settings)
    assert Settings(auth="auto", host=host).asks_for_keys
    assert Settings(auth="off", host="127.0.0.1").refusal is None


@pytest.mark.parametrize("command", ["api", "up --port 0"])
def test_whoever_starts_one_is_told_why_not(command: str, settings: Settings) -> None:
    """`ridgeline api` becomes `python -m api`, which says it."""
    chosen = settings.model_copy(update={"auth": "off", "host": "0.0.0.0"})
    done = subprocess.run(
        [sys.executable, "-m", "cli", *command.split()],
        env={**chosen.environment(), "RIDGELINE_HOST": "0.0.0.0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "refusing to listen on 0.0.0.0 without API keys" in said
    assert "Traceback" not in said


def test_counting_that_does_not_work_keeps_nobody_out(settings: Settings, server: Server) -> None:
    """A Redis that is away neither lets in nor keeps out."""
    app = create_app(settings.model_copy(update={"limits_url": "redis://127.0.0.1:1/0"}))
    owner = belongings.party(TestClient(app, HOME), server, DEFAULT_PROJECT)
    with owner.client:
        answer = owner.send("GET", "/v1/jobs")
        assert (answer.status_code, answer.headers.get("ratelimit")) == (200, None)
        assert owner.client.get("/v1/jobs").status_code == 401


def test_an_outage_in_the_midst_of_a_stream_is_waited_out(
    client: TestClient, server: Server, operator: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = operator.made("POST", "/v1/jobs", json={"dataset": "iris"})["id"]
    asked = []

    async def away_at_first(_: object) -> bool:
        asked.append(len(asked))
        if len(asked) < 3:
            raise DatabaseUnavailable
        return False

    monkeypatch.setattr(type(server.access), "still", lambda _, caller: away_at_first(caller))
    answer = operator.send("GET", f"/v1/jobs/{job}/events", headers={"Accept": "text/event-stream"})
    assert (answer.status_code, len(asked)) == (200, 3)
    assert json.loads(operator.send("GET", f"/v1/jobs/{job}").text)["status"] == "queued"
