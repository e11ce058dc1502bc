"""What growth writes: a table between two marks of a page, and a plot, from the first axis on."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.growth import Point


def test_table_and_plot_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, plot = tmp_path / "page.md", tmp_path / "growth.svg"
    monkeypatch.setattr(growth, "PAGE", page)
    monkeypatch.setattr(growth, "PLOT", plot)
    page.write_text("before\n<!-- growth: so -->\nold\n<!-- end of growth -->\nafter\n")
    axes = {"rows": [Point(10, 1.0, 5.0), Point(1_000, 10.0, 5.0)]}
    growth._write(axes)
    growth._draw(axes)
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("before\n<!-- growth: so -->\n| what grows")
    assert text.endswith("| n^0.50 | n^0.00 |\n<!-- end of growth -->\nafter\n")
    assert "n^0.50" in plot.read_text()


def test_the_page_has_the_marks() -> None:
    assert growth.MARK.search(growth.PAGE.read_text())
