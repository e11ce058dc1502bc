"""Projects with their quotas and what they use of them: what may be asked for, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from api.schemas.shapes import Answer
from models.frozen import Frozen
from models.spec import Text
from store.projects import Project

Quota = Annotated[int, Field(ge=0, lt=2**53)]


class OwnQuotas(Frozen):
    """Quotas that are a project's own: null takes the server's, 0 is no limit."""

    open_jobs: Quota | None = None
    """Jobs that have not ended."""
    stored_bytes: Quota | None = None
    """What datasets, weights and checkpoints take."""
    requests_per_minute: Quota | None = None

    def by_column(self) -> dict[str, int | None]:
        """Those that were named, as the store calls them."""
        return {f"max_{name}": getattr(self, name) for name in self.model_fields_set}


class ProjectRequest(Frozen):
    """A project to be made."""

    name: Text
    quotas: OwnQuotas = OwnQuotas()


class ProjectChanges(Frozen):
    """What is to become different; what is left out stays."""

    name: Text | None = None
    quotas: OwnQuotas = OwnQuotas()


class Quotas(Answer):
    """What a project may have; 0 is no limit."""

    open_jobs: int
    stored_bytes: int
    requests_per_minute: int


class Usage(Answer):
    """What a project has."""

    open_jobs: int
    stored_bytes: int


class ProjectAnswer(Answer):
    """A project."""

    id: str
    name: str
    quotas: Quotas
    """Those that hold: its own, or the server's."""
    own_quotas: OwnQuotas
    created_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, project: Project, quotas: Mapping[str, int]) -> Self:
        """The answer for a row."""
        return cls(**_parts(project, quotas))


class ProjectDetail(ProjectAnswer):
    """A project, and what it uses of its quotas."""

    usage: Usage

    @classmethod
    def with_usage(cls, project: Project, quotas: Mapping[str, int], usage: Usage) -> Self:
        """The answer for a row whose use was counted."""
        return cls(**_parts(project, quotas), usage=usage)


def _parts(project: Project, quotas: Mapping[str, int]) -> dict[str, Any]:
    own = {name: getattr(project, f"max_{name}") for name in OwnQuotas.model_fields}
    return {
        "id": project.id,
        "name": project.name,
        "quotas": Quotas(**quotas),
        "own_quotas": OwnQuotas(**own),
        "created_at": project.created_at,
        "links": {"self": f"/v1/projects/{project.id}"},
    }
