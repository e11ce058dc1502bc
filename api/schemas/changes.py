"""What of a job or a dataset may be changed by people: merge patches (RFC 7396)."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator

from models.frozen import Frozen
from models.spec import LabelKey, Text, Value, storable

MOST_LABELS = 50
LONGEST_NOTES = 10_000

LabelChanges = Annotated[dict[LabelKey, Value], Field(max_length=2 * MOST_LABELS)]
Notes = Annotated[str, Field(max_length=LONGEST_NOTES), AfterValidator(storable)]


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class _Changes(Frozen):
    """What is to become different; what is left out stays."""

    metadata: LabelChanges | None = None
    """Labels to be set, each by its key; null takes a label away, and null for all of them takes all away."""
    notes: Notes | None = None
    """Whatever is worth keeping in mind, as text of up to 10,000 characters; null or nothing clears it."""

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("nothing is to be changed; name one of name, metadata and notes")
        return self

    def notes_or(self, before: str | None) -> str | None:
        """The notes as they are to be."""
        return (self.notes or None) if "notes" in self.model_fields_set else before

    def metadata_over(self, before: dict[str, Any]) -> dict[str, Any]:
        """The labels as they are to be."""
        if "metadata" not in self.model_fields_set:
            return before
        if self.metadata is None:
            return {}
        merged = {**before, **self.metadata}
        return {key: value for key, value in merged.items() if key not in self.metadata or value is not None}


class JobChanges(_Changes):
    """What is to become different of a job; what is left out stays."""

    name: Text | None = None
    """What people call it; null takes the name away."""

    def name_or(self, before: str | None) -> str | None:
        """The name as it is to be."""
        return self.name if "name" in self.model_fields_set else before


class DatasetChanges(_Changes):
    """What is to become different of a dataset; what is left out stays."""

    name: Text = Field(default="", json_schema_extra=_without_default)
    """What people call it; it has one always."""

    def name_or(self, before: str) -> str:
        """The name as it is to be."""
        return self.name if "name" in self.model_fields_set else before
