"""A finished job as an event file for TensorBoard: scalars, spec and hyperparameters.

Written with the `tensorboard` package alone. A job has a folder of its own and in it one file under one name,
written whole or not at all, so exporting again changes nothing. TensorBoard keeps scalars as float32.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cli.finished import Finished, MissingExtraError

LONGEST_NAME = 60
STATUSES = {"succeeded": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}
"""Of sessions of hyperparameters; whatever else a job may have ended as is unknown there."""


def write(folder: Path, done: Finished) -> Path:
    """Write a job's event file below `folder`; answers where. `MissingExtraError` without TensorBoard."""
    try:
        from tensorboard.summary.writer.record_writer import (  # type: ignore[import-untyped]
            RecordWriter,
        )
    except ImportError:
        raise MissingExtraError("TensorBoard") from None
    place = folder / run_name(done)
    place.mkdir(parents=True, exist_ok=True)
    # TensorBoard reads whatever has `tfevents` in its name, a half-written file too.
    half = place / "writing"
    with half.open("wb") as file:
        records = RecordWriter(file)
        for event in _events(done):
            records.write(event.SerializeToString())
    return half.replace(place / f"events.out.tfevents.{done.began:.0f}.ridgeline")


def run_name(done: Finished) -> str:
    """What TensorBoard calls it: its name made fit for a folder, and its id."""
    name = re.sub(r"[^\w.-]+", "-", done.job["name"] or "").strip("-.")[:LONGEST_NAME]
    job_id: str = done.job["id"]
    return f"{name}-{job_id}" if name else job_id


def tag(series: str) -> str:
    """`loss/train` of `train_loss`: what is measured comes first, so that its splits lie side by side."""
    for split, word in (("train_", "train"), ("val_", "validation")):
        if series.startswith(split):
            return f"{series.removeprefix(split)}/{word}"
    if series == "objective":
        return "loss/objective"
    return series.replace("_", "/", 1) if series.startswith("penalty_") else f"training/{series}"


def _events(done: Finished) -> Iterator[Any]:
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

    yield Event(wall_time=done.began, file_version="brain.Event:2")
    for value in (_spec(done), _session_start(done), _layout(done)):
        yield Event(wall_time=done.began, summary=Summary(value=[value]))
    for row, moment in enumerate(done.moments()):
        measured = ((tag(name), values[row]) for name, values in done.series.items())
        values = [
            Summary.Value(tag=name, simple_value=value) for name, value in measured if value is not None
        ]
        yield Event(wall_time=moment, step=row + 1, summary=Summary(value=values))
    results = [Summary.Value(tag=f"result/{name}", simple_value=value) for name, value in done.results()]
    yield Event(wall_time=done.ended, step=done.restored_epoch, summary=Summary(value=results))
    yield Event(wall_time=done.ended, summary=Summary(value=[_session_end(done)]))


def _spec(done: Finished) -> Any:
    """The full spec as text, in Markdown."""
    text = f"```json\n{json.dumps(done.job['spec'], indent=2, ensure_ascii=False)}\n```"
    return _plugin("spec/text_summary", "text", [text.encode()])


def _session_start(done: Finished) -> Any:
    from tensorboard.plugins.hparams.plugin_data_pb2 import (  # type: ignore[import-untyped]
        HParamsPluginData,
        SessionStartInfo,
    )

    start = SessionStartInfo(group_name=done.job["id"], start_time_secs=done.began)
    for name, value in done.settings():
        kind = "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"
        setattr(start.hparams[name], f"{kind}_value", value)
    return _hparams("session_start_info", HParamsPluginData(version=0, session_start_info=start))


def _session_end(done: Finished) -> Any:
    from tensorboard.plugins.hparams import api_pb2  # type: ignore[import-untyped]
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    status = api_pb2.Status.Value(STATUSES.get(done.job["status"], "STATUS_UNKNOWN"))
    end = SessionEndInfo(status=status, end_time_secs=done.ended)
    return _hparams("session_end_info", HParamsPluginData(version=0, session_end_info=end))


def _hparams(name: str, content: Any) -> Any:
    """The plugin reads what it needs from the tag's metadata, and no tensor."""
    return _plugin(f"_hparams_/{name}", "hparams", None, content.SerializeToString())


def _layout(done: Finished) -> Any:
    """A chart for each measure with training and validation in it, on the page of custom scalars."""
    from tensorboard.plugins.custom_scalar.layout_pb2 import (  # type: ignore[import-untyped]
        Category,
        Chart,
        Layout,
        MultilineChartContent,
    )

    both = [name.removeprefix("val_") for name in done.series if name.startswith("val_")]
    charts = [
        Chart(title=name, multiline=MultilineChartContent(tag=[f"{name}/train", f"{name}/validation"]))
        for name in both
    ]
    layout = Layout(category=[Category(title="training and validation", chart=charts)])
    return _plugin("custom_scalars__config__", "custom_scalars", [layout.SerializeToString()])


def _plugin(tag: str, plugin: str, strings: list[bytes] | None, content: bytes = b"") -> Any:
    """A value that belongs to a plugin: some strings, or nothing but what its metadata say."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto  # type: ignore[import-untyped]
    from tensorboard.compat.proto.tensor_shape_pb2 import (  # type: ignore[import-untyped]
        TensorShapeProto,
    )
    from tensorboard.compat.proto.types_pb2 import (  # type: ignore[import-untyped]
        DT_FLOAT,
        DT_STRING,
    )

    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=plugin, content=content))
    if strings is None:
        tensor = TensorProto(dtype=DT_FLOAT, float_val=[0.0], tensor_shape=TensorShapeProto())
    else:
        # One string is a scalar; TensorBoard takes text as a list of them.
        sizes = [TensorShapeProto.Dim(size=len(strings))] if plugin == "text" else []
        tensor = TensorProto(dtype=DT_STRING, string_val=strings, tensor_shape=TensorShapeProto(dim=sizes))
    return Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
