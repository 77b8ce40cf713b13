"""A web server for one user on this machine: the ground that live pages stand on.

It listens on 127.0.0.1 only, refuses requests that come from pages of other sites, limits the size
of a request, answers every error with {"error": one line}, logs nothing, and ends with Ctrl-C or
with the process that started it. No request can name a file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
BODY = 64 * 2**10           # bytes in a request
PATIENCE = 20               # seconds that a client may be silent
# a page may use its own script, style and pictures, and nothing from other servers
POLICY = ("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
          "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'")

Query = Mapping[str, str]
Route = Callable[[Query, Any], Any]
"""Answers a request, given its query and its JSON: a str is an HTML page, anything else JSON."""


class Refusal(Exception):
    """A request that is refused: the HTTP status, and the reason in one line."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class ParentGone(Exception):
    """The process that started the server has ended."""


class Server(ThreadingHTTPServer):
    """Answers by `routes`, whose keys are such as "GET /state", one request at a time.

    A ValueError or a TypeError that a route raises is the client's fault, and is refused.
    """

    daemon_threads = True               # open connections of browsers do not delay the exit

    def __init__(self, routes: Mapping[str, Route], port: int) -> None:
        self.routes = routes
        self.busy = threading.Lock()
        self.parent = os.getppid()
        super().__init__((HOST, port), Handler)
        self.names = {f"{host}:{self.server_port}" for host in (HOST, "localhost")}

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_port}/"

    def service_actions(self) -> None:
        """End with the process that started this one; called between requests."""
        if os.getppid() != self.parent:
            raise ParentGone

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a client that has gone away."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def serve(self, began: Callable[[], None]) -> None:
        """Serve until Ctrl-C, or until the process that started this one has ended.

        began: what to do when requests are accepted, such as printing the address.
        """
        try:
            with self:
                began()
                self.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            print("\nstopped")
        except ParentGone:
            pass


class Handler(BaseHTTPRequestHandler):
    """Answers one request after another on a connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    disable_nagle_algorithm = True      # an answer is sent at once, not when more has gathered
    wbufsize = -1                       # and head and content together

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        """Answer by the route for this path; every error becomes one line of JSON."""
        try:
            # refuse pages of other sites, even if their host name resolves to this machine
            origin = self.headers.get("Origin")
            if self.headers.get("Host") not in self.server.names or (
                    origin is not None and origin.removeprefix("http://") not in self.server.names):
                raise Refusal(403, f"this server answers only {self.server.url}")
            address = urlsplit(self.path)
            route = self.server.routes.get(f"{self.command} {address.path}")
            if route is None:
                raise Refusal(404, "there is no such page")
            content = self.content() if self.command == "POST" else None
            query = {key: values[0] for key, values in parse_qs(address.query).items()}
            with self.server.busy:
                answer = route(query, content)
            if isinstance(answer, str):
                self.send(200, "text/html; charset=utf-8", answer.encode())
            else:
                self.say(answer)
        except Refusal as refusal:
            self.send_error(refusal.status, str(refusal))
        except (TypeError, ValueError) as error:
            self.send_error(400, _line(str(error)))
        except OSError:
            raise                       # the connection is broken, so no answer is possible
        except Exception as error:
            self.send_error(500, _line(f"{type(error).__name__}: {error}"))

    def content(self) -> Any:
        """What the request's body says, in JSON."""
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            raise Refusal(411, "the request must state the length of its body")
        if int(length) > BODY:
            raise Refusal(413, f"the request has more than {BODY // 2**10} kB")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise Refusal(400, "the body is not JSON") from None

    def say(self, content: Any, status: int = 200) -> None:
        """Answer in JSON."""
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
        self.send(status, "application/json", text.encode())

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in JSON and close the connection, which may still hold an unread body."""
        self.close_connection = True
        self.say({"error": message or self.responses[code][0]}, code)

    def send(self, status: int, kind: str, content: bytes) -> None:
        """Answer with a content of some kind, a MIME type."""
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(content))),
                            ("Cache-Control", "no-store"), ("Content-Security-Policy", POLICY),
                            ("X-Content-Type-Options", "nosniff")):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, because what people try is private."""


def _line(text: str) -> str:
    return " ".join(text.split())
