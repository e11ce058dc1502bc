"""`python -m models spec.json`: train with no server, and see the epochs go by."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from models.complaints import complaints
from models.datasets import BUNDLED, Table, bundled, read
from models.defaults import Completed, complete
from models.errors import CheckpointError, Complaint, DataError, DatasetError, Notice, SpecError
from models.spec import JobSpec
from models.suggestions import near_name

if TYPE_CHECKING:
    from models.training import Training

BAD_INPUT, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what a spec asks for; the exit status is 2 where that is impossible."""
    options = _parser().parse_args(arguments)
    try:
        spec = _spec(options)
        table = _table(spec, options)
        return _train(complete(spec, table.description), table, options.weights, options.checkpoint)
    except SpecError as error:
        _complain(error.complaints)
    except DatasetError as error:
        _complain([Complaint(error.pointer, str(error), suggestion=error.suggestion)])
    except DataError as error:
        _complain([Complaint("/dataset", str(error))])
    except CheckpointError as error:
        _complain([Complaint("", f"{options.checkpoint}: {error}", suggestion="another --checkpoint FILE")])
    return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description="Train a network with no server.")
    parser.add_argument("spec", help="a job spec as a JSON file; - reads it from the standard input")
    parser.add_argument("--data", type=Path, help="a file to train on instead of a bundled dataset")
    parser.add_argument("--target", help="the column of --data to predict; the last one unless named")
    parser.add_argument("--weights", type=Path, help="where to write the trained network")
    parser.add_argument(
        "--checkpoint", type=Path, help="written on Ctrl-C and at the end; where it is, go on"
    )
    return parser


def _spec(options: argparse.Namespace) -> JobSpec:
    try:
        text = sys.stdin.read() if options.spec == "-" else Path(options.spec).read_text(encoding="utf-8")
        document = json.loads(text)
    except OSError as error:
        raise SpecError([Complaint("", f"{options.spec} cannot be read: {error.strerror}")]) from error
    except (ValueError, RecursionError) as error:
        raise SpecError([Complaint("", f"{options.spec} is not JSON: {error}")]) from error
    if options.data and isinstance(document, dict):
        document = {"dataset": options.data.name[-200:], **document}
    try:
        return JobSpec.model_validate(document)
    except ValidationError as error:
        raise SpecError(complaints(error, JobSpec, document)) from error


def _table(spec: JobSpec, options: argparse.Namespace) -> Table:
    if options.data:
        try:
            return read(options.data, filename=options.data.name, target=options.target)
        except OSError as error:
            raise DatasetError(f"{options.data} cannot be read: {error.strerror}") from error
    if spec.dataset not in BUNDLED:
        detail = f"there is no bundled dataset {spec.dataset!r}; bundled are {', '.join(BUNDLED)}"
        near = near_name(spec.dataset, BUNDLED) or "--data FILE"
        raise SpecError([Complaint("/dataset", detail, spec.dataset, near)])
    return bundled(spec.dataset)


def _train(completed: Completed, table: Table, weights: Path | None, checkpoint: Path | None) -> int:
    # Torch takes a second or more to load, which a mistake in the spec need not wait for.
    from models.preprocessing import prepare
    from models.row_notices import data_problems, row_notices
    from models.training import Training
    from models.weights import save

    spec = completed.spec
    _note(completed.notices)
    prepared = prepare(spec, table)
    _note([*row_notices(spec, prepared), *data_problems(spec, table, prepared)])
    training = Training(spec, prepared)
    if checkpoint:
        _drive_from(checkpoint, training)
    else:
        for epoch in training:
            print(epoch)
    if training.stop_reason is None:
        print(f"interrupted after epoch {len(training.history)}; the same command goes on")
        return INTERRUPTED
    print(f"{training.stop_reason}: {training.stop_detail}")
    _note(training.closing_notices())
    _report(training.result())
    if weights:
        state = training.network.state_dict()
        described = table.description
        save(
            weights, network_state=state, spec=spec, preprocessor=prepared.preprocessor, description=described
        )
    return 0


def _drive_from(checkpoint: Path, training: Training) -> None:
    """Go on from the checkpoint, if there is one, and leave one behind; Ctrl-C ends it at a pulse."""
    from models import checkpoints

    if checkpoint.exists():
        training.resume(checkpoints.load(checkpoint))
    with _interruption() as asked:
        for epoch in training.pulses():
            if epoch:
                print(epoch)
            if asked.is_set():
                break
    checkpoints.save(checkpoint, training)


@contextmanager
def _interruption() -> Iterator[Event]:
    """Set by the first Ctrl-C, which else would come in the midst of a step; a second one is as ever."""
    asked = Event()
    before = signal.getsignal(signal.SIGINT)

    def ask(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _note(notices: Sequence[Notice]) -> None:
    for notice in notices:
        print(f"note {notice.pointer}: {notice.detail}")


def _report(result: dict[str, Any]) -> None:
    print(f"{result['parameters']} parameters, best epoch {result['best_epoch']} of {result['last_epoch']}")
    for split in ("train", "validation", "test"):
        if result[split] is not None:
            print(f"{split:10}  " + "  ".join(f"{name} {value:.4f}" for name, value in result[split].items()))


def _complain(found: list[Complaint]) -> None:
    for complaint in found:
        instead = f" (try {complaint.suggestion})" if complaint.suggestion else ""
        print(f"{complaint.pointer or '/'}: {complaint.detail}{instead}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
