"""What every answer is made of, and a page of a list."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")
Scalar = str | int | float | bool | None
"""What a cell of a table, or a label, may be."""


class Answer(BaseModel):
    """A part of an answer; attribute docstrings are its documentation."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


class Listing(Answer, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    next: str | None
    """The cursor of the next page; null behind the last. `Link: …; rel="next"` is its address."""
