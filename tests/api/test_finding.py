"""Finding the best: sorted lists, names instead of ids, and names, labels and notes that change."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from api.deps import Server
from store import usage
from tests.api.acting import RESULT, Worker, pointers, problem, submit


def upload(client: TestClient, text: str, **fields: str) -> httpx2.Response:
    return client.post("/v1/datasets", files={"file": ("some.csv", text.encode())}, data=fields)


def rows(seed: int, number: int = 40) -> str:
    """A small CSV; another seed gives other bytes."""
    lines = [f"{n},{(n * seed) % 7},{'ab'[n % 2]}" for n in range(number)]
    return "\n".join(["x,z,kind", *lines])


# ── the order of a list ─────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def scored(client: TestClient, worker: Worker) -> dict[str, str]:
    """Jobs by the loss that they came to; one has none yet."""
    found = {}
    for loss in (0.3, 0.1, 0.2):
        job = submit(client, name=f"loss {loss}", metadata={"set": "scored"})["id"]
        measured = {"loss": loss, "accuracy": 1 - loss}
        result = {**RESULT, "validation": measured, "test": measured, "generalization_gap": loss / 2}
        worker.succeed(worker.begin(job), result)
        found[str(loss)] = job
    found["none"] = submit(client, name="none", metadata={"set": "scored"})["id"]
    return found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("val_loss", ["0.1", "0.2", "0.3", "none"]),
        ("-val_loss", ["0.3", "0.2", "0.1", "none"]),
        ("-val_accuracy", ["0.1", "0.2", "0.3", "none"]),
        ("gap", ["0.1", "0.2", "0.3", "none"]),
        ("-name", ["none", "0.3", "0.2", "0.1"]),
        ("-val_f1", ["none", "0.2", "0.1", "0.3"]),
    ],
)
def test_a_list_has_the_order_that_was_asked_for(
    client: TestClient, scored: dict[str, str], sort: str, order: list[str]
) -> None:
    page = client.get("/v1/jobs", params={"sort": sort, "metadata.set": "scored"}).json()
    assert [job["id"] for job in page["data"]] == [scored[each] for each in order]
    assert "notices" not in page


def test_pages_of_a_sorted_list_follow_each_other_by_their_links(
    client: TestClient, scored: dict[str, str]
) -> None:
    address, seen = "/v1/jobs?sort=-test_accuracy&metadata.set=scored&limit=2", []
    while address:
        answer = client.get(address)
        page = answer.json()
        seen += [job["id"] for job in page["data"]]
        assert "spends the test split" in page["notices"][0]
        address = answer.links["next"]["url"] if "next" in answer.links else ""
    assert seen == [scored[each] for each in ("0.1", "0.2", "0.3", "none")]


@pytest.mark.parametrize(
    ("sort", "suggestion"),
    [
        ("-val_auc", "-val_roc_auc"),
        ("val_los", "val_loss"),
        ("--val_loss", None),
        ("", None),
        ("status", None),
    ],
)
def test_what_no_list_is_sorted_by_is_refused(client: TestClient, sort: str, suggestion: str | None) -> None:
    answer = client.get("/v1/jobs", params={"sort": sort})
    refused = problem(answer, 422)
    assert pointers(refused) == ["/query/sort"]
    if suggestion:
        assert refused["errors"][0]["suggestion"] == suggestion


def test_a_cursor_of_another_sort_is_refused(client: TestClient, scored: dict[str, str]) -> None:
    cursor = client.get("/v1/jobs?sort=val_loss&metadata.set=scored&limit=1").json()["next"]
    assert client.get("/v1/jobs", params={"sort": "gap", "cursor": cursor}).status_code == 422


def test_names_are_found_by_how_they_begin(client: TestClient, scored: dict[str, str]) -> None:
    page = client.get("/v1/jobs", params={"name": "loss*", "sort": "val_loss"}).json()
    assert [job["id"] for job in page["data"]] == [scored[each] for each in ("0.1", "0.2", "0.3")]
    assert client.get("/v1/jobs", params={"name": "loss"}).json()["data"] == []


# ── datasets by their names ─────────────────────────────────────────────────────────────────────────────────


def validated(client: TestClient, dataset: str) -> httpx2.Response:
    return client.post("/v1/jobs/validate", json={"dataset": dataset})


def test_a_spec_names_a_dataset_and_holds_its_id(client: TestClient) -> None:
    made = upload(client, rows(3), name="churn").json()
    for word in ("churn", f"churn@{made['sha256'][:4]}", f"churn@{made['sha256'].upper()}", made["id"]):
        answer = validated(client, word).json()
        assert (answer["spec"]["dataset"], answer["dataset"]["id"]) == (made["id"], made["id"])
        assert client.get(f"/v1/datasets/{word}").json()["id"] == made["id"]
        assert submit(client, dataset=word)["dataset"]["name"] == "churn"


def test_an_ambiguous_name_lists_what_it_may_mean(client: TestClient) -> None:
    first = upload(client, rows(4), name="twice").json()
    second = upload(client, rows(5, 41), name="twice").json()
    answer = validated(client, "twice")
    (complaint,) = problem(answer, 422)["errors"]
    assert complaint["pointer"] == "/dataset"
    for each in (first, second):
        assert f"twice@{each['sha256'][:8]}" in complaint["detail"]
        assert each["id"] in complaint["detail"]
        assert validated(client, f"twice@{each['sha256'][:8]}").json()["dataset"]["id"] == each["id"]
    third = upload(client, rows(4), name="twice", target="z").json()
    assert third["id"] != first["id"]
    told = problem(validated(client, f"twice@{first['sha256'][:8]}"), 422)["errors"][0]["detail"]
    assert all(each["id"] in told for each in (first, third)), "the same bytes are told apart by their ids"


def test_what_is_offered_to_tell_datasets_apart_means_that_one(
    client: TestClient,
) -> None:
    """Also beside a dataset whose very name is what would be offered, and where a name cannot be written."""
    for number, name in ((50, "odd"), (60, "a\u202eb"), (70, "l" * 200)):
        made = [upload(client, rows(1, number + more), name=name).json() for more in range(2)]
        upload(client, rows(1, number + 2), name=f"{name}@{made[0]['sha256'][:8]}"[:200])
        (complaint,) = problem(validated(client, name), 422)["errors"]
        offered = complaint["suggestion"]
        assert validated(client, offered).json()["dataset"]["name"] == name
        looks_like_both = f"{name}@{made[0]['sha256'][:8]}"
        assert validated(client, looks_like_both).status_code == 422


def test_a_misspelt_name_gets_the_one_that_was_meant(client: TestClient) -> None:
    upload(client, rows(6), name="households")
    (complaint,) = problem(validated(client, "housholds"), 422)["errors"]
    assert complaint["suggestion"] == "households"


def test_a_bundled_name_stays_the_bundled_dataset_and_says_so(client: TestClient) -> None:
    made = upload(client, rows(8), name="iris").json()
    answer = validated(client, "iris").json()
    assert answer["dataset"]["id"] != made["id"]
    (warning,) = [each for each in answer["warnings"] if each["pointer"] == "/dataset"]
    assert f"iris@{made['sha256'][:8]}" in warning["detail"]
    assert client.delete(f"/v1/datasets/{made['id']}").status_code == 204


def test_an_upload_of_known_bytes_says_what_became_of_its_name(client: TestClient) -> None:
    made = upload(client, rows(9), name="known")
    assert "notices" not in made.json()
    again = upload(client, rows(9), name="other")
    assert again.status_code == 200
    (notice,) = again.json()["notices"]
    assert "'known'" in notice
    assert made.json()["id"] in notice
    assert "notices" not in upload(client, rows(9), name="known").json()


# ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_jobs_name_labels_and_notes_change_and_its_spec_stays(client: TestClient) -> None:
    job = submit(client, name="before", metadata={"team": "risk", "year": 2026})
    assert job["notes"] is None
    address = f"/v1/jobs/{job['id']}"
    changes = {"name": "after", "metadata": {"year": None, "set": "changed"}, "notes": "worth a look"}
    answer = client.patch(address, json=changes)
    assert answer.status_code == 200, answer.text
    changed = client.get(address).json()
    assert (changed["name"], changed["notes"]) == ("after", "worth a look")
    assert changed["metadata"] == {"team": "risk", "set": "changed"}
    assert changed["spec"] == job["spec"]
    found = client.get("/v1/jobs?metadata.set=changed").json()["data"]
    assert [each["id"] for each in found] == [job["id"]]
    assert client.get("/v1/jobs?metadata.year=2026&name=after").json()["data"] == []
    cleared = client.patch(address, json={"name": None, "metadata": None, "notes": None}).json()
    assert (cleared["name"], cleared["metadata"], cleared["notes"]) == (None, {}, None)
    assert client.get("/v1/jobs?metadata.set=changed").json()["data"] == []


@pytest.mark.parametrize(("before", "after"), [(0, False), (1, True), (1, 1.0), ("1", 1), (True, 1)])
def test_a_label_that_only_changes_its_kind_is_changed(client: TestClient, before: Any, after: Any) -> None:
    job = submit(client, metadata={"kind": before})["id"]
    changed = client.patch(f"/v1/jobs/{job}", json={"metadata": {"kind": after}}).json()
    assert json.dumps(changed["metadata"]["kind"]) == json.dumps(after)
    assert json.dumps(client.get(f"/v1/jobs/{job}").json()["metadata"]["kind"]) == json.dumps(after)
    found = client.get("/v1/jobs", params={"metadata.kind": json.dumps(after)}).json()["data"]
    assert job in {each["id"] for each in found}


def test_a_label_that_says_null_stays_unless_it_is_named(client: TestClient) -> None:
    job = submit(client, metadata={"empty": None, "a": 1})["id"]
    changed = client.patch(f"/v1/jobs/{job}", json={"metadata": {"b": 2}}).json()
    assert changed["metadata"] == {"empty": None, "a": 1, "b": 2}
    assert client.patch(f"/v1/jobs/{job}", json={"metadata": {"empty": None}}).json()["metadata"] == {
        "a": 1,
        "b": 2,
    }


def test_a_datasets_name_labels_and_notes_change(client: TestClient) -> None:
    made = upload(client, rows(10), name="first").json()
    assert (made["metadata"], made["user_notes"]) == ({}, None)
    address = f"/v1/datasets/{made['id']}"
    changed = client.patch(address, json={"name": "second", "metadata": {"of": 1}, "notes": "mine"}).json()
    assert (changed["name"], changed["metadata"], changed["user_notes"]) == ("second", {"of": 1}, "mine")
    assert changed["notes"] == made["notes"]
    assert validated(client, "second").json()["dataset"]["id"] == made["id"]
    assert client.get("/v1/datasets?name=sec*").json()["data"][0]["id"] == made["id"]


WRONG: list[tuple[Any, list[str]]] = [
    ({}, [""]),
    ({"nam": "x"}, ["/nam"]),
    ({"name": ""}, ["/name"]),
    ({"name": "x" * 201}, ["/name"]),
    ({"name": "a\x00"}, ["/name"]),
    ({"notes": "x" * 10_001}, ["/notes"]),
    ({"notes": 5}, ["/notes"]),
    ({"metadata": []}, ["/metadata"]),
    ({"metadata": {"a": {"b": 1}}}, ["/metadata/a"]),
    ({"metadata": {str(n): n for n in range(51)}}, ["/metadata"]),
    ({"metadata": {"a": "x" * 2000, **{f"k{n}": "y" * 1999 for n in range(10)}}}, ["/metadata"]),
]


@pytest.mark.parametrize(("body", "where"), WRONG, ids=lambda each: json.dumps(each)[:40])
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(
    client: TestClient, body: Any, where: list[str]
) -> None:
    job = submit(client, name="stays", metadata={"a": 1})
    answer = client.patch(f"/v1/jobs/{job['id']}", json=body)
    assert pointers(problem(answer, 422))[:1] == where
    after = client.get(f"/v1/jobs/{job['id']}").json()
    assert (after["name"], after["metadata"], after["notes"]) == ("stays", {"a": 1}, None)


def test_what_is_not_there_or_everybodys_is_not_changed(client: TestClient) -> None:
    assert client.patch("/v1/jobs/job_0", json={"name": "x"}).status_code == 404
    assert client.patch("/v1/datasets/ds_0", json={"name": "x"}).status_code == 404
    bundled = client.get("/v1/datasets/iris").json()["id"]
    assert client.patch(f"/v1/datasets/{bundled}", json={"name": "x"}).status_code == 409


def test_what_is_written_counts_as_stored(client: TestClient, server: Server) -> None:
    def stored() -> int:
        with server.database.of("default").reading() as tx:
            assert not usage.has_drifted(tx)
            return usage.of(tx, "default").stored_bytes

    job = submit(client)
    before = stored()
    client.patch(f"/v1/jobs/{job['id']}", json={"notes": "ä" * 1000})
    assert stored() == before + 2000
    client.patch(f"/v1/jobs/{job['id']}", json={"notes": ""})
    assert stored() == before
