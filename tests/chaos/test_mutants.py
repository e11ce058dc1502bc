"""The list of mutants has not rotted: what they break is there, and so are the tests that notice."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos import mutants
from tests.chaos.mutants import MUTANTS, ROOT, Edit, Mutant

EACH = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@EACH
def test_what_it_breaks_is_there_once(mutant: Mutant) -> None:
    for edit in mutant.edits:
        assert (ROOT / edit.file).read_text(encoding="utf-8").count(edit.text) == 1, edit
        assert edit.text != edit.instead


@EACH
def test_what_it_leaves_is_python(mutant: Mutant) -> None:
    """A mutant that cannot even be read would be caught by any test."""
    texts = {edit.file: (ROOT / edit.file).read_text(encoding="utf-8") for edit in mutant.edits}
    for edit in mutant.edits:
        texts[edit.file] = texts[edit.file].replace(edit.text, edit.instead)
    for text in texts.values():
        ast.parse(text)


@EACH
def test_the_test_that_notices_exists(mutant: Mutant) -> None:
    file, _, names = mutant.test.partition("::")
    *_, function = names.partition("[")[0].split("::")
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert function in defined


def test_names_are_told_apart() -> None:
    assert Counter(mutant.name for mutant in MUTANTS).most_common(1)[0][1] == 1


def test_a_text_that_is_not_there_once_is_refused(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("one\none\ntwo\n")
    mutants.apply(tmp_path, Edit("module.py", "two\n", "three\n"))
    assert (tmp_path / "module.py").read_text() == "one\none\nthree\n"
    for text in ("one\n", "four\n"):
        with pytest.raises(ValueError, match="times"):
            mutants.apply(tmp_path, Edit("module.py", text, ""))


def test_a_mutant_of_no_such_name_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutants.main(["no such mutant"]) == 2
    assert "no such mutant" in capsys.readouterr().err
