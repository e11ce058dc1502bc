"""Every exception that a client may cause or meet, and the status it becomes: one table, one handler.

The science and the memory raise in their own words and know no statuses; the exceptions below are the web's
own. A docstring is the title of the problem, the name is its code.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.addresses import allowed
from api.parameters import parameter_complaint
from api.problems import Kind, Report, respond
from models import errors as science
from models.errors import Complaint
from store import errors as memory

log = structlog.get_logger(__name__)


class WebError(science.RidgelineError):
    """The request cannot be answered."""

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[Complaint] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail or "; ".join(error.detail for error in errors[:3]) or None)
        self.errors = errors
        self.headers = headers or {}


class MalformedRequestError(WebError):
    """The request cannot be read."""


class UnauthorizedError(WebError):
    """No valid API key came with the request."""

    def __init__(self) -> None:
        # The same words whatever is wrong: a key that exists must not look different from one that does not.
        super().__init__(
            "send a valid API key, `Authorization: Bearer rl_…`; it is missing, unknown, expired or revoked",
            headers={"WWW-Authenticate": "Bearer"},
        )


class ForbiddenError(WebError):
    """The API key does not go so far."""


class UnknownAddressError(WebError):
    """There is nothing at this address."""


class NoWeightsError(WebError):
    """This job has no weights."""


class NoDiagnosisError(WebError):
    """There is nothing to judge this job by."""


class MethodNotAllowedError(WebError):
    """This address does not answer that method."""


class NotAcceptableError(WebError):
    """None of the media types that were asked for is to be had here."""


class BodyTimeoutError(WebError):
    """The body did not arrive in time."""


class BodyTooLargeError(WebError):
    """The body is larger than this server takes."""


class AddressTooLongError(WebError):
    """The address, with its query, is longer than this server takes."""


class HeadersTooLargeError(WebError):
    """The request has more headers, or larger ones, than this server takes."""


class UnsupportedMediaTypeError(WebError):
    """The body is of a media type that is not understood here."""


class MisdirectedRequestError(WebError):
    """The Host header names another server."""


class InvalidInputError(WebError):
    """Something in the request is wrong."""


class BundledDatasetError(WebError):
    """A bundled dataset stays."""


class TooManyFailuresError(WebError):
    """Too many requests without a valid API key came from this address."""


class QuotaExceededError(WebError):
    """The project has as much as it may."""

    def __init__(self, detail: str, *, quota: str, limit: int, headers: Mapping[str, str]) -> None:
        super().__init__(detail, headers=headers)
        self.quota = quota
        self.limit = limit


class UnavailableError(WebError):
    """Something the server needs is away."""


class InternalError(WebError):
    """A fault of the server."""


STATUSES: Final[dict[type[Exception], int]] = {
    MalformedRequestError: 400,
    UnauthorizedError: 401,
    ForbiddenError: 403,
    memory.NotFound: 404,
    UnknownAddressError: 404,
    NoWeightsError: 404,
    NoDiagnosisError: 404,
    MethodNotAllowedError: 405,
    NotAcceptableError: 406,
    BodyTimeoutError: 408,
    memory.ActionNotAllowed: 409,
    memory.DatasetInUse: 409,
    memory.ProjectExists: 409,
    memory.TooManyWebhooks: 409,
    memory.WebhookDisabled: 409,
    BundledDatasetError: 409,
    science.WeightsError: 409,
    memory.IdempotencyInFlight: 409,
    BodyTooLargeError: 413,
    AddressTooLongError: 414,
    UnsupportedMediaTypeError: 415,
    MisdirectedRequestError: 421,
    memory.BadCursor: 422,
    memory.BadDestination: 422,
    memory.IdempotencyMismatch: 422,
    memory.UnstorableValue: 422,
    science.SpecError: 422,
    science.TooExpensiveError: 422,
    science.DatasetError: 422,
    science.DataError: 422,
    science.RowsError: 422,
    InvalidInputError: 422,
    TooManyFailuresError: 429,
    QuotaExceededError: 429,
    HeadersTooLargeError: 431,
    InternalError: 500,
    memory.DatabaseUnavailable: 503,
    memory.FilesUnavailable: 503,
    memory.SchemaOutdated: 503,
    memory.StatementTooLong: 503,
    UnavailableError: 503,
    memory.DatabaseFull: 507,
    memory.FilesFull: 507,
}
"""The one table of statuses. What is not in it is a fault of ours: 500."""

RETRY_AFTER: Final[dict[type[Exception], str]] = {
    memory.DatabaseUnavailable: "5",
    memory.FilesUnavailable: "5",
    memory.SchemaOutdated: "5",
    memory.StatementTooLong: "10",
    UnavailableError: "5",
    memory.DatabaseFull: "60",
    memory.FilesFull: "60",
}
"""Seconds after which it is worth while to ask again."""

_FRAMEWORK: Final[dict[int, type[WebError]]] = {
    400: MalformedRequestError,
    404: UnknownAddressError,
    405: MethodNotAllowedError,
}
"""What the framework says by number, in our words."""


def kind_of(error: type[Exception]) -> Kind:
    """The kind of problem an exception is, by the nearest of its classes in the table."""
    known = next((each for each in error.__mro__ if each in STATUSES), InternalError)
    words = re.sub(r"(?<!^)(?=[A-Z])", "-", known.__name__.removesuffix("Error")).lower()
    title = (known.__doc__ or "").strip().splitlines()[0].removesuffix(".")
    return Kind(words, title, STATUSES[known])


def kinds() -> list[Kind]:
    """Every kind of problem there is."""
    return [kind_of(error) for error in STATUSES]


def report(error: Exception) -> Report:
    """What to tell the client of an exception."""
    kind = kind_of(type(error))
    detail = "the server's log says more under this request_id" if kind.status == 500 else str(error)
    seconds = next((RETRY_AFTER[each] for each in type(error).__mro__ if each in RETRY_AFTER), None)
    if isinstance(error, memory.IdempotencyInFlight):
        seconds = str(error.retry_after)
    retry = {"Retry-After": seconds} if seconds else {}
    headers = error.headers if isinstance(error, WebError) else {}
    return Report(kind, detail, _input_errors(error), _more(error), {**retry, **headers})


def _input_errors(error: Exception) -> Sequence[Complaint]:
    match error:
        case WebError():
            return error.errors
        case science.SpecError() | science.RowsError():
            return error.complaints
        case science.DatasetError():
            return [Complaint(error.pointer, str(error), suggestion=error.suggestion)]
        case memory.BadCursor():
            return [Complaint("/query/cursor", str(error), suggestion="take `next` of a page as it is")]
        case memory.BadDestination():
            return [Complaint("/url", str(error), suggestion=error.suggestion)]
        case memory.IdempotencyMismatch():
            return [Complaint("/header/idempotency-key", str(error), suggestion="use a fresh key")]
        case _:
            return ()


def _more(error: Exception) -> dict[str, Any]:
    match error:
        case memory.ActionNotAllowed():
            return {"allowed_actions": error.allowed}
        case QuotaExceededError():
            return {"quota": error.quota, "limit": error.limit}
        case _:
            return {}


def outage(error: OSError) -> Exception | None:
    """What a system's error says of the disk or the machine; None where it says nothing of them."""
    if error.errno in memory.DISK_FULL:
        return memory.FilesFull(f"there is no space left for files: {error.strerror}")
    if error.errno in _EXHAUSTED:
        return UnavailableError(f"this machine has none left of what that takes: {error.strerror}")
    return None


_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS})
"""What a system says where open files, processes or memory are used up."""


def _from_system(request: Request, error: Exception) -> Response:
    """What the machine refuses is an outage; any other error of the system is a fault of ours."""
    if (refused := outage(cast("OSError", error))) is None:
        raise error
    return answer(request, refused)


def answer(request: Request, error: Exception) -> Response:
    """The problem document for an exception; a disk that is full is remembered, for `/readyz`."""
    request.app.state.server.shortages.note(error)
    if isinstance(error, memory.StatementTooLong):
        log.warning("a statement took too long and was stopped", method=request.method, path=request.url.path)
    return respond(report(error), request.scope)


def _from_framework(request: Request, error: Exception) -> Response:
    """404, 405 and the like, which the router raises by number."""
    raised = cast("HTTPException", error)
    if raised.status_code == 405 and request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": ", ".join(allowed(request))})
    ours = _FRAMEWORK.get(raised.status_code, MalformedRequestError)
    headers = {"Allow": ", ".join(allowed(request))} if ours is MethodNotAllowedError else raised.headers
    return answer(request, ours(_said_of_address(ours, request), headers=headers))


def _said_of_address(kind: type[WebError], request: Request) -> str | None:
    path = request.url.path
    if kind is MethodNotAllowedError:
        return f"{path} does not answer {request.method}"
    if kind is UnknownAddressError:
        slash = "; addresses here do not end in a slash" if path.endswith("/") and path != "/" else ""
        return f"there is nothing at {path}{slash}; /docs lists what there is"
    return None


def _from_parameters(request: Request, error: Exception) -> Response:
    """What FastAPI found wrong with path, query or headers."""
    raised = cast("RequestValidationError", error)
    return answer(request, InvalidInputError(errors=[parameter_complaint(each) for each in raised.errors()]))


def install(app: FastAPI) -> None:
    """Answer every exception of the table with its problem document."""
    for error in STATUSES:
        app.add_exception_handler(error, answer)
    app.add_exception_handler(OSError, _from_system)
    app.add_exception_handler(HTTPException, _from_framework)
    app.add_exception_handler(RequestValidationError, _from_parameters)
