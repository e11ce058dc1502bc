"""What a list of jobs may be narrowed by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, get_args

from fastapi import Query, Request
from pydantic import AfterValidator, BeforeValidator

from api.addresses import FREE_PREFIX
from api.errors import InvalidInputError
from api.schemas import STOP_REASONS, Status
from models.errors import Complaint
from models.spec import Text
from store.jobs import Filters

MOST_LABELS: Final = 8
"""Labels that a list may be narrowed by: each is looked up for every job that has the rarest."""


def _utc(moment: datetime) -> datetime:
    """In UTC, which a time without a zone is taken to be."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("this time lies outside of the years 1 to 9999") from None


def _chosen(word: str, known: Sequence[str]) -> list[str]:
    """`running,queued` → both; each of them must be known."""
    words = [part.strip() for part in word.split(",")]
    if unknown := [part for part in words if part not in known]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return words


def _statuses(word: str) -> str:
    return ",".join(_chosen(word, get_args(Status)))


def _reasons(word: str) -> str:
    return ",".join(_chosen(word, STOP_REASONS))


def _written(word: object) -> object:
    """A time as people write it; a number of seconds is none."""
    if isinstance(word, str) and not _DAY.match(word):
        raise ValueError("write a time as 2026-11-22T12:00:00Z")
    return word


_DAY = re.compile(r"\d{4}-\d\d-\d\d")
Moment = Annotated[datetime, BeforeValidator(_written), AfterValidator(_utc)]
Statuses = Annotated[Text, AfterValidator(_statuses)]
Reasons = Annotated[Text, AfterValidator(_reasons)]


class JobFilters:
    """The query parameters of `GET /v1/jobs` that narrow it."""

    def __init__(
        self,
        request: Request,
        status: Annotated[Statuses | None, Query(description="One, or several with commas.")] = None,
        stop_reason: Annotated[Reasons | None, Query(description="One, or several with commas.")] = None,
        dataset: Annotated[Text | None, Query(description="A dataset's id or name.")] = None,
        study: Text | None = None,
        name: Text | None = None,
        created_after: Annotated[
            Moment | None, Query(description="RFC 3339; UTC where no zone is given.")
        ] = None,
        created_before: Moment | None = None,
        metadata: Annotated[  # noqa: ARG002 - documents the parameters that `_labels` reads
            str | None,
            Query(
                alias=FREE_PREFIX,
                description=f"`metadata.team=risk`: jobs whose metadata say so; at most {MOST_LABELS}.",
                max_length=0,
            ),
        ] = None,
    ) -> None:
        self._filters = Filters(
            status=status.split(",") if status else (),
            stop_reason=stop_reason.split(",") if stop_reason else (),
            dataset=dataset,
            study=study,
            name=name,
            metadata=_labels(request),
            created_after=created_after,
            created_before=created_before,
        )

    def chosen(self) -> Filters:
        """As the store takes them."""
        return self._filters


def _labels(request: Request) -> dict[str, str]:
    """`?metadata.team=risk&metadata.year=2026` → {"team": "risk", "year": "2026"}."""
    labels = {
        name.removeprefix(FREE_PREFIX): value
        for name, value in request.query_params.items()
        if name.startswith(FREE_PREFIX)
    }
    if len(labels) > MOST_LABELS:
        detail = f"a list is narrowed by at most {MOST_LABELS} labels at once, and these are {len(labels)}"
        raise InvalidInputError(errors=[Complaint("/query/metadata", detail, len(labels), str(MOST_LABELS))])
    for key, value in labels.items():
        if "\x00" in key + value or len(key) > 64 or len(value) > 2000:
            pointer = f"/query/{FREE_PREFIX}{key[:64]}"
            raise InvalidInputError(
                errors=[Complaint(pointer, "keys have at most 64 characters, values 2000, and no NUL")]
            )
    return labels
