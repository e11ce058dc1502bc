"""What `./run bench` can be asked for exists, and what the pages ask it for it has."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.__main__ import ASKED_FOR, GROUPS, main
from tests.markdown import pages


def test_every_group_is_a_module_that_measures() -> None:
    for name in GROUPS | ASKED_FOR:
        spec = find_spec(f"benchmarks.{name}")
        assert spec
        assert spec.origin
        assert "\ndef measure() -> Iterator[Row]:" in Path(spec.origin).read_text()


def test_the_pages_name_no_group_that_there_is_not() -> None:
    shown = [
        words
        for page in pages()
        for words in re.findall(r"(?:`|^)\./run bench ([^`\n]*)(?:`|$)", page.text, re.M)
    ]
    named = {name for words in shown for name in words.partition("#")[0].partition(" --")[0].split()}
    assert named - set(GROUPS | ASKED_FOR) == set()


def test_an_unknown_group_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=r"there is no benchmark nonsense; choose from training, "):
        main(["nonsense", "training"])


def test_only_a_group_that_takes_options_gets_them() -> None:
    with pytest.raises(SystemExit, match="only device takes options: --quick"):
        main(["training", "--quick"])
