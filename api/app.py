"""The web's door: `uvicorn --factory api.app:create_app`, or `python -m api`, which stops more gracefully.

Importing this loads no torch, NumPy, polars, matplotlib or scikit-learn, and opens nothing; the application
opens its database and broker when it starts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.telemetry import TelemetryConfig

from api import errors, openapi, uploads
from api.access import PREDICT, Access, Guard
from api.bundles import Bundles
from api.conditional import ConditionalAnswers
from api.deps import Server, known_queries_only
from api.describing import Describer
from api.file_work import FileWork
from api.heads import HeadLimits, UnambiguousHeads
from api.hosts import LoopbackHostsOnly
from api.in_flight import InFlight
from api.keeping import sweep_workspaces
from api.limits import FORM_BYTES, BodyLimits
from api.metering import Meter, Metered
from api.networks import Networks
from api.origins import Preflights, ReadableAnswers
from api.outgoing import Outgoing
from api.queue import Nudges
from api.quotas import Counted, Quotas
from api.readiness import Probes
from api.requests import RequestIdentity
from api.routes import (
    cards,
    catalog,
    curves,
    dashboard,
    datasets,
    diagnosis,
    events,
    keys,
    operation,
    predictions,
    projects,
    webhooks,
    weights,
    workers,
)
from api.routes import jobs as job_routes
from api.routes import models as model_routes
from api.routes.workers import alive_seconds
from api.shortages import Shortages
from store import gauges, migrate
from store.errors import DatabaseUnavailable, StoreError
from store.files import Files
from store.gauges import Gauges
from store.session import Database
from store.settings import Settings
from store.tables import DEFAULT_PROJECT
from store.tracing import Tracing

_DESCRIPTION = """
Send a job spec, get a trained, regularized network and its learning curve.

1. `POST /v1/datasets` a file, or name a bundled dataset: `iris`, `wine`, `breast_cancer`, `digits`,
   `diabetes`.
2. `POST /v1/jobs` a spec; only `dataset` is required.
3. Watch `GET /v1/jobs/{id}/events`, read `GET /v1/jobs/{id}`, draw `GET /v1/jobs/{id}/curves?format=png`.
4. Ask the network: `POST /v1/jobs/{id}/predict`; or take it away: `GET /v1/jobs/{id}/model`.

Errors are problem documents (RFC 9457) that point to what is wrong and say what to write instead.
"""

_TAGS = [
    {"name": "datasets", "description": "What networks are trained on."},
    {"name": "jobs", "description": "Networks to train: submit, watch, steer."},
    {"name": "curves", "description": "How training went, epoch by epoch."},
    {"name": "events", "description": "What happened to a job, live."},
    {"name": "weights", "description": "What a network learned."},
    {"name": "predictions", "description": "A trained network in use."},
    {"name": "models", "description": "A trained network to take away, and what it is."},
    {"name": "catalog", "description": "What may be written into a spec."},
    {"name": "webhooks", "description": "Being told, instead of asking."},
    {"name": "projects", "description": "What belongs together, and how much of it there may be."},
    {"name": "keys", "description": "Who may call."},
    {"name": "operation", "description": "For those who run the service."},
]

_UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked for every few seconds, by programs."""

log = structlog.get_logger(__name__)


def create_app(settings: Settings | None = None) -> FastAPI:
    """An application by its settings; those of the environment by default."""
    settings = settings or Settings()
    if settings.refusal:
        raise RuntimeError(settings.refusal)
    tracing = Tracing(settings.otel_endpoint, "ridgeline-api")
    app = FastAPI(
        title="Ridgeline",
        version=operation.ridgeline_version(),
        description=_DESCRIPTION.strip(),
        openapi_url=None,
        openapi_tags=_TAGS,
        generate_unique_id_function=openapi.operation_id,
        redirect_slashes=False,
        dependencies=[Depends(known_queries_only)],
        lifespan=_lifespan,
        telemetry=_traced(tracing),
    )
    app.state.server = _server(settings, tracing)
    # They are tried in this order: what is asked for most comes first.
    for routes in (
        *(job_routes, curves, diagnosis, events, datasets, weights, catalog),
        *(predictions, model_routes, cards, workers, webhooks, projects, keys, operation, dashboard),
    ):
        app.include_router(routes.router)
    openapi.install(app)
    errors.install(app)
    _wrap(app, app.state.server)
    return app


def _traced(tracing: Tracing) -> TelemetryConfig:
    """A span for each request, to our own provider; OpenTelemetry's environment variables are others'."""
    return {
        "tracing": tracing.provider is not None,
        "tracer_provider": tracing.provider,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in _UNTRACED,
    }


def _server(settings: Settings, tracing: Tracing) -> Server:
    database = Database(settings.database, statement_seconds=settings.statement_seconds)
    files, describer = Files(settings.files), Describer(settings)
    counted, work = Counted(settings.limits_url), FileWork()
    return Server(
        settings=settings,
        database=database,
        access=Access(settings, database, counted),
        quotas=Quotas(settings, counted),
        files=files,
        file_work=work,
        nudges=Nudges(settings.broker, settings.broker_options),
        in_flight=InFlight(database),
        meter=Meter(),
        describer=describer,
        bundles=Bundles(settings, database, files, describer, work),
        networks=Networks(settings, files, work, operation.ridgeline_version()),
        outgoing=Outgoing(settings.data_dir),
        tracing=tracing,
        probes=Probes(),
        shortages=Shortages(),
        stopping=asyncio.Event(),
    )


def _wrap(app: FastAPI, server: Server) -> None:
    """The layers around the routes, from the innermost to the outermost."""
    settings = server.settings
    app.add_middleware(
        BodyLimits,
        body_bytes=settings.max_body_bytes,
        larger={
            uploads.PATH: settings.max_upload_bytes + FORM_BYTES,
            PREDICT: settings.max_predict_bytes,
        },
    )
    app.add_middleware(Guard, access=server.access, quotas=server.quotas)
    app.add_middleware(HeadLimits)
    app.add_middleware(Metered, meter=server.meter)
    app.add_middleware(ConditionalAnswers)
    if not settings.asks_for_keys:
        app.add_middleware(LoopbackHostsOnly)
    if settings.origins:
        app.add_middleware(Preflights, origins=settings.origins)
    app.add_middleware(UnambiguousHeads)
    app.add_middleware(RequestIdentity)
    if settings.origins:
        app.add_middleware(ReadableAnswers, origins=settings.origins)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    server: Server = app.state.server
    await run_in_threadpool(_open, server)
    server.nudges.start()
    server.in_flight.start()
    beside = [asyncio.create_task(each) for each in (_prepare(server), server.access.keep_noting())]
    try:
        yield
    finally:
        server.stopping.set()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await server.access.note_uses()
        await server.bundles.stop()
        server.in_flight.stop()
        await run_in_threadpool(server.nudges.stop)
        await run_in_threadpool(server.database.close)
        await run_in_threadpool(server.tracing.close)


def _open(server: Server) -> None:
    server.settings.data_dir.mkdir(parents=True, exist_ok=True)
    sweep_workspaces(server.settings)
    for note in server.database.notes:
        log.warning(note)
    with contextlib.suppress(DatabaseUnavailable):
        migrate.upgrade(server.database)
    server.meter.look_by(lambda: _look(server))


async def _prepare(server: Server) -> None:
    """What the first request would wait for otherwise; tried again for as long as the database is away."""
    while True:
        try:
            await run_in_threadpool(migrate.upgrade, server.database)
            await server.bundles.need_all(server.database.of(DEFAULT_PROJECT))
        except (StoreError, errors.UnavailableError) as error:
            log.warning("not ready yet", reason=str(error))
            await asyncio.sleep(2)
        else:
            return


def _look(server: Server) -> Gauges | None:
    """How things stand; None while the database is away, when the other metrics are wanted most of all."""
    with contextlib.suppress(StoreError), server.database.reading() as tx:
        return gauges.read(tx, alive_seconds=alive_seconds(server.settings))
    return None
