"""What can go wrong with the memory. The class's docstring is the message, its name is the code."""
# ruff: noqa: N818 - a name says what happened, and as a code it reads better without "Error".

from __future__ import annotations

import errno
import math
from collections.abc import Sequence
from typing import Final


class StoreError(Exception):
    """Something went wrong in the store."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or (type(self).__doc__ or "").strip())


class NotFound(StoreError):
    """There is nothing with this id."""

    def __init__(self, noun: str, name: str) -> None:
        super().__init__(f"there is no {noun} {name!r}" if len(name) <= 80 else f"there is no such {noun}")
        self.noun = noun
        self.name = name


class NoProject(StoreError):
    """This transaction belongs to no project, and what was asked for does."""


class ProjectExists(StoreError):
    """There is a project of this name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a project called {name!r} already")
        self.name = name


class ActionNotAllowed(StoreError):
    """This action makes no sense in the job's present state."""

    def __init__(self, action: str, status: str, allowed: Sequence[str]) -> None:
        choices = f"allowed now: {', '.join(allowed)}" if allowed else "nothing is allowed now"
        super().__init__(f"a job that is {status} cannot take {action!r}; {choices}")
        self.action = action
        self.status = status
        self.allowed = list(allowed)


class DatasetInUse(StoreError):
    """Jobs use this dataset; delete them first."""

    MOST_COUNTED = 1_000

    def __init__(self, dataset_id: str, jobs: int) -> None:
        those = "1 job, delete it" if jobs == 1 else f"{jobs} jobs, delete them"
        if jobs >= self.MOST_COUNTED:
            those = f"{jobs:,} jobs or more, delete them"
        super().__init__(f"dataset {dataset_id!r} is used by {those} first")
        self.dataset_id = dataset_id
        self.jobs = jobs


class BadDestination(StoreError):
    """A webhook cannot lead there."""

    def __init__(self, detail: str, suggestion: str | None = None) -> None:
        super().__init__(detail)
        self.suggestion = suggestion


class TooManyWebhooks(StoreError):
    """A project has no more webhooks than these; delete one first."""


class WebhookDisabled(StoreError):
    """This webhook is disabled; enable it first."""


class IdempotencyMismatch(StoreError):
    """This idempotency key was used before with another request."""


class IdempotencyInFlight(StoreError):
    """A request with this idempotency key is still being answered."""

    def __init__(self, seconds: float = 1.0) -> None:
        """`seconds`: after so long its place is given up, unless it is renewed."""
        super().__init__()
        self.retry_after = max(1, math.ceil(seconds))


class BadCursor(StoreError):
    """The cursor is not one that a page of this list gave out."""


class UnstorableValue(StoreError, ValueError):
    """A database cannot hold this value."""


class GapInCurve(StoreError):
    """These epochs do not follow the last one recorded."""


class FileMissing(StoreError):
    """The file is not there."""


class FileDamaged(StoreError):
    """The file's bytes are not the ones that were stored."""


class DatabaseUnavailable(StoreError):
    """The database cannot be reached or is too busy."""


class StatementTooLong(DatabaseUnavailable):
    """The database took too long over this and was stopped; ask for less, or later."""


class DatabaseFull(DatabaseUnavailable):
    """There is no space left for the database."""


class FilesUnavailable(StoreError):
    """The file store cannot be reached or refuses the request."""


class FilesFull(StoreError):
    """There is no space left for files."""


DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a system says where a disk, or one's share of it, is full."""


class SchemaOutdated(StoreError):
    """The database's schema is not the one this version needs; run `ridgeline database upgrade`."""


class BackupError(StoreError):
    """The backup cannot be written, or cannot be restored."""
