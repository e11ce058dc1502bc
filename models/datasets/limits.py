"""How much of a file is read before it is refused: small uploads unpack into more than a machine holds."""

from __future__ import annotations

from models.frozen import Frozen


class ReadLimits(Frozen):
    """Bounds that a file is held against while it is read."""

    max_rows: int = 5_000_000
    max_columns: int = 10_000
    max_cells: int = 200_000_000
    """Rows times columns."""
    max_line_bytes: int = 10_000_000
    """A longer line is no table but a bomb, or no text."""
    max_expanded_bytes: int = 2**31
    """Bytes after decompression."""
    max_ratio: int = 200
    """Expanded over packed bytes, once the expansion passes `ratio_free_bytes`."""
    ratio_free_bytes: int = 2**26
    """Below this, any ratio is harmless."""
