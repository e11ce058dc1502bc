"""The OpenAPI document, and a page to read and try it that needs nothing from other hosts."""

from __future__ import annotations

import html
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import Request

from api import errors
from api.access import needed
from api.outgoing import PiecewiseRoute
from api.problems import Problem
from api.schemas.changes import DatasetChanges, JobChanges
from api.schemas.keys import KeyRequest
from api.schemas.predictions import PredictionRequest
from api.schemas.projects import ProjectChanges, ProjectRequest
from api.schemas.webhooks import WebhookChanges, WebhookRequest
from models.spec import JobSpec

_BODIES: Final = (
    *(JobSpec, Problem, WebhookRequest, WebhookChanges),
    *(KeyRequest, ProjectRequest, ProjectChanges, PredictionRequest, JobChanges, DatasetChanges),
)
"""What the routes read themselves, or answer by themselves."""
ADDRESS: Final = "/v1/openapi.json"
_REFERENCE: Final = "#/components/schemas/{model}"
_PAGE: Final = Path(__file__).with_name("docs")
_ASSETS: Final = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_SCHEME: Final = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "rl_<id>_<secret>",
    "description": (
        "An API key. `write` implies `read`, `admin` implies both; `operator` is an admin key of the project "
        "`default`. A server that listens on loopback alone asks for none."
    ),
}
_POLICY: Final = {
    # Swagger UI styles its elements in place and carries its icons as data.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
    )
}


def install(app: FastAPI) -> None:
    """Serve the document and its pages."""
    app.openapi = lambda: _document(app)  # type: ignore[method-assign]
    app.router.route_class = PiecewiseRoute
    app.add_api_route(ADDRESS, _show_document, include_in_schema=False)
    app.add_api_route("/docs", _show_page, include_in_schema=False)
    app.add_api_route("/docs/problems", _show_problems, include_in_schema=False)
    app.add_api_route("/docs/{name}", _show_asset, include_in_schema=False)


def operation_id(route: APIRoute) -> str:
    """An operation is called what its function is called: a verb and a noun, as in `submit_job`.

    Whoever generates a client finds it there under this name, so a name stays.
    """
    return route.name


def _document(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            routes=app.routes,
            tags=app.openapi_tags,
        )
        _keep_nulls(app, document)
        _json_first(document)
        schemas = document["components"]["schemas"]
        for model in _BODIES:
            schemas |= _schemas(model)
        for answer in ("JobAnswer", "ModelCard", "Validation"):
            schemas[answer]["properties"]["spec"]["$ref"] = _REFERENCE.format(model="JobSpec")
        # What FastAPI says of its own 422 is not what is answered here.
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        _leave_null_out_of_parameters(document)
        if app.state.server.settings.asks_for_keys:
            _say_who_may(document)
        app.openapi_schema = document
    return app.openapi_schema


def _leave_null_out_of_parameters(document: dict[str, Any]) -> None:
    """A query knows no null: what is not to be said is left out."""
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    for parameter in (one for operation in operations for one in operation.get("parameters", ())):
        schema = parameter["schema"]
        said = [option for option in schema.pop("anyOf", ()) if option.get("type") != "null"]
        parameter["schema"] = {**schema, **said[0]} if len(said) == 1 else schema


def _keep_nulls(app: FastAPI, document: dict[str, Any]) -> None:
    """FastAPI drops every null of a route's own request body; in an example it is a value like any other."""
    for route in iter_route_contexts(app.routes):
        said = getattr(route, "openapi_extra", None) or {}
        for method in route.methods or () if "requestBody" in said else ():
            document["paths"][route.path_format][method.lower()]["requestBody"] = said["requestBody"]


def _json_first(document: dict[str, Any]) -> None:
    """Clients that are generated take the first form of an answer that they know for the only one."""
    operations = (each for methods in document["paths"].values() for each in methods.values())
    for answer in (answer for each in operations for answer in each["responses"].values()):
        content = answer.get("content", {})
        if "application/json" in content:
            answer["content"] = {"application/json": content["application/json"], **content}


def _say_who_may(document: dict[str, Any]) -> None:
    """What each operation needs of a key, by the very rule that lets callers in."""
    document["components"]["securitySchemes"] = {"key": _SCHEME}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            need = needed(method.upper(), path)
            operation["security"] = [] if need == "nothing" else [{"key": [need]}]
            if need == "nothing":
                for status in ("401", "403", "429"):
                    operation["responses"].pop(status, None)


def _schemas(model: Any) -> dict[str, Any]:
    """A model's schema and those of its parts, by name."""
    schema = model.model_json_schema(ref_template=_REFERENCE)
    return {**schema.pop("$defs", {}), model.__name__: schema}


async def _show_document(request: Request) -> JSONResponse:
    return JSONResponse(request.app.openapi())


async def _show_page() -> HTMLResponse:
    return HTMLResponse((_PAGE / "index.html").read_text(), headers=_POLICY)


async def _show_problems() -> HTMLResponse:
    """What every `type` of a problem document means."""
    rows = "\n".join(
        f'<tr id="{kind.code}"><td><code>{kind.code}</code></td>'
        f"<td>{kind.status}</td><td>{html.escape(kind.title)}</td></tr>"
        for kind in errors.kinds()
    )
    return HTMLResponse((_PAGE / "problems.html").read_text().replace("<!-- rows -->", rows), headers=_POLICY)


async def _show_asset(name: str) -> FileResponse:
    own = {"start.js": "text/javascript", "page.css": "text/css"}
    if name in own:
        return FileResponse(_PAGE / name, media_type=own[name])
    if name not in _ASSETS:
        raise errors.UnknownAddressError(f"there is nothing at /docs/{name[:80]}")
    return FileResponse(_vendored() / name, media_type=_ASSETS[name])


@cache
def _vendored() -> Path:
    """Where Swagger UI lies: the package `fastapi-offline` carries it, and nothing else of it is used."""
    found = importlib.util.find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise errors.UnavailableError(
            "Swagger UI is not installed; the OpenAPI document is at /v1/openapi.json"
        )
    return Path(found.origin).parent / "static"
