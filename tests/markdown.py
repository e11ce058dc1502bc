"""Markdown as data: the repository's pages, their sections, tables, links and code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.sources import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Page:
    """A Markdown file."""

    path: Path

    @property
    def place(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The text without its fenced code."""
        return _FENCE.sub("", self.text)

    def code(self, *languages: str) -> list[str]:
        """The fenced blocks of these languages."""
        return [body for language, body in _FENCE.findall(self.text) if language in languages]

    def headings(self) -> list[str]:
        return re.findall(r"^#+ (.+)$", self.prose, re.M)

    def anchors(self) -> set[str]:
        """What links may lead to, as GitHub makes it of the headings."""
        return {
            re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in self.headings()
        }

    def links(self) -> list[str]:
        return _LINK.findall(self.prose)

    def section(self, heading: str) -> str:
        """From a heading to the next one of its level or above."""
        found = re.search(rf"^(#+) {re.escape(heading)}$", self.text, re.M)
        assert found, f"{self.place} has no section {heading!r}"
        rest = self.text[found.end() :]
        following = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.M)
        return rest[: following.start()] if following else rest


def page(place: str) -> Page:
    return Page(ROOT / place)


def pages() -> list[Page]:
    """Every page that is ours: at the top, in docs and beside the examples."""
    folders = (ROOT.glob("*.md"), ROOT.joinpath("docs").rglob("*.md"), ROOT.joinpath("examples").glob("*.md"))
    return [Page(path) for found in folders for path in sorted(found)]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row in a text, heads and rules aside."""
    return [row for table in _tables(text) for row in table[2:]]


def heads(text: str) -> list[list[str]]:
    """The cells of every table's first row."""
    return [table[0] for table in _tables(text)]


def _tables(text: str) -> Iterator[list[list[str]]]:
    for table in re.findall(r"(?:^\|.*\|$\n?)+", text, re.M):
        yield [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()]


def quoted(text: str) -> set[str]:
    """Everything between backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))
