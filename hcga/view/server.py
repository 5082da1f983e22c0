"""The server: loopback only, addresses that can be shared, nothing from elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import webbrowser
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.datastructures import MutableHeaders, QueryParams
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hcga.errors import InputError
from hcga.runs.revisions import parse_place
from hcga.view.filters import chosen_rows, filters_in_words, rows_left
from hcga.view.layers import image_strip, layer_strip
from hcga.view.listening import LOOPBACK, address_of, is_private, listen
from hcga.view.pages import Pages
from hcga.view.places import Archive

log = logging.getLogger(__name__)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self' 'unsafe-inline'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
Handler = Callable[[Request], Awaitable[Response]]


class Number(IntegerConvertor):
    """A number of an address; longer ones Python would not read."""

    regex = "[0-9]{1,18}"


register_url_convertor("number", Number())


class SecurityHeaders:
    """Middleware that adds `HEADERS` to every answer, refusals and files too.

    Parameters
    ----------
    app : ASGIApp
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Pictures:
    """Strips of an identity and single images, by their addresses."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def strip(self, request: Request) -> Response:
        """An identity's images, or a layer of a place that lies over them; all, or those that the address chooses."""
        place = parse_place(request.path_params["place"])
        layer, asked = request.path_params["layer"], request.query_params
        base = asked.get("base", place.rev)
        rows = self._rows(base, request.path_params["pid"], asked)
        if layer == "images":
            return Response(image_strip(self._archive, base, rows), media_type="image/webp")
        before = parse_place(asked["before"]) if "before" in asked else None
        rows = self._archive.same_images(base, rows, place.rev)
        return Response(layer_strip(self._archive, place, layer, rows, before), media_type="image/png")

    def _rows(self, rev: str, pid: int, asked: QueryParams) -> np.ndarray:
        rows = rows_left(self._archive, rev, pid, asked)
        if "image" in asked:
            return chosen_rows(rows, pid, asked.getlist("image"))
        if not len(rows):
            raise InputError(f"no image of identity {pid} {filters_in_words(asked)}")
        return rows

    def image(self, request: Request) -> Response:
        """One image of a revision."""
        rev = request.path_params["rev"]
        return Response(image_strip(self._archive, rev, self._one(rev, request), gap=0), media_type="image/webp")

    def parsed(self, request: Request) -> Response:
        """The parsing head's classes of one image of a place."""
        place = parse_place(request.path_params["place"])
        row = self._one(place.rev, request)
        return Response(layer_strip(self._archive, place, "head", row, gaps=False), media_type="image/png")

    def _one(self, rev: str, request: Request) -> np.ndarray:
        row, count = request.path_params["row"], len(self._archive.samples(rev))
        if row >= count:
            raise InputError(f"image {row} is not among the {count} images")
        return np.array([row])


def create_app(root: Path, hosts: list[str] = LOOPBACK) -> Starlette:
    """Build the application.

    Parameters
    ----------
    root : Path
        The checkout or a folder below it.
    hosts : list of str
        Names under which it may be asked; others are refused, so that no foreign page can read it by a name of its own.
    """
    archive = Archive(root)
    pages = Pages(archive)
    pictures = Pictures(archive)

    def page(build: Callable[[Request], str | Response]) -> Handler:
        async def respond(request: Request) -> Response:
            try:
                made = await run_in_threadpool(build, request)
            except InputError as error:
                made = HTMLResponse(pages.problem(str(error)), 404)
            except Exception as error:  # whatever it is, it should not end in a blank page
                log.exception("%s", request.url)
                made = HTMLResponse(pages.problem(f"a fault of this program ({error!r}); the terminal says more"), 500)
            return HTMLResponse(made) if isinstance(made, str) else made

        return respond

    async def not_found(request: Request, error: Exception) -> Response:
        return HTMLResponse(pages.problem(f"There is no page {request.url.path}"), 404)

    routes = [
        Route("/", page(lambda request: RedirectResponse("/identities"))),
        Route("/identities", page(pages.identities)),
        Route("/identities/{pid:number}", page(pages.identity)),
        Route("/changes", page(pages.changes)),
        Route("/queries", page(pages.queries)),
        Route("/queries/{row:number}", page(pages.query)),
        Route("/figures", page(pages.figures)),
        Route("/revisions", page(lambda request: JSONResponse(archive.known_revisions()))),
        Route("/strips/{place:path}/{pid:number}/{layer:str}", page(pictures.strip)),
        Route("/images/{rev:path}/{row:number}", page(pictures.image)),
        Route("/parsed/{place:path}/{row:number}", page(pictures.parsed)),
        Mount("/static", StaticFiles(packages=[("hcga.view", "static"), ("hcga.report", "static")])),
    ]
    guards = [Middleware(SecurityHeaders), Middleware(TrustedHostMiddleware, allowed_hosts=hosts)]
    return Starlette(routes=routes, middleware=guards, exception_handlers={404: not_found})


def serve(root: Path, host: str, port: int, browser: bool) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    root : Path
    host : str
        Where to listen; anything but loopback lets others look at the people in the data.
    port : int
        0 takes a free one.
    browser : bool
        Whether to open the page.

    Raises
    ------
    InputError
        It cannot listen there.
    """
    listener = listen(host, port)
    address, private = address_of(listener, host), is_private(listener)
    server = uvicorn.Server(
        uvicorn.Config(create_app(root, [*LOOPBACK, host] if private else ["*"]), log_level="warning")
    )
    if not private:
        print(f"--host {host}: whoever reaches this machine can look at the people in the pictures", file=sys.stderr)
    print(f"{address}  (stop with Ctrl+C)", flush=True)
    if browser:
        threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()  # it waits for the server
    server.run(sockets=[listener])
