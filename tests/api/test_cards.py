"""Model cards: true to what is stored, harmless whatever things are called, and usable as printed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from api.cards import words
from api.cards.markdown import escaped, sentence
from api.cards.usage import usage
from api.deps import Server
from api.schemas import datasets as answers
from models.catalog import techniques
from models.datasets import Column, read
from models.graphs import Port
from models.regularizers import Regularization
from store import tables
from tests.api.acting import pointers, problem, submit
from tests.api.trained import trained

RESULT = {
    "best_epoch": 2,
    "last_epoch": 3,
    "restored_epoch": 2,
    "parameters": 17,
    "train": {"loss": 0.5, "accuracy": 0.9},
    "validation": {"loss": 0.4, "accuracy": 0.8},
    "test": {"loss": None, "accuracy": 0.7, "nonfinite": {"loss": "nan"}},
    "generalization_gap": -0.1,
}
COCKTAIL = {"l1": 1e-5, "dropout": [0.5], "batch_norm": True, "early_stopping": {"patience": 3}}
HOSTILE = [
    '<img src=x onerror="alert(1)">',
    "a | b | c",
    "[click](javascript:alert(1))",
    "`code` ```fence```",
    "# heading *bold* _it_",
    "\u202eright to left",
    "http://evil.example www.evil.example",
    "long " * 39,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cards")


@pytest.fixture(scope="module")
def job(client: TestClient, server: Server, folder: Path) -> str:
    asked = {"network": {"hidden": [8]}, "regularization": COCKTAIL, "name": "flowers"}
    return trained(client, server, folder, result=RESULT, **asked)


@pytest.fixture(scope="module")
def hostile(client: TestClient, server: Server, folder: Path) -> str:
    """Everything that has a name has a bad one."""
    quoted = ['"' + name.replace('"', '""') + '"' for name in [*HOSTILE, "<target>"]]
    lines = [f"{n}.5,{n},true,2026-01-01,x{n % 2},1,{n},{n % 3},<b>{n % 2}</b>" for n in range(30)]
    path = folder / "hostile.csv"
    path.write_text("\n".join([",".join(quoted), *lines]))
    with path.open("rb") as content:
        sent = client.post(
            "/v1/datasets", files={"file": ("h.csv", content)}, data={"name": "<script>*data*</script>"}
        )
    assert sent.status_code == 201, sent.text
    table = read(path, filename="h.csv")
    asked = {"name": "# <b>job</b> | `x`", "metadata": {"```": "</code>"}}
    return trained(client, server, folder, dataset=sent.json()["id"], table=table, **asked)


def card(client: TestClient, job: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/jobs/{job}/card").json()
    return found


def test_a_card_tells_what_is_stored(client: TestClient, job: str) -> None:
    told, stored = card(client, job), client.get(f"/v1/jobs/{job}").json()
    dataset = client.get("/v1/datasets/iris").json()
    for name in ("name", "status", "stop_reason", "stop_detail", "spec", "warnings", "environment"):
        assert told[name] == stored[name]
    assert (told["data"]["sha256"], told["data"]["rows"]) == (dataset["sha256"], 150)
    assert told["data"]["classes"] == dataset["classes"]
    assert [one["name"] for one in told["data"]["columns"]] == [one["name"] for one in dataset["columns"]]
    assert told["data"]["splits"] == {"train": 90, "validation": 30, "test": 30}
    assert told["result"] == {
        "metrics": {
            "loss": {"train": 0.5, "validation": 0.4, "test": None},
            "accuracy": {"train": 0.9, "validation": 0.8, "test": 0.7},
        },
        "generalization_gap": -0.1,
    }
    assert told["curve"]["epochs"] == [
        {"kind": "first", "epoch": 1, "train_loss": 0.9, "val_loss": 0.8},
        {"kind": "best", "epoch": 2, "train_loss": 0.5, "val_loss": 0.4},
        {"kind": "last", "epoch": 3, "train_loss": 0.4, "val_loss": 0.6},
    ]
    weights = client.get(f"/v1/jobs/{job}/weights").json()
    assert told["sparsity"]["layers"] == weights["layers"]
    assert [one["name"] for one in told["techniques"]] == list(COCKTAIL)


def test_a_card_holds_the_diagnosis_and_whole_sentences(client: TestClient, job: str) -> None:
    told = card(client, job)
    assert told["diagnosis"] == client.get(f"/v1/jobs/{job}/diagnosis").json()
    text = client.get(f"/v1/jobs/{job}/card?format=md").text
    verdict = told["diagnosis"]["verdict"].replace("_", " ")
    assert f"## Diagnosis\n\n**{verdict}**" in text
    plain = text.replace("\\", "")
    assert all(f"- {limit}\n" in plain for limit in told["limits"])
    assert all(f"- {each['detail']}" in plain for each in told["diagnosis"]["evidence"])


def test_its_files_are_those_that_may_be_taken(client: TestClient, job: str) -> None:
    told = card(client, job)
    for file in (told["onnx"], told["weights"]):
        sent = client.get(file["address"])
        assert sent.headers["etag"] == f'"{file["sha256"]}"'
        assert len(sent.content) == file["bytes"]
    assert [one["name"] for one in told["onnx"]["outputs"]] == ["label", "probabilities"]
    assert client.get(told["curve"]["picture"]).headers["content-type"] == "image/png"


@pytest.mark.parametrize("dataset", ["iris", "digits", "hostile"])
def test_the_code_runs_as_it_is_printed(
    client: TestClient, server: Server, folder: Path, job: str, request: pytest.FixtureRequest, dataset: str
) -> None:
    chosen = {"iris": lambda: job, "hostile": lambda: request.getfixturevalue("hostile")}
    known = chosen.get(dataset, lambda: trained(client, server, folder, dataset="digits"))()
    code = markdown_code(client.get(f"/v1/jobs/{known}/card?format=md").text)
    assert len(code.splitlines()) == 5
    (folder / f"{known}.onnx").write_bytes(client.get(f"/v1/jobs/{known}/model").content)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "array(" in done.stdout


def markdown_code(text: str) -> str:
    (found,) = re.findall(r"^(`{3,})python\n(.*?)^\1$", text, re.M | re.S)
    return found[1]


def test_markdown_is_chosen_by_format_or_accept(client: TestClient, job: str) -> None:
    by_format = client.get(f"/v1/jobs/{job}/card?format=md")
    by_accept = client.get(f"/v1/jobs/{job}/card", headers={"Accept": "text/markdown"})
    assert by_format.text == by_accept.text
    assert by_accept.headers["content-type"].startswith("text/markdown")
    assert by_accept.headers["vary"] == "Accept"
    text = by_format.text
    assert text.startswith("# Model card: flowers\n")
    assert "| loss | 0.5000 | 0.4000 | – |" in text
    assert "L1 penalty, strength 1e-05 on all weights" in text
    assert json.loads(re.findall(r"```json\n(.*?)\n```", text, re.S)[0]) == card(client, job)["spec"]
    problem(client.get(f"/v1/jobs/{job}/card", headers={"Accept": "image/png"}), 406)
    assert pointers(problem(client.get(f"/v1/jobs/{job}/card?format=pdf"), 422)) == ["/query/format"]


def test_no_name_becomes_markup(client: TestClient, hostile: str) -> None:
    text = client.get(f"/v1/jobs/{hostile}/card?format=md").text
    prose = re.sub(r"^(`{3,})\w+\n.*?^\1$", "", text, flags=re.M | re.S)
    assert not re.search(r"(?<!\\)<", prose)
    assert [line for line in prose.splitlines() if line.startswith("# ")] == [prose.splitlines()[0]]
    assert "\u202e" not in text
    links = re.findall(r"(?<!\\)\]\(([^)]+)\)", prose)
    assert links
    assert all(link.startswith("/v1/jobs/job_") for link in links)
    assert not re.search(r"https?://|www\.", prose)
    tables = [line for line in prose.splitlines() if line.startswith("| ")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
    assert widths <= {3, 4, 5, 6}
    assert len(re.findall(r"^`{3,}", text, re.M)) == 4
    assert card(client, hostile)["data"]["columns"][0]["name"] == HOSTILE[0]


@pytest.mark.parametrize("text", ["a\nb", "a\r\n# b", "\x1b[31m", "x" * 1000, "\\", "&lt;", "a@b.c"])
def test_escaped_text_is_one_line_of_text(text: str) -> None:
    line = escaped(text)
    assert "\n" not in line
    assert line.isprintable()
    assert not re.search(r"(?<!\\)(\\\\)*[<&@#]", line)


STARTS = {
    "- x": "\\- x",
    "+ x": "\\+ x",
    "===": "\\===",
    "1. x": "1\\. x",
    " 12) x": " 12\\) x",
    "x-1.": "x-1.",
    "0.3 x": "0.3 x",
    "-0.3": "-0.3",
    "---": "\\---",
}


@pytest.mark.parametrize("name", STARTS)
def test_a_name_begins_no_list_and_underlines_no_heading(name: str) -> None:
    assert escaped(name) == STARTS[name]
    assert sentence(name) == STARTS[name]


@pytest.mark.parametrize("name", techniques())
def test_every_technique_has_its_words(name: str) -> None:
    given: dict[str, Any] = {name: {"l1": 0.25, "l2": 0.25, "dropout": 0.25}.get(name, True)}
    full = Regularization.model_validate(given).model_dump(mode="json")
    said = words.techniques({"regularization": full, "optimizer": {"weight_decay": 0.5}})
    assert list(said) == [name, "weight_decay"]
    assert "{" not in said[name]
    assert "0.5" in said["weight_decay"]


def test_settings_are_told() -> None:
    cocktail = {
        "l1": {"strength": 0.125, "scope": "input", "feature_weights": {"a": 2.0}},
        "early_stopping": {
            "monitors": [{"metric": "val_loss"}, {"metric": "val_accuracy"}],
            "combine": "any",
        },
    }
    said = words.techniques(
        {"regularization": Regularization.model_validate(cocktail).model_dump(), "optimizer": {}}
    )
    assert said["l1"].startswith(
        "L1 penalty, strength 0.125 on the first layer's weights, scaled for 1 column"
    )
    assert "until any of these have stalled: val_loss (patience 10), val_accuracy" in said["early_stopping"]
    assert words.techniques({"regularization": {"new": {"rate": 1}}}) == {"new": 'new with {"rate": 1}'}


def test_a_card_comes_with_the_weights(client: TestClient) -> None:
    waiting = submit(client)["id"]
    assert problem(client.get(f"/v1/jobs/{waiting}/card"), 404)["type"].endswith("#no-weights")


def test_what_was_not_tested_or_not_ended_is_said(client: TestClient, server: Server, folder: Path) -> None:
    result = {**RESULT, "test": None, "best_epoch": None, "generalization_gap": None}
    job = trained(client, server, folder, result=result, split={"validation": 0.2, "test": 0})
    told = card(client, job)
    assert any("test split" in limit for limit in told["limits"])
    assert told["data"]["splits"]["test"] == 0
    assert [one["kind"] for one in told["curve"]["epochs"]] == ["first", "last"]
    assert (
        "Generalization gap (validation loss − training loss): –."
        in client.get(f"/v1/jobs/{job}/card?format=md").text
    )


# ── what a card shows of the data ───────────────────────────────────────────────────────────────────────────


PRIVATE = """\
name,city,member,since,income,gone,target
"""


def people(rows: int = 60) -> str:
    """Everybody has a name and an income of their own; cities, truths and dates are shared."""
    lines = [
        f"Person {n:02d},{'Berlin' if n % 3 else 'Rome'},{'true' if n % 4 else 'false'},"
        f"2026-01-{1 + n % 20:02d},{30_000 + 137 * n}.77,,{'yes' if n % 2 else 'no'}"
        for n in range(rows)
    ]
    return PRIVATE + "\n".join(lines)


def row_of(code: str) -> dict[str, Any]:
    """The row that the printed code asks about."""
    (line,) = [each for each in code.splitlines() if each.startswith("row = ")]
    nan = type("numpy", (), {"nan": None})
    row: dict[str, Any] = eval(line.removeprefix("row = "), {"numpy": nan})
    return row


@pytest.fixture(scope="module")
def of_people(client: TestClient, server: Server, folder: Path) -> str:
    path = folder / "people.csv"
    path.write_text(people())
    with path.open("rb") as content:
        sent = client.post("/v1/datasets", files={"file": ("people.csv", content)}, data={"target": "target"})
    assert sent.status_code == 201, sent.text
    table = read(path, filename="people.csv", target="target")
    return trained(client, server, folder, dataset=sent.json()["id"], table=table)


def test_a_card_shows_medians_and_commonest_levels_and_no_row(client: TestClient, of_people: str) -> None:
    told = card(client, of_people)
    row = row_of(told["usage"])
    assert (row["city"], row["member"], row["income"]) == ("Berlin", 1.0, 34_000.0)
    assert row["since"] == 20_464.0, "the middle of the twenty days, rounded"
    assert row["name"] == "", "each name is one person's"
    markdown = client.get(f"/v1/jobs/{of_people}/card?format=md").text
    for said in (json.dumps(told), markdown):
        assert "Person" not in said
        assert ".77" not in said


def test_a_dataset_described_before_there_were_medians_shows_no_row_either(
    client: TestClient, server: Server, of_people: str
) -> None:
    dataset_id = client.get(f"/v1/jobs/{of_people}").json()["dataset"]["id"]
    with server.database.writing() as tx:
        this = tables.datasets.c.id == dataset_id
        kept = tx.execute(sa.select(tables.datasets.c.description).where(this)).scalar_one()
        older = {**kept, "columns": [{**each, "typical": None} for each in kept["columns"]]}
        tx.execute(tables.datasets.update().where(this).values(description=older))
    answers._DESCRIPTIONS.clear()
    try:
        row = row_of(card(client, of_people)["usage"])
        assert row["income"] == 34_000.0, "half way between the ends"
        assert (row["name"], row["city"], row["member"]) == ("", "", 0.0)
    finally:
        with server.database.writing() as tx:
            tx.execute(tables.datasets.update().where(this).values(description=kept))
        answers._DESCRIPTIONS.clear()


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ({"kind": "numeric"}, "numpy.nan"),
        ({"kind": "numeric", "minimum": 1.0, "maximum": 4.0}, "2.5"),
        ({"kind": "numeric", "minimum": -1.7e308, "maximum": 1.7e308}, "0.0"),
        ({"kind": "numeric", "typical": 3.0, "minimum": 1.0, "maximum": 9.0}, "3.0"),
        ({"kind": "boolean", "typical": 1.0}, "1.0"),
        ({"kind": "categorical", "typical": "\u202ered"}, "'\\u202ered'"),
        ({"kind": "categorical", "levels": ["Ada"]}, "''"),
        (None, "numpy.nan"),
    ],
)
def test_a_row_for_an_example_is_made_of_what_is_usual(column: dict[str, Any] | None, shown: str) -> None:
    kind = (column or {}).get("kind", "numeric")
    port = Port("x", "string" if kind == "categorical" else "float64", ["rows", 1], "")
    known = {"name": "x", "missing": 0, "cardinality": 9, "constant": False}
    columns = {"x": Column.model_validate({**known, **column})} if column else {}
    assert f"row = {{'x': {shown}}}\n" in usage("a.onnx", [port], columns)
