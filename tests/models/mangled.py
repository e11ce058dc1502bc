"""Small tables that are known, written as programs write them, and mangled as files are."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Final

Row = list[str]

WORDS: Final = (
    *(
        "",
        "",
        "red",
        "blue",
        "item 7",
        "it's",
        " x",
        "ü€",
        "#5",
        "#id",
        "sep=;",
        "{",
        "<b>",
        "'single'",
        "1,5",
        "1;2;u",
    ),
    *('a "quoted" word', '24"', '24" monitor', '"', '""', "a, b", "a; b", "x|y", "tab\there"),
    *("two\nlines", "three\r\n\r\nlines", "old\rmac", "\u2028", "form\ffeed", "7,red,p\n8,blue,q"),
    *("back\\slash", 'back\\"quote', "ends\\", "C:\\dir\\", "\\N"),
)


@dataclass(frozen=True, slots=True)
class Style:
    """How a program writes cells."""

    delimiter: str = ","
    quoting: str = "minimal"
    """minimal, all, text (all but numbers), none."""
    escape: str = "double"
    """double, backslash; of quotes within quoted cells."""
    after: str = ""
    """Between a delimiter and the next cell."""
    end: str = "\n"


@dataclass(slots=True)
class Written:
    """A file and what stands in it."""

    content: bytes
    names: Row
    rows: list[Row]
    said: list[str]
    """How it was written and mangled."""
    style: Style
    noted: list[str] = field(default_factory=list)
    """What the notes must say."""
    damaged: bool = False
    """What is read of it is whatever Python's reader makes of it."""
    cut_off: bool = False
    """Nobody can know of rows that are gone from the end."""

    def is_usual(self) -> bool:
        """Whether there is only one way to read it, so that refusing it would be wrong."""
        return not self.damaged and b"\\" not in self.content


def written(seed: int) -> Written:
    """A table of a few rows, written in some style and mangled or not; the same for the same seed."""
    chance = random.Random(seed)
    style = Style(
        chance.choice(",,,;\t|"),
        chance.choice(("minimal", "minimal", "all", "text", "none")),
        chance.choice(("double", "double", "backslash")),
        chance.choice(("", "", "", " ")),
        chance.choice(("\n", "\n", "\r\n", "\r", "\r\r\n")),
    )
    table = [["id", chance.choice(("text", "text", 'a "b"', "a, b")), "y"], *_rows(chance)]
    if style.quoting == "none":
        table = [[_bare(cell, style) for cell in row] for row in table]
    lines = [_line(row, style) for row in table]
    made = Written(b"", table[0], table[1:], [str(style)], style)
    if style.escape == "backslash" and not re.search(r'(?<!\\)(\\\\)*\\["\r\n,;\t|]', "".join(lines)):
        # Nothing tells that a backslash is an escape.
        made.rows = [[cell.replace("\\", "\\\\") for cell in row] for row in made.rows]
    for mangle in chance.sample(HARMLESS, chance.choice((0, 0, 0, 1, 2))):
        mangle(chance, made, lines)
    ends = [style.end] * len(lines)
    if chance.random() < 0.1:
        ends = [chance.choice(("\n", "\r\n")) for _ in lines]
    text = "".join(line + end for line, end in zip(lines, ends, strict=True))
    if chance.random() < 0.1:
        text = text.removesuffix(ends[-1])
    if chance.random() < 0.05:
        text += "\x1a"
    if chance.random() < 0.3:
        mangle_text = chance.choice(HARMFUL)
        text = mangle_text(chance, text)
        made.said.append(mangle_text.__name__)
        made.damaged = True
        made.cut_off = mangle_text is cut_off
    made.content = text.encode("utf-8-sig" if chance.random() < 0.1 else "utf-8")
    return made


# ── what does no harm ───────────────────────────────────────────────────────────────────────────────────────


def blank_line(chance: random.Random, made: Written, lines: list[str]) -> None:
    lines.insert(chance.randint(0, len(lines)), chance.choice(("", "", "  ")))


def empty_row(chance: random.Random, made: Written, lines: list[str]) -> None:
    lines.insert(chance.randint(2, len(lines)), made.style.delimiter * (len(made.names) - 1))
    made.noted.append("without a single value")


def names_again(chance: random.Random, made: Written, lines: list[str]) -> None:
    lines.insert(chance.randint(2, len(lines)), _line(made.names, made.style))
    made.noted.append("the names of the columns")


def open_ends(chance: random.Random, made: Written, lines: list[str]) -> None:
    lines[:] = [line + made.style.delimiter if line.strip(" ") else line for line in lines]
    made.names = [*made.names, ""]
    made.rows = [[*row, ""] for row in made.rows]


def stated_delimiter(chance: random.Random, made: Written, lines: list[str]) -> None:
    lines.insert(0, f"sep={made.style.delimiter}")
    made.noted.append("sep=")


def remark(chance: random.Random, made: Written, lines: list[str]) -> None:
    lines.insert(0, chance.choice(("# made by a program", "// v1.2, do not edit", "%", '# "unclosed')))
    made.noted.append("comment")


HARMLESS: Final = (blank_line, empty_row, names_again, open_ends, stated_delimiter, remark)


# ── what does ───────────────────────────────────────────────────────────────────────────────────────────────


def cut_off(chance: random.Random, text: str) -> str:
    return text[: chance.randint(1, len(text))]


def lose_a_character(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text))
    return text[:at] + text[at + 1 :]


def lose_a_quote(chance: random.Random, text: str) -> str:
    quotes = [at for at, character in enumerate(text) if character == '"']
    at = chance.choice(quotes or [0])
    return text[:at] + text[at + 1 :]


def stray_character(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text))
    return text[:at] + chance.choice('"""\\,;\t|\n\r \x0c\u2028\0') + text[at:]


def stray_quotes(chance: random.Random, text: str) -> str:
    for _ in range(2):
        at = chance.randrange(len(text))
        text = text[:at] + '"' + text[at:]
    return text


def shuffled(chance: random.Random, text: str) -> str:
    pieces = text.split("\n")
    chance.shuffle(pieces)
    return "\n".join(pieces)


HARMFUL: Final = (cut_off, lose_a_character, lose_a_quote, stray_character, stray_quotes, shuffled)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────


def _rows(chance: random.Random) -> list[Row]:
    count = chance.randint(3, 9)
    words = [*chance.sample(WORDS, 3), "red", "blue"]
    return [[str(n), chance.choice(words), "pq"[n % 2]] for n in range(count)]


def _line(row: Row, style: Style) -> str:
    return (style.delimiter + style.after).join(_cell(cell, style) for cell in row)


def _bare(cell: str, style: Style) -> str:
    """A cell that can be written without quotes."""
    taken = (style.delimiter, "\n", "\r") if style.escape == "double" else ("\r",)
    return "bare" if any(mark in cell for mark in taken) or cell.strip().startswith('"') else cell


def _cell(cell: str, style: Style) -> str:
    needed = any(mark in cell for mark in (style.delimiter, "\n", "\r")) or cell.startswith(('"', " "))
    quoted = needed or style.quoting == "all" or (style.quoting == "text" and not cell.isdigit())
    if style.quoting == "none" or not quoted:
        return _escaped(cell, style) if style.escape == "backslash" else cell
    if style.escape == "double":
        return '"' + cell.replace('"', '""') + '"'
    return '"' + cell.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(cell: str, style: Style) -> str:
    for mark in ("\\", style.delimiter, '"', "\n"):
        cell = cell.replace(mark, "\\" + mark)
    return cell
