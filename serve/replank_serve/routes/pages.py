"""Two pages: `/` to try the models, `/docs` to read about the routes. They load nothing from other hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from starlette.exceptions import HTTPException

_FOLDER = Path(__file__).parents[1] / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cache-control": "no-cache",
}


def add_pages(app: FastAPI) -> None:
    """Serve the pages from memory, so that no path of a client reaches the file system."""
    files = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}

    def page(name: str) -> Response:
        return Response(files[name], headers=_HEADERS, media_type=_TYPES[Path(name).suffix])

    html: dict[int | str, dict[str, Any]] = {200: {"content": {"text/html": {}}}}

    @app.get("/", summary="A page to try the models", response_class=Response, responses=html)
    async def index() -> Response:
        return page("index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return page("docs.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in files:
            raise HTTPException(404)
        return page(name)
