"""What happened in a run, as those outside saw it: requests with their answers, events of streams, faults.

Kept in memory for the checker and, line by line, in a file that stays when the run is over. Times are seconds
of this machine's wall clock, which is also the databases' clock, so that rows and answers can be compared.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar


@dataclass(frozen=True, slots=True)
class Answer:
    """A request, and what was answered to it."""

    sent_at: float
    heard_at: float
    client: str
    method: str
    path: str
    status: int | None
    """None where no answer came, or only a part of it: then nobody can say what the server did."""
    retry_after: bool = False
    key: str | None = None
    """The `Idempotency-Key` that was sent."""
    job: dict[str, Any] | None = None
    """What the answer says of a job, in short: see `SEEN`."""
    detail: str = ""
    """A refusal's own words, or why there is no answer."""


SEEN = ("id", "status", "stop_reason", "requested_action", "attempt", "finished_at")
"""What is kept of a job's document."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A stream was opened, or taken up again, behind event `after`."""

    at: float
    client: str
    job_id: str
    after: int


@dataclass(frozen=True, slots=True)
class Told:
    """An event that a stream told of."""

    at: float
    client: str
    job_id: str
    number: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something was done to the installation."""

    at: float
    until: float
    """When the last of it was done; what it broke may take longer to come back."""
    kind: str
    detail: str
    victims: list[dict[str, Any]] = field(default_factory=list)
    """Jobs that were being trained by what was killed: `{"job_id", "attempt", "epoch"}`."""
    alone: bool = False
    """Nothing else was done meanwhile, and a worker was free to take the job over."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A webhook's receiver was told something, and answered that it had understood."""

    at: float
    delivery_id: str
    event: str
    job_id: str


Record = Answer | Connected | Told | Fault | Delivered
R = TypeVar("R", Answer, Connected, Told, Fault, Delivered)
_KINDS: dict[str, type[Record]] = {
    kind.__name__: kind for kind in (Answer, Connected, Told, Fault, Delivered)
}


class History:
    """Records in the order in which they were noted; any thread may note."""

    def __init__(self, records: Iterable[Record] = (), *, path: Path | None = None) -> None:
        self._records = list(records)
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8") if path else None

    def note(self, record: Record) -> None:
        line = json.dumps({"record": type(record).__name__, **asdict(record)})
        with self._lock:
            self._records.append(record)
            if self._file:
                self._file.write(line + "\n")
                self._file.flush()

    def of(self, kind: type[R]) -> list[R]:
        """All records of a kind, so far."""
        with self._lock:
            return [record for record in self._records if isinstance(record, kind)]

    def close(self) -> None:
        if self._file:
            self._file.close()


def load(path: Path) -> History:
    """A history that was kept, to be checked again."""
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return History(_KINDS[line.pop("record")](**line) for line in lines)
