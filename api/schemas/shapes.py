"""What every answer is made of, and a page of a list."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")
Scalar = str | int | float | bool | None
"""What a cell of a table, or a label, may be."""


class Answer(BaseModel):
    """A part of an answer; attribute docstrings are its documentation."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


Notices = Annotated[list[str], Field(exclude_if=lambda notices: not notices)]
"""What whoever asked should know of the answer; left out where there is nothing."""


class Listing(Answer, Generic[Item]):
    """One page of a list."""

    # Docstrings of attributes are sought for each kind of item again, up all frames to the program's start:
    # most of what it takes to import the application. So this says here what its attribute is.
    model_config = ConfigDict(use_attribute_docstrings=False)

    data: list[Item]
    next: str | None = Field(
        description='The cursor of the next page; null behind the last. `Link: …; rel="next"` is its address.'
    )
    notices: Notices = Field([], description="What to know of this list; left out where there is nothing.")
