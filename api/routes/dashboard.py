"""The dashboard at `/`: a page that is a client of the public API and nothing else.

Its files lie in `api/dashboard/` as browsers get them, without a build. They hold no secrets, so they are
told to anybody; the calls that the page makes need a key like anyone's. Charts are drawn by Bokeh's scripts,
which the Python package `bokeh` carries; nothing is fetched from another host.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import FileResponse

from api import errors
from api.outgoing import PiecewiseRoute

router = APIRouter(include_in_schema=False, route_class=PiecewiseRoute)

_FOLDER: Final = Path(__file__).parent.parent / "dashboard"
_KINDS: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FROM_BOKEH: Final = ("bokeh.min.js", "bokeh-api.min.js")
_HEADERS: Final = {
    # Bokeh gives its elements their styles in place; scripts come from here, and only as files.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@router.get("/")
async def show() -> FileResponse:
    """The page."""
    return _answer(_FOLDER / "index.html")


@router.get("/dashboard/{name}")
async def asset(name: str) -> FileResponse:
    """What the page is made of."""
    path = _files().get(name)
    if path is None:
        raise errors.UnknownAddressError(f"there is nothing at /dashboard/{name[:80]}")
    return _answer(path)


def _answer(path: Path) -> FileResponse:
    return FileResponse(path, media_type=_KINDS[path.suffix], headers=_HEADERS)


@cache
def _files() -> dict[str, Path]:
    """What may be asked for, by name."""
    own = {
        path.name: path for path in _FOLDER.iterdir() if path.suffix in _KINDS and path.name != "index.html"
    }
    found = importlib.util.find_spec("bokeh")
    if found is None or found.origin is None:
        return own
    scripts = Path(found.origin).parent / "server" / "static" / "js"
    return own | {name: scripts / name for name in _FROM_BOKEH}
