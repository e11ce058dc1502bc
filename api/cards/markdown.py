"""A model card as Markdown: a section a function, in reading order.

Names come from whoever made job and data, so none of them becomes markup: not a heading, a link, a cell of a
table or HTML, and nothing in it that is invisible.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from api.charts.lettering import number
from api.problems import printable
from api.schemas.cards import CardPort, ModelCard

Lines = Iterator[str]

_MARKUP: Final = re.compile(r"([\\`*\[\]<>|~&#@$]|(?<!\w)_|_(?!\w))")
"""An underscore within a word is no markup."""
_LINE_STARTS: Final = re.compile(r"^(\s*)([-+=])(?![\d.])|^(\s*\d+)([.)])(?=\s|$)")
"""What begins a list or underlines a heading where it stands first."""
_LINKS: Final = re.compile(r"(https?|ftp|www)([:.])", re.IGNORECASE)
_MOST_COLUMNS: Final = 100
"""Rows of a table of columns; wider data are told in numbers, and in full as JSON."""


def to_markdown(card: ModelCard) -> str:
    """The whole card."""
    return "\n\n".join("\n".join(section(card)) for section in _SECTIONS) + "\n"


def escaped(text: object) -> str:
    """A name as one line that is nothing but text, wherever in Markdown it stands; a long one is cut."""
    return _text(printable(str(text)))


def sentence(words: str) -> str:
    """Our own words, whole; there may be a name of somebody's in them."""
    return _text("".join(one if one.isprintable() else "\ufffd" for one in words))


def _text(line: str) -> str:
    return _LINE_STARTS.sub(r"\1\3\\\2\4", _LINKS.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", line)))


def _title(card: ModelCard) -> Lines:
    yield f"# Model card: {escaped(card.name or card.job_id)}"
    yield ""
    yield f"{sentence(card.purpose)} Job `{card.job_id}`, {card.status}: {sentence(card.stop_detail or '')}"


def _limits(card: ModelCard) -> Lines:
    yield "## What it is not for"
    yield ""
    yield from (f"- {sentence(limit)}" for limit in card.limits)


def _data(card: ModelCard) -> Lines:
    data = card.data
    yield "## Data"
    yield ""
    yield f"{escaped(data.name)}, {data.rows:,} rows, sha256 `{data.sha256}`. Target: {escaped(data.target)}."
    yield ""
    if data.splits is None:
        yield f"Splits are told by the column {escaped(data.split_column)}."
    else:
        yield "Splits: " + ", ".join(f"{name} {rows:,}" for name, rows in data.splits.items()) + " rows."
    if data.classes:
        yield ""
        yield "Classes: " + ", ".join(f"{escaped(one.label)} ({one.count:,})" for one in data.classes) + "."
    yield ""
    yield from _columns(card)


def _columns(card: ModelCard) -> Lines:
    columns = card.data.columns
    shown = columns[:_MOST_COLUMNS]
    yield from _table(
        ("column", "kind", "missing"), [(escaped(one.name), one.kind, f"{one.missing:,}") for one in shown]
    )
    if len(columns) > len(shown):
        yield ""
        yield f"… and {len(columns) - len(shown):,} more."


def _training(card: ModelCard) -> Lines:
    yield "## Network and training"
    yield ""
    network, optimizer = card.spec["network"], card.spec["optimizer"]
    widths = network["hidden"] or []
    shape = f"{'-'.join(map(str, widths))} units, {network['activation']}" if widths else "a linear model"
    yield f"Hidden layers: {shape}. Optimizer: {optimizer['kind']}."
    yield ""
    yield from ([f"- {sentence(one.words)}" for one in card.techniques] or ["No regularization."])
    yield ""
    yield from _fenced("json", json.dumps(card.spec, indent=2))


def _curve(card: ModelCard) -> Lines:
    curve = card.curve
    yield "## Curve"
    yield ""
    best = f"Best epoch {curve.best_epoch}, " if curve.best_epoch else ""
    yield f"{best}last epoch {curve.last_epoch}; [drawn]({curve.picture})."
    yield ""
    rows = [
        (f"{one.kind} ({one.epoch})", _number(one.train_loss), _number(one.val_loss)) for one in curve.epochs
    ]
    yield from _table(("epoch", "train_loss", "val_loss"), rows)


def _result(card: ModelCard) -> Lines:
    yield "## Result"
    yield ""
    splits = ("train", "validation", "test")
    rows = [
        (name, *(_number(told.get(split)) for split in splits)) for name, told in card.result.metrics.items()
    ]
    yield from _table(("metric", *splits), rows)
    yield ""
    yield f"Generalization gap (validation loss − training loss): {_number(card.result.generalization_gap)}."


def _diagnosis(card: ModelCard) -> Lines:
    yield "## Diagnosis"
    yield ""
    if card.diagnosis is None:
        yield "There is no curve to judge."
        return
    yield f"**{card.diagnosis.verdict.replace('_', ' ')}**: {sentence(card.diagnosis.summary)}"
    yield ""
    yield from (f"- {sentence(one.detail)}" for one in card.diagnosis.evidence)
    if card.diagnosis.suggestions:
        yield ""
        yield "To try next:"
        yield ""
        yield from (f"- {one.technique}: {sentence(one.detail)}" for one in card.diagnosis.suggestions)


def _sparsity(card: ModelCard) -> Lines:
    yield "## Sparsity"
    yield ""
    rows = [
        (one["name"], "×".join(map(str, one["shape"])), f"{one['zeros']:,}", f"{one['sparsity']:.1%}")
        for one in card.sparsity.layers
    ]
    yield from _table(("layer", "shape", "zeros", "share"), rows)
    yield ""
    dropped = card.sparsity.dropped_inputs
    listed = ", ".join(map(escaped, dropped[:_MOST_COLUMNS])) or "none"
    yield f"Columns whose weights are all zero ({len(dropped):,}): {listed}."


def _warnings(card: ModelCard) -> Lines:
    yield "## Warnings"
    yield ""
    yield from [f"- {escaped(one.pointer)}: {escaped(one.detail)}" for one in card.warnings] or ["None."]


def _files(card: ModelCard) -> Lines:
    yield "## Files"
    yield ""
    files = (("ONNX", card.onnx), ("safetensors", card.weights))
    rows = [(f"[{name}]({one.address})", f"{one.bytes:,}", f"`{one.sha256}`") for name, one in files]
    yield from _table(("file", "bytes", "sha256"), rows)
    yield ""
    yield "Inputs of the ONNX file, and its outputs:"
    yield ""
    yield from _ports(card.onnx.inputs[:_MOST_COLUMNS])
    yield ""
    yield from _ports(card.onnx.outputs)
    yield ""
    yield "Loaded and asked about a row:"
    yield ""
    yield from _fenced("python", card.usage.rstrip())


def _ports(ports: Sequence[CardPort]) -> Lines:
    rows = [
        (escaped(one.name), one.type, " × ".join(map(str, one.shape)), escaped(one.about)) for one in ports
    ]
    yield from _table(("name", "type", "shape", "what"), rows)


def _environment(card: ModelCard) -> Lines:
    yield "## Environment"
    yield ""
    told = card.environment or {}
    yield ", ".join(f"{name} {escaped(value)}" for name, value in told.items()) or "Not recorded."


_SECTIONS: Final[tuple[Callable[[ModelCard], Lines], ...]] = (
    *(_title, _limits, _data, _training, _curve, _result, _diagnosis, _sparsity),
    *(_warnings, _files, _environment),
)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    for row in (head, ["---"] * len(head), *rows):
        yield f"| {' | '.join(row)} |"


def _fenced(language: str, code: str) -> Lines:
    """Code between fences that are longer than any in it."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", code)), 3)
    yield from (f"{fence}{language}", code, fence)


def _number(value: Any) -> str:
    return "–" if value is None else number(value)
