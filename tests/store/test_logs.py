"""Log lines: JSON, never lost for what somebody's text holds, and without secrets whoever logs them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from store import logs

QUIETED = ("chatty",)


@pytest.fixture(autouse=True)
def _as_loud_as_before() -> Iterator[None]:
    yield
    for name in QUIETED:
        logging.getLogger(name).setLevel(logging.NOTSET)


def last(capfd: pytest.CaptureFixture[str]) -> tuple[str, dict[str, Any]]:
    """The one line that was written, and what it says."""
    (line,) = capfd.readouterr().err.splitlines()
    return line, json.loads(line)


@pytest.mark.parametrize("text", ["plain", "Grüße", "a surrogate \ud800", "a NUL \x00"])
def test_whatever_text_holds_it_is_one_line_of_json(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger("test").warning("told", text=text)
    assert last(capfd)[1]["text"] == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (1.5, 1.5),
        (True, True),
        (None, None),
        (2**70, 2**70),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        ({1: (2, {"a"})}, {"1": [2, ["a"]]}),
        (int, "<class 'int'>"),
        (b"x", "b'x'"),
    ],
)
def test_values_are_written_as_json_has_them(
    value: object, written: object, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure()
    structlog.get_logger("test").info("told", value=value)
    assert last(capfd)[1]["value"] == written


KEY = "rl_0123456789ab_AbC-dEf_0123456789"
SECRETS = {
    "a key": (f"unknown key {KEY}", KEY.removeprefix("rl_0123456789ab_"), "rl_0123456789ab_***"),
    "a header": ("Authorization: Bearer abc.def-ghi", "abc.def-ghi", "Bearer ***"),
    "basic": ("Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "Basic ***"),
    "a webhook's secret": ("whsec_C2FtcGxlc2VjcmV0", "C2FtcGxlc2VjcmV0", "whsec_***"),
    "a database": ("cannot reach postgresql://me:hunter2@db/ridgeline", "hunter2", "postgresql://***@db/"),
    "a broker": ("redis://:hunter2@host:6379/0 is away", "hunter2", "redis://***@host:6379/0"),
    "an unescaped password": ("postgresql://me:hun/ter@2@db/x", "ter@2", "postgresql://***@db/x"),
    "a connection string": ("host=db password=hunter2 dbname=x", "hunter2", "password=*** dbname=x"),
    "a signed address": ("GET https://s3/x?X-Amz-Signature=abcdef&y=1", "abcdef", "Signature=***&y=1"),
    "a repr": ("{'aws_secret_access_key': 'abc/def'}", "abc/def", "'aws_secret_access_key': '***'"),
}


@pytest.mark.parametrize(
    "name",
    [
        *("password", "db_passwd", "Client-Secret", "TOKEN", "x-signature", "credential", "apikey"),
        *("api_key", "api-key"),
    ],
)
def test_a_secret_is_struck_out_by_any_of_its_names(name: str) -> None:
    """Texts without any sign of a secret are passed over at once; none of the names may be missing there."""
    assert logs.without_secrets(f"{name}=hunter2") == f"{name}=***"


@pytest.mark.parametrize(("text", "secret", "left"), SECRETS.values(), ids=SECRETS)
def test_no_secret_reaches_a_line_however_it_is_logged(
    text: str, secret: str, left: str, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure()
    logger = structlog.get_logger("test")

    def raised() -> None:
        try:
            raise RuntimeError(text)
        except RuntimeError as error:
            logger.exception("failed", nested={"deep": [error]})

    for log in (
        lambda: logger.info(text),
        lambda: logger.info("told", text=text),
        lambda: logger.info("told", deep=[{"text": (text,)}]),
        lambda: logging.getLogger("a.library").warning("it says: %s", text),
        raised,
    ):
        log()
        line, _ = last(capfd)
        assert secret not in line
        assert left in line


@pytest.mark.parametrize("name", ["password", "api_key", "authorization", "webhook_secret", "Cookie"])
def test_what_is_called_a_secret_is_one(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    structlog.get_logger("test").info("told", **{name: "anything"})
    assert last(capfd)[1][name] == "***"


@pytest.mark.parametrize(
    "text", ["http://localhost:8000/v1/jobs", "me@example.com", "the secret of success", "job_1 → token"]
)
def test_what_is_none_stays(text: str) -> None:
    assert logs.without_secrets(text) == text


def test_what_is_bound_is_on_every_line(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    with structlog.contextvars.bound_contextvars(request_id="req_1", job_id="job_1"):
        logging.getLogger("a.library").warning("told")
    said = last(capfd)[1]
    assert (said["request_id"], said["job_id"], said["logger"]) == ("req_1", "job_1", "a.library")


def test_those_who_chatter_are_quieted(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure(quieted=QUIETED)
    logging.getLogger("chatty").info("chatter")
    logging.getLogger("chatty").warning("matters")
    assert last(capfd)[1]["event"] == "matters"
