"""A sheet of terminal cells to draw on: eight Braille dots in each, or a character in their place."""

from __future__ import annotations

from dataclasses import dataclass, field

_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of a dot in its cell, by row and column."""
_BLANK = 0x2800
ACROSS, DOWN = 2, 4
"""Dots in a cell."""
_DASH = 3


@dataclass(slots=True)
class Sheet:
    """`columns` × `rows` cells; dots are counted from the top left."""

    columns: int
    rows: int
    dots: dict[tuple[int, int], int] = field(default_factory=dict)
    """Braille bits by cell (column, row)."""
    colors: dict[tuple[int, int], int] = field(default_factory=dict)
    characters: dict[tuple[int, int], str] = field(default_factory=dict)
    """What stands in a cell instead of its dots."""

    def dot(self, x: int, y: int, color: int) -> None:
        cell = (x // ACROSS, y // DOWN)
        self.dots[cell] = self.dots.get(cell, 0) | _DOTS[y % DOWN][x % ACROSS]
        self.colors[cell] = color

    def stroke(
        self, start: tuple[int, int], end: tuple[int, int], color: int, *, dashed: bool = False
    ) -> None:
        """A straight line; dashes keep their place on the sheet, so that strokes of one line join."""
        (x0, y0), (x1, y1) = start, end
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(steps + 1):
            x, y = round(x0 + (x1 - x0) * step / steps), round(y0 + (y1 - y0) * step / steps)
            if not dashed or (x if abs(x1 - x0) >= abs(y1 - y0) else y) // _DASH % 2 == 0:
                self.dot(x, y, color)

    def put(self, column: int, row: int, character: str, color: int, *, behind: bool = False) -> None:
        """A character in a cell; `behind` yields to dots and to what is there."""
        cell = (column, row)
        if behind and (cell in self.dots or cell in self.characters):
            return
        self.characters[cell] = character
        self.colors[cell] = color

    def is_free(self, column: int, row: int, length: int) -> bool:
        """Whether a word would fit without covering anything."""
        places = [(place, row) for place in range(column, column + length)]
        return column + length <= self.columns and not any(
            p in self.dots or p in self.characters for p in places
        )

    def line(self, row: int) -> list[tuple[str, int | None]]:
        """The characters of a row with their colours, from left to right."""
        cells = [(column, row) for column in range(self.columns)]
        return [(self._character(cell), self.colors.get(cell)) for cell in cells]

    def _character(self, cell: tuple[int, int]) -> str:
        bits = self.dots.get(cell)
        return self.characters.get(cell) or (" " if bits is None else chr(_BLANK + bits))
