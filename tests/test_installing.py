"""What people are told to install: nothing but packages whose versions we pin, and never our own name.

On PyPI the name `ridgeline` belongs to somebody else, whose code must not run because our words said so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources import ROOT
from tests.test_docs import texts

OURS = "ridgeline"
TOLD = re.compile(r"\b(?:pip3?|uv pip|uv|pipx|poetry|conda)\s+(?:install|add|run)\s+([^`|&;)\n]*)")
"""The words behind a command that installs, to the end of the command."""
WITH_EXTRA = re.compile(rf"\b{OURS}\[[a-z…]")
"""`ridgeline[otel]` names the package on PyPI, whatever stands before it."""
WITH_VALUE = ("-c", "-r", "-i", "--constraint", "--requirement", "--index-url", "--extra-index-url")
HERE = Path(__file__).relative_to(ROOT)


def packages(command: str) -> Iterator[str]:
    """The packages by name that a command installs, up to the quote that ends it; paths and options aside."""
    words = iter(re.split(r"[\"']{2}|[\"'](?: in |: )", command.replace("\\", " "))[0].split())
    for word in words:
        plain = word.strip("\"',.:")
        if word in WITH_VALUE:
            next(words, None)
        elif re.fullmatch(r"[A-Za-z][\w.-]*(\[[\w,]*\])?([=<>~!].*)?", plain):
            yield re.split(r"[\[=<>~!]", plain)[0].lower().replace("_", "-")


def told(text: str) -> set[str]:
    """Every package that a text tells to install."""
    return {name for command in TOLD.findall(text) for name in packages(command)}


@pytest.fixture(scope="module")
def written() -> dict[Path, str]:
    found = {path.relative_to(ROOT): path.read_text(encoding="utf-8", errors="replace") for path in texts()}
    # What changed is told in the old words; this test has those that it looks for.
    return {place: text for place, text in found.items() if place not in (HERE, Path("CHANGELOG.md"))}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("`pip install 'ridgeline[export]'` brings it", {"ridgeline"}),
        ("pip install -c constraints.txt ridgeline==0.1", {"ridgeline"}),
        ("uv add ridgeline", {"ridgeline"}),
        ('RUN pip install -c constraints.txt ".[train]"', set()),
        (".venv/bin/pip install -c constraints.txt -e '.[export]'", set()),
        ("with HTTPie (pip install httpie).", {"httpie"}),
    ],
)
def test_what_is_told_is_found(text: str, names: set[str]) -> None:
    assert told(text) == names


def test_nobody_is_told_to_install_a_name_that_is_not_ours(written: dict[Path, str]) -> None:
    named = {place: text for place, text in written.items() if OURS in told(text) or WITH_EXTRA.search(text)}
    assert sorted(named) == []


def test_whatever_else_is_to_be_installed_is_what_we_run_ourselves(written: dict[Path, str]) -> None:
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text().lower(), re.M))
    named = set().union(*(told(text) for text in written.values()))
    assert "httpie" in named
    assert named - pinned == set()
