"""A text file looked over once, as bytes, before any of it is parsed: is it UTF-8, do its lines end?"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.datasets.foreign import START_BYTES, wide_encoding
from models.datasets.limits import ReadLimits
from models.errors import DatasetError

_CHUNK: Final = 2**20
_TAIL: Final = 16
_ESCAPE: Final = re.compile(rb'\\["\r\n,;\t|]')
END_OF_TEXT: Final = "\x1a"
"""Ctrl-Z, with which DOS ended its text files."""


@dataclass(slots=True)
class Survey:
    """What a file holds that decides how it is read."""

    lines: int = 0
    """Whoever ends them: a line feed, a carriage return, or both."""
    quotes: bool = False
    lone_returns: bool = False
    """Carriage returns that no line feed follows."""
    escapes: bool = False
    """Backslashes before a quote, a delimiter or a line's end."""
    spaced_quotes: bool = False
    """Spaces before a quote."""
    end_mark: bool = False
    """Ctrl-Z at the end."""

    @property
    def plain(self) -> bool:
        """Whether a line is a row, and a delimiter ends a cell, wherever they stand."""
        return not (self.quotes or self.lone_returns or self.end_mark)


def survey(path: Path, limits: ReadLimits) -> Survey:
    """Look over a file; `DatasetError` where it is no UTF-8 text, or where its lines do not end.

    The limit on rows is held against lines here only where no cell can hold several of them.
    """
    found, decoder = Survey(), codecs.getincrementaldecoder("utf-8")()
    open_line, held, last = 0, b"", b""
    with path.open("rb") as file:
        while chunk := held + file.read(min(_CHUNK, limits.max_line_bytes)):
            # A return at the end of a chunk may have its line feed in the next.
            held = b"\r" if chunk.endswith(b"\r") and chunk != held else b""
            chunk = chunk.removesuffix(held)
            _check_text(decoder, chunk, found.lines)
            _take_note(found, chunk)
            open_line = _open_line(chunk, open_line, limits)
            last = last[-_TAIL:] + chunk
            found.escapes = found.escapes or _ESCAPE.search(last) is not None
            found.spaced_quotes = found.spaced_quotes or b' "' in last
            if found.lines > limits.max_rows + _ABOVE and not found.quotes:
                raise DatasetError(
                    f"the file has more than {limits.max_rows:,} rows", suggestion="send a sample of it"
                )
    _check_text(decoder, b"", found.lines, final=True)
    found.end_mark = last.rstrip(b"\r\n").endswith(END_OF_TEXT.encode())
    found.lines += open_line > 0
    return found


_ABOVE: Final = 1000
"""Lines that may stand above the rows: comments, names."""


def _check_text(decoder: codecs.IncrementalDecoder, chunk: bytes, lines: int, *, final: bool = False) -> None:
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        raise _not_utf8(error, lines) from None
    if (position := chunk.find(0)) >= 0:
        if encoding := wide_encoding(chunk[:START_BYTES]):
            said = f"the file is {encoding} text, not UTF-8"
        else:
            said = f"line {lines + _ends(chunk[:position]) + 1} contains a NUL byte, so the file is not text"
        raise DatasetError(said, suggestion="save it again as CSV with the encoding UTF-8")


def _not_utf8(error: UnicodeDecodeError, lines: int) -> DatasetError:
    byte = error.object[error.start : error.start + 1]
    line = lines + _ends(error.object[: error.start]) + 1
    said = f"the file is not UTF-8 text: line {line} holds the byte 0x{byte.hex()}"
    # No UTF-8 is mostly Windows-1252, of which Latin-1 is a part; what is no text has control bytes.
    around = error.object[max(0, error.start - 40) : error.start + 40]
    if not re.search(rb"[\x00-\x08\x0e-\x1f]", around):
        letter = byte.decode("cp1252", errors="ignore") or byte.decode("latin-1")
        said += f", {letter!r} in Latin-1 (Windows-1252)"
    return DatasetError(said, suggestion="save it again as CSV with the encoding UTF-8")


def _ends(chunk: bytes) -> int:
    """How many lines end in a chunk."""
    return chunk.count(b"\n") + chunk.count(b"\r") - chunk.count(b"\r\n")


def _take_note(found: Survey, chunk: bytes) -> None:
    feeds, pairs, returns = chunk.count(b"\n"), chunk.count(b"\r\n"), chunk.count(b"\r")
    found.lines += feeds + returns - pairs
    found.lone_returns = found.lone_returns or returns > pairs
    found.quotes = found.quotes or b'"' in chunk


def _open_line(chunk: bytes, length: int, limits: ReadLimits) -> int:
    """The length of the line that a chunk leaves open; `DatasetError` where the one it closes is too long.

    Lines within the chunk are not: the chunk is no longer than a line may be.
    """
    last = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
    first = min((at for at in (chunk.find(b"\n"), chunk.find(b"\r")) if at >= 0), default=len(chunk))
    if length + first > limits.max_line_bytes:
        raise DatasetError(
            f"a line has more than {limits.max_line_bytes:,} bytes",
            suggestion="write one row a line, ended by a newline",
        )
    return length + len(chunk) if last < 0 else len(chunk) - last - 1
