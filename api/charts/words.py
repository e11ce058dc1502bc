"""Words on matplotlib's paper: as they are, in one font, no wider than their place. Imported only to draw."""

from __future__ import annotations

import html
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from matplotlib import font_manager
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from api.charts.lettering import ELLIPSIS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL, NORMAL, LARGE = 8.5, 9.5, 13.5
_FONT = "DejaVu Sans"
_MISSING = "\u25a1"


def write(
    where: Axes | Figure, words: str, x: float, y: float, *, within: float, size: float = SMALL, **style: Any
) -> Text:
    """Text without formulas in it, clipped to `within` points of width."""
    fitting = _fitting(words, within, size, style.get("weight", "normal"))
    drawn = _in_the_font(fitting)
    text: Text = where.text(x, y, drawn, parse_math=False, family=_FONT, size=size, **style)
    if drawn != fitting:
        text.set_label(fitting)
    return text


def width(words: str, size: float, weight: str = "normal") -> float:
    """How many points wide a text will be."""
    font = font_manager.FontProperties(family=_FONT, size=size, weight=weight)
    points: float = text_to_path.get_text_width_height_descent(_in_the_font(words), font, False)[0]
    return points


def label_unfinished(figure: Figure) -> list[Text]:
    """Texts that lack characters, each with an id by which `finished` will find it in the SVG."""
    unfinished = [text for text in figure.findobj(Text) if text.get_label()]
    for index, text in enumerate(unfinished):
        text.set_gid(f"words-{index}")
    return unfinished


def finished(svg: str, unfinished: list[Text]) -> str:
    """The SVG with the characters that our font lacked: whoever shows it may have a font that does not."""
    for text in unfinished:
        start = svg.index(f'<g id="{text.get_gid()}">')
        drawn, whole = (html.escape(str(words), quote=False) for words in (text.get_text(), text.get_label()))
        svg = svg[:start] + svg[start:].replace(f">{drawn}</text>", f">{whole}</text>", 1)
    return svg


def _fitting(words: str, within: float, size: float, weight: str) -> str:
    """The longest beginning of a text that fits, with an ellipsis where something is left out."""
    fits, too_long = 0, len(words) + 1
    if width(words, size, weight) <= within:
        return words
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        narrow = width(_beginning(words, middle), size, weight) <= within
        fits, too_long = (middle, too_long) if narrow else (fits, middle)
    return _beginning(words, fits)


def _beginning(words: str, length: int) -> str:
    return words[:length].rstrip() + ELLIPSIS


def _in_the_font(words: str) -> str:
    known = _characters()
    return "".join(character if ord(character) in known else _MISSING for character in words)


@lru_cache(maxsize=1)
def _characters() -> frozenset[int]:
    return frozenset(font_manager.get_font(font_manager.findfont(_FONT)).get_charmap())
