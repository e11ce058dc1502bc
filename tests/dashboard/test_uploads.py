"""A file's columns, read in the browser before anything is sent."""

from __future__ import annotations

import base64
import gzip
from typing import TYPE_CHECKING, Any

import pytest

from tests.dashboard.sites import ask, heading, picture, until, write_rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dashboard.conftest import Opened
    from tests.dashboard.sites import Site

pytestmark = pytest.mark.browser

ROWS = "".join(f"{i},{2 * i},{i % 3}\n" for i in range(30))
PLAIN = f"a,b,y\n{ROWS}"
ABY = ["a", "b", "y"]
WIDE = [f"column_{place}" for place in range(10_000)]

READ: dict[str, tuple[bytes, list[str]]] = {
    "plain": (PLAIN.encode(), ABY),
    "a mark of UTF-8": (b"\xef\xbb\xbf" + PLAIN.encode(), ABY),
    "semicolons": (PLAIN.replace(",", ";").encode(), ABY),
    "semicolons and decimal commas": (b"a;b;y\n" + b"1,5;2,5;3\n" * 30, ABY),
    "tabs": (PLAIN.replace(",", "\t").encode(), ABY),
    "bars": (PLAIN.replace(",", "|").encode(), ABY),
    "the lines of Windows": (PLAIN.replace("\n", "\r\n").encode(), ABY),
    "the lines of old Macs": (PLAIN.replace("\n", "\r").encode(), ABY),
    "quotes": (f'"a, ""b""","c\nd", y \n{ROWS}'.encode(), ['a, "b"', "c\nd", "y"]),
    "a quote in a cell": (f'24",b,y\n{ROWS}'.encode(), ['24"', "b", "y"]),
    "a word of the separator": (f"sep=;\r\n{PLAIN.replace(',', ';')}".encode(), ABY),
    "comments": (f"# made by hand\n\n% 2026\n{PLAIN}".encode(), ABY),
    "a name like a comment": (f"#id,b,y\n{ROWS}".encode(), ["#id", "b", "y"]),
    "no name": (f",b,y\n{ROWS}".encode(), ["", "b", "y"]),
    "a single column": (b"y\n1\n2\n", ["y"]),
    "one line": (b"a,b,y", ABY),
    "names twice": (f"a,a,y\n{ROWS}".encode(), ["a", "a", "y"]),
    "ten thousand columns": (",".join(WIDE).encode() + b"\n" + b"1," * 9_999 + b"1\n", WIDE),
    "a letter cut in two": (b"a,b,y\n" + b"x" + "ä".encode() * 40_000, ABY),
    "gzip": (gzip.compress(PLAIN.encode() * 5_000), ABY),
    "Latin-1": (f"größe,b,y\n{ROWS}".encode("latin-1"), ["größe", "b", "y"]),
}
REMARKS = {"names twice": "Two columns are called a", "Latin-1": "not UTF-8"}
UNREAD: dict[str, tuple[bytes, str]] = {
    "Parquet": (b"PAR1" + bytes(100), "Parquet: the server reads its columns."),
    "NPZ": (b"PK\x03\x04" + bytes(100), "the server reads its arrays."),
    "damaged gzip": (b"\x1f\x8b\x08 rubbish", "read by the server"),
    "UTF-16": (PLAIN.encode("utf-16"), "save it as UTF-8"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-be"), "save it as UTF-8"),
    "nothing": (b"", "The file is empty."),
}


def read(page: Any, content: bytes) -> dict[str, Any]:
    """What the page's own reader says of a file's bytes."""
    script = (
        "await it.readHeader(new File([Uint8Array.from(atob(given), (letter) => letter.charCodeAt(0))], 'f'))"
    )
    found: dict[str, Any] = ask(page, "header.js", script, base64.b64encode(content).decode())
    return found


def test_names_are_read_however_they_are_written(opened: Opened) -> None:
    page = opened("#/datasets")
    found = {what: read(page, content) for what, (content, _) in READ.items()}
    assert {what: one["names"] for what, one in found.items()} == {
        what: names for what, (_, names) in READ.items()
    }
    remarks = {what: " ".join(one["remarks"]) for what, one in found.items() if one["remarks"]}
    assert remarks.keys() == REMARKS.keys()
    assert all(REMARKS[what] in said for what, said in remarks.items())


def test_what_is_not_read_here_is_told(opened: Opened) -> None:
    page = opened("#/datasets")
    for what, (content, told) in UNREAD.items():
        found = read(page, content)
        assert found["names"] is None, what
        assert told in found["remarks"][0], what


@pytest.mark.parametrize("first", ["x", '"'])
def test_a_line_that_does_not_end_is_not_read_to_its_end(first: str, opened: Opened) -> None:
    page = opened("#/datasets")
    script = "await it.readHeader(new File([given, 'x'.repeat(2e6)], 'f'))"
    found = ask(page, "header.js", script, first)
    assert found["names"] is None
    assert "longer than what is read here" in found["remarks"][0]


def test_of_a_large_file_only_the_first_bytes_are_read(opened: Opened) -> None:
    page = opened("#/datasets")
    script = """async () => {
        const { readHeader } = await import("/dashboard/header.js");
        const read = [];
        const whole = new Blob(["a,b,y\\n", "1,2,3\\n".repeat(20000)]);
        const slice = (from, to) => (read.push(to - from), whole.slice(from, to));
        const { names } = await readHeader({ size: 5e9, slice });
        return [names, read];
    }"""
    assert page.evaluate(script) == [ABY, [65_536]]


def test_the_target_is_chosen_from_the_files_columns(site: Site, opened: Opened, tmp_path: Path) -> None:
    page = opened("#/datasets")
    page.set_input_files("#file", write_rows(tmp_path / "chosen.csv", "first,second,third"))
    target = page.get_by_label("Target")
    until(page, "document.querySelector('#target').options?.length === 4")
    assert target.locator("option").all_inner_texts() == [
        "the last column: third",
        "first",
        "second",
        "third",
    ]
    target.select_option("second")
    picture(page, "upload")
    page.get_by_role("button", name="Upload").click()
    heading(page, "chosen.csv")
    dataset = page.url.rpartition("/")[2]
    assert site.client.get(f"/v1/datasets/{dataset}")["target"] == "second"

    page.evaluate("location.hash = '#/datasets'")
    heading(page, "Datasets")
    (tmp_path / "odd.parquet").write_bytes(b"PAR1" + bytes(100))
    page.set_input_files("#file", tmp_path / "odd.parquet")
    page.get_by_text("the server reads its columns").wait_for()
    assert target.evaluate("(one) => one.tagName") == "INPUT"
    page.get_by_role("button", name="Upload").click()
    page.locator("main .wrong", has_text="Parquet").wait_for()
    site.client.delete(f"/v1/datasets/{dataset}")


def test_known_bytes_under_another_name_say_what_became_of_it(
    site: Site, opened: Opened, tmp_path: Path
) -> None:
    first = site.client.upload(write_rows(tmp_path / "one.csv", "p,q,r"))
    page = opened("#/datasets")
    page.set_input_files("#file", write_rows(tmp_path / "two.csv", "p,q,r"))
    until(page, "document.querySelector('#target').options?.length === 4")
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("status", name="Notices").get_by_text("one.csv").wait_for()
    page.get_by_role("button", name="On to one.csv").click()
    heading(page, "one.csv")
    site.client.delete(f"/v1/datasets/{first['id']}")
