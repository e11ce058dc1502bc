"""Uploading, looking at and deleting datasets; files and forms that are none."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
from typing import Any

import pytest
from starlette.testclient import TestClient

from api.app import create_app
from api.deps import Server
from models.datasets import Table
from store import datasets
from store.errors import FilesFull
from store.settings import Settings
from tests.api.acting import pointers, problem, submit
from tests.api.conftest import HOME

CSV = "colour,age,when,y\n" + "".join(
    f"{('blue', 'red')[row % 3 > 0]},{row % 7 or ''},2026-01-{row % 28 + 1:02d},{('no', 'yes')[row % 2]}\n"
    for row in range(60)
)


def upload(client: TestClient, content: bytes | str, filename: str = "mine.csv", **fields: str) -> Any:
    return client.post("/v1/datasets", files={"file": (filename, content)}, data=fields)


def test_an_upload_is_described_stored_and_found(client: TestClient, server: Server, tmp_path: Any) -> None:
    response = upload(client, CSV, name="people", target="y")
    assert response.status_code == 201
    answer = response.json()
    assert response.headers["location"] == f"/v1/datasets/{answer['id']}" == answer["links"]["self"]
    assert (answer["name"], answer["filename"], answer["bundled"]) == ("people", "mine.csv", False)
    assert answer["sha256"] == hashlib.sha256(CSV.encode()).hexdigest()
    assert (answer["rows"], answer["features"], answer["bytes"]) == (60, 3, len(CSV))
    assert [(column["name"], column["kind"], column["missing"]) for column in answer["columns"]] == [
        ("colour", "categorical", 0),
        ("age", "numeric", 9),
        ("when", "datetime", 0),
    ]
    assert answer["task"] == "classification"
    assert answer["task_reason"]
    assert answer["classes"] == [{"label": "no", "count": 30}, {"label": "yes", "count": 30}]
    assert answer["notes"]
    assert client.get(answer["links"]["self"]).json() == answer

    with server.database.of("default").reading() as tx:
        row = datasets.get(tx, answer["id"])
    table = server.files.fetch(row.table_key, tmp_path / "table.parquet", sha256=row.table_sha256)
    assert Table.load(table).rows == 60


def test_the_first_rows_are_a_look(client: TestClient) -> None:
    answer = upload(client, CSV, target="y").json()
    look = client.get(f"/v1/datasets/{answer['id']}/rows?limit=2").json()
    assert look["columns"] == ["colour", "age", "when", "y"]
    assert look["data"][0]["age"] is None
    assert look["data"][1] == {"colour": "red", "age": 1, "when": look["data"][1]["when"], "y": "yes"}
    assert look["data"][1]["when"].startswith("2026-01-02")
    assert look["total"] == 60
    assert len(client.get(f"/v1/datasets/{answer['id']}/rows").json()["data"]) == 10
    assert pointers(problem(client.get(f"/v1/datasets/{answer['id']}/rows?limit=101"), 422)) == [
        "/query/limit"
    ]


def test_the_same_bytes_and_target_are_the_same_dataset(client: TestClient, server: Server) -> None:
    content = CSV + "red,5,2026-02-02,no\n"
    first, again = upload(client, content), upload(client, content, "other.csv", name="renamed")
    assert (first.status_code, again.status_code) == (201, 200)
    (notice,) = again.json()["notices"]
    assert f"already here as 'mine.csv' ({first.json()['id']}); the name 'renamed' was not taken" in notice
    assert {key: value for key, value in again.json().items() if key != "notices"} == first.json()
    other = upload(client, content, target="colour")
    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]
    stored = {found.key for found in server.files.list("datasets")}
    with server.database.of("default").reading() as tx:
        assert stored == datasets.known(tx, stored)


def test_every_format(client: TestClient) -> None:
    import numpy as np
    import polars as pl

    frame = pl.read_csv(CSV.encode())
    parquet, npz = io.BytesIO(), io.BytesIO()
    frame.write_parquet(parquet)
    np.savez(npz, X=np.random.default_rng(0).normal(size=(30, 2)), y=np.arange(30) % 2)
    files = {
        "a.csv.gz": gzip.compress(CSV.encode()),
        "a.parquet": parquet.getvalue(),
        "a.npz": npz.getvalue(),
    }
    for filename, content in files.items():
        response = upload(client, content, filename)
        assert response.status_code == 201, (filename, response.text)
        assert response.json()["rows"] in (60, 30)


def test_an_uploaded_dataset_takes_jobs_and_then_stays(client: TestClient) -> None:
    dataset = upload(client, CSV + "red,6,2026-02-02,no\n").json()["id"]
    job = submit(client, dataset=dataset)
    assert job["dataset"]["id"] == dataset
    problem(client.delete(f"/v1/datasets/{dataset}"), 409)
    client.post(f"/v1/jobs/{job['id']}/cancel")
    client.delete(f"/v1/jobs/{job['id']}")
    assert client.delete(f"/v1/datasets/{dataset}").status_code == 204
    problem(client.get(f"/v1/datasets/{dataset}"), 404)
    assert pointers(problem(client.post("/v1/jobs", json={"dataset": dataset}), 422)) == ["/dataset"]


def test_deleting_removes_the_file(client: TestClient, server: Server) -> None:
    dataset = upload(client, CSV + "blue,6,2026-02-02,no\n").json()["id"]
    key = datasets.table_key(dataset)
    assert server.files.exists(key)
    client.delete(f"/v1/datasets/{dataset}")
    assert not server.files.exists(key)


@pytest.mark.parametrize(
    ("name", "rows", "features", "task"),
    [
        ("iris", 150, 4, "classification"),
        ("wine", 178, 13, "classification"),
        ("breast_cancer", 569, 30, "classification"),
        ("digits", 1797, 64, "classification"),
        ("diabetes", 442, 10, "regression"),
    ],
)
def test_bundled_datasets_answer_to_their_names(
    client: TestClient, name: str, rows: int, features: int, task: str
) -> None:
    answer = client.get(f"/v1/datasets/{name}").json()
    assert (answer["name"], answer["rows"], answer["features"], answer["task"]) == (
        name,
        rows,
        features,
        task,
    )
    assert answer["bundled"]
    assert client.get(answer["links"]["self"]).json() == answer
    assert len(client.get(f"/v1/datasets/{name}/rows?limit=3").json()["data"]) == 3
    problem(client.delete(f"/v1/datasets/{name}"), 409)
    problem(client.delete(answer["links"]["self"]), 409)


def test_lists_are_paged_and_filtered(client: TestClient) -> None:
    upload(client, CSV + "blue,7,2026-02-02,no\n", name="listed")
    page = client.get("/v1/datasets?limit=2")
    assert page.json()["data"][0]["name"] == "listed"
    assert page.links["next"]["url"].startswith("/v1/datasets?limit=2&cursor=")
    assert len(client.get("/v1/datasets?name=digits").json()["data"]) == 1
    assert pointers(problem(client.get("/v1/datasets?nmae=x"), 422)) == ["/query/nmae"]


NOISE = random.Random(0).randbytes(5000)
BROKEN: list[tuple[str, bytes]] = [
    ("empty.csv", b""),
    ("noise.csv", NOISE),
    ("header.csv", b"a,b,y\n"),
    ("cut.csv.gz", gzip.compress(b"a,y\n" + NOISE.hex("\n").encode())[:500]),
    ("cut.parquet", b"PAR1" + b"\x00" * 100 + b"PAR1"),
    ("lie.npz", b"PK\x03\x04 not really"),
]
"""What `models.datasets` makes of many more is tested there."""


@pytest.mark.parametrize(("filename", "content"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_file_that_is_no_dataset_is_refused(client: TestClient, filename: str, content: bytes) -> None:
    document = problem(upload(client, content, filename), 422)
    assert document["errors"][0]["pointer"].startswith(("/file", "/target"))
    assert client.get("/healthz").status_code == 200


def test_a_bomb_is_not_unpacked(client: TestClient) -> None:
    packed = gzip.compress(b"a,y\n" + b"1," * (40 * 1024**2) + b"2\n")
    assert len(packed) < 200_000
    problem(upload(client, packed, "bomb.csv.gz"), 422)


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"target": "nobody"}, "/target"),
        ({"task": "clustering"}, "/task"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"traget": "y"}, "/traget"),
        ({"task": "regression", "target": "colour"}, "/task"),
    ],
)
def test_a_field_that_is_wrong_is_pointed_at(
    client: TestClient, fields: dict[str, str], pointer: str
) -> None:
    assert pointer in pointers(problem(upload(client, CSV, **fields), 422))


def parts(*named: tuple[str, str]) -> bytes:
    """A multipart body with the boundary `b`."""
    written = "".join(
        f"--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n" for head, body in named
    )
    return (written + "--b--\r\n").encode()


FILE = ('name="file"; filename="a.csv"', CSV)
MULTIPART = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("media_type", "body", "status"),
    [
        (MULTIPART, parts(('name="name"', "nothing")), 422),
        (MULTIPART, parts(FILE, FILE), 422),
        (MULTIPART, parts(FILE, ('name="name"', "a"), ('name="name"', "b")), 422),
        (MULTIPART, parts(FILE, ('name="name"', "x" * 10_000)), 413),
        (MULTIPART, parts(FILE, *[(f'name="n{part}"', "x") for part in range(30)]), 400),
        (MULTIPART, parts(FILE)[:-20], 400),
        (MULTIPART, parts(FILE, ('name="name"', "a\x00b")), 422),
        (MULTIPART, b"", 400),
        (MULTIPART, b"not multipart at all", 400),
        (MULTIPART, b"--b\r\n" + b"x" * 100_000, 400),
        (MULTIPART, b"--b\r\nX: y\r\n\r\nno name\r\n--b--\r\n", 422),
        ("multipart/form-data", parts(FILE), 400),
        ("multipart/form-data; boundary=" + "b" * 500, parts(FILE), 400),
        ("multipart/form-data; boundary=é".encode().decode("latin-1"), parts(FILE), 400),
        ("application/json", b"{}", 415),
        ("text/csv", CSV.encode(), 415),
        ("", CSV.encode(), 415),
    ],
)
def test_a_form_that_is_none_is_refused(
    client: TestClient, media_type: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": media_type.encode("latin-1")} if media_type else {}
    problem(client.post("/v1/datasets", content=body, headers=headers), status)


def test_a_file_part_without_a_name_of_its_own_will_do(client: TestClient) -> None:
    response = client.post(
        "/v1/datasets", content=parts(('name="file"', CSV)), headers={"Content-Type": MULTIPART}
    )
    assert response.status_code in (200, 201)


@pytest.mark.parametrize(
    "filename", ["../../etc/passwd.csv", "C:\\secret\\a.csv", "a" * 1000 + ".csv", "nu\x00l.csv"]
)
def test_a_filename_is_only_a_name(client: TestClient, filename: str) -> None:
    body = parts((f'name="file"; filename="{filename}"', CSV + f"red,{len(filename)},2026-03-03,no\n"))
    response = client.post("/v1/datasets", content=body, headers={"Content-Type": MULTIPART})
    assert response.status_code == 201, response.text
    kept = response.json()["filename"]
    assert len(kept) <= 200
    assert not set("/\\\x00") & set(kept)


@pytest.fixture
def narrow(settings: Settings) -> Any:
    """A client of a server that takes little."""
    few = settings.model_copy(update={"max_upload_bytes": 100_000, "max_rows": 100, "max_body_bytes": 1000})
    with TestClient(create_app(few), HOME) as client:
        yield client


def test_a_file_that_is_too_large_is_refused(narrow: TestClient) -> None:
    problem(upload(narrow, b"a,y\n" + b"1,2\n" * 30_000), 413)


def test_a_body_that_says_it_is_too_large_is_not_read(narrow: TestClient) -> None:
    headers = {"Content-Type": MULTIPART, "Content-Length": str(10**12)}
    problem(narrow.post("/v1/datasets", content=b"--b", headers=headers), 413)


def test_a_body_that_does_not_say_how_large_it_is_is_counted(narrow: TestClient) -> None:
    pieces = (b" " * 500 for _ in range(10))
    headers = {"Content-Type": "application/json"}
    problem(narrow.post("/v1/jobs", content=pieces, headers=headers), 413)


def test_the_limits_reach_the_process_that_reads(narrow: TestClient) -> None:
    document = problem(upload(narrow, b"a,y\n" + b"1,2\n" * 5_000), 422)
    assert "100" in document["detail"]


@pytest.mark.usefixtures("real_children")
def test_a_process_that_dies_over_a_file_takes_nothing_with_it(settings: Settings) -> None:
    starved = settings.model_copy(update={"describe_bytes": 50 * 1024**2})
    with TestClient(create_app(starved), HOME) as client:
        document = problem(upload(client, CSV), 422)
        assert document["errors"][0]["pointer"] == "/file"
        assert client.get("/healthz").status_code == 200


def test_a_full_disk_is_said_before_the_body_is_read(settings: Settings) -> None:
    full = settings.model_copy(update={"reserve_bytes": 2**60})
    with TestClient(create_app(full), HOME) as client:
        response = upload(client, CSV)
        problem(response, 507)
        assert response.headers["retry-after"]
    assert list((settings.data_dir / "uploads").iterdir()) == []


def test_uploads_leave_nothing_behind(client: TestClient, settings: Settings) -> None:
    upload(client, CSV)
    upload(client, b"")
    assert list((settings.data_dir / "uploads").iterdir()) == []


def test_storing_on_a_full_disk_is_a_507(
    client: TestClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise FilesFull

    monkeypatch.setattr(type(server.files), "put", full)
    problem(upload(client, CSV + "red,11,2026-02-02,no\n"), 507)
