"""The WSGI environ of a request (PEP 3333), and the page that an application makes of it."""

import io
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from flask import Flask, Response

from rgate.core.fields import HOP_BY_HOP, ClientConnection
from rgate.core.onward import Request
from rgate.core.problem import OwnResponse

# Host is in the head: werkzeug refuses some that HTTP allows, such as `a..b`, with a page of its own.
_NOT_FOR_AN_APPLICATION: Final = HOP_BY_HOP | {b"host"}


def environ(request: Request, client: ClientConnection, content: Iterable[bytes] = ()) -> dict[str, Any]:
    """Return the WSGI environ of *request* with *content*, which may come as it is read."""
    head = request.head()
    path = head.path if head.path.startswith(b"/") else b"/"
    variables: dict[str, Any] = {
        "REQUEST_METHOD": head.method.decode("ascii"),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": head.query[1:].decode("latin-1"),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": str(client.local_port),
        "SERVER_PROTOCOL": f"HTTP/1.{head.minor_version}",
        "REMOTE_ADDR": client.peer,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BufferedReader(_Input(content)),
        "wsgi.input_terminated": True,
        "wsgi.errors": None,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "rgate.head": head,
        "rgate.client": client,
        "rgate.path": head.path.decode("latin-1"),
        "rgate.request_id": request.identity.decode("latin-1"),
    }
    for name, value in head.fields:
        key = "HTTP_" + name.decode("ascii").upper().replace("-", "_")
        # Two names would fall on one key; and what is meant for this hop is the server's (PEP 3333).
        if b"_" not in name and name.lower() not in _NOT_FOR_AN_APPLICATION:
            text = value.decode("latin-1")
            variables[key] = f"{variables[key]},{text}" if key in variables else text
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if f"HTTP_{key}" in variables:
            variables[key] = variables.pop(f"HTTP_{key}")
    return variables


class _Input(io.RawIOBase):
    """`wsgi.input` over pieces of content."""

    def __init__(self, content: Iterable[bytes]) -> None:
        self._pieces = iter(content)
        self._buffer = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._buffer:
            self._buffer = next(self._pieces, b"")
        piece, self._buffer = self._buffer[: len(buffer)], self._buffer[len(buffer) :]
        buffer[: len(piece)] = piece
        return len(piece)


def page(web: Flask, request: Request, client: ClientConnection) -> OwnResponse:
    """Return what *web*, which answers rgate's own paths, says to *request*."""
    variables = environ(request, client)
    if request.method == b"HEAD":  # else the content would be lost, and with it its length
        variables["REQUEST_METHOD"] = "GET"
    response = Response.from_app(web.wsgi_app, variables, buffered=True)
    return own_response_of(response.status, list(response.headers), response.get_data())


def own_response_of(status: str, fields: Iterable[tuple[str, str]], body: bytes) -> OwnResponse:
    """Return what an application answered; its framing and Date are made anew."""
    kept = tuple(
        (name.encode("ascii"), value.encode("latin-1"))
        for name, value in fields
        if name.lower() not in ("content-length", "connection", "date")
    )
    return OwnResponse(int(status[:3]), kept, body)
