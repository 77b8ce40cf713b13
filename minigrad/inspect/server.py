"""A web server for one user on this machine: the ground that live pages stand on.

It listens on 127.0.0.1 only, refuses requests that come from pages of other sites, limits the size
and the duration of a request and the number of connections, answers every error with
{"error": one line}, logs nothing, and ends with Ctrl-C or with the process that started it. No
request can name a file.

    server = Server({"GET /": lambda query, content: "<!doctype html>…",
                     "POST /double": lambda query, content: 2 * content}, port=0)
    server.serve(lambda: print(server.url))         # until Ctrl-C, or
    with server.start():                            # from another thread, while …
        train()
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from socketserver import ThreadingTCPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from minigrad.inspect.connection import Connection, Refusal, one_line, parsed
from minigrad.streams import announce

__all__ = ["BODY", "HOST", "Answer", "Query", "Raw", "Refusal", "Route", "Server"]

HOST = "127.0.0.1"
BODY = 64 * 2**10           # bytes of a request in JSON
CONNECTIONS = 128           # at most so many at a time, each with a thread
POLL = 0.1                  # seconds between two looks at whether to end

Query = Mapping[str, str]
Route = Callable[[Query, Any], Any]
"""Answers a request, given its query and its JSON, which is None for GET.

A str is an HTML page, an `Answer` what it says, and anything else JSON.
"""


@dataclass(frozen=True)
class Raw:
    """A route that is given the body of a request as it is, of at most `limit` bytes."""

    route: Callable[[Query, bytes], Any]
    limit: int


@dataclass(frozen=True)
class Answer:
    """An answer of any kind, a MIME type.  name: the browser saves it as a file of this name."""

    content: bytes
    kind: str
    name: str | None = None


class ParentGone(Exception):
    """The process that started the server has ended."""


class Server(ThreadingTCPServer):
    """Answers by `routes`, whose keys are such as "GET /state".

    faults: which exceptions of a route are the client's fault, and the status of each; all others
    are answered with 500. one_at_a_time: whether a route waits until no other is computing; if not,
    routes must themselves lock what they share.
    Raises: OSError if the port is in use; OverflowError if there is no such port.
    """

    allow_reuse_address = True          # a port can be used again at once
    daemon_threads = True               # open connections of browsers do not delay the exit
    request_queue_size = CONNECTIONS    # so many may connect at the same moment

    def __init__(self, routes: Mapping[str, Route | Raw], port: int, *,
                 faults: Mapping[type[Exception], int] | None = None,
                 one_at_a_time: bool = True) -> None:
        self.routes = routes
        self.faults = {TypeError: 400, ValueError: 400} if faults is None else faults
        self.busy: AbstractContextManager[Any] = (
            threading.Lock() if one_at_a_time else nullcontext())
        self.parent: int | None = None
        self.thread: threading.Thread | None = None
        self.clients: set[Any] = set()  # their sockets
        super().__init__((HOST, port), Handler)
        self.server_port: int = self.socket.getsockname()[1]

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{HOST}:{self.server_port}/"

    @property
    def names(self) -> set[str]:
        """What a browser may call this server: without the port, too, if it is that of the web."""
        ports = [f":{self.server_port}", ""] if self.server_port == 80 else [f":{self.server_port}"]
        return {host + port for host in (HOST, "localhost") for port in ports}

    # ---- beginning and ending --------------------------------------------------------------------

    def serve(self, began: Callable[[], None]) -> None:
        """Serve until Ctrl-C, or until the process that started this one has ended.

        began: what to do when requests are accepted, such as printing the address.
        """
        self.parent = os.getppid()
        try:
            with self:
                if _orphaned(self.parent):
                    announce("the process that started this server has ended")
                    return
                began()
                self.serve_forever(POLL)
        except KeyboardInterrupt:
            print("\nstopped")
        except ParentGone:
            pass

    def start(self) -> Server:
        """Serve from a thread of its own, until `close` or the end of the program."""
        self.thread = threading.Thread(target=self.serve_forever, args=(POLL,), daemon=True)
        self.thread.start()
        return self

    def close(self) -> None:
        """Stop serving, and hang up on all clients."""
        if self.thread is not None:
            self.shutdown()
            self.thread.join()
            self.thread = None
        self.server_close()
        for client in tuple(self.clients):
            with suppress(OSError):     # its thread may just have closed it
                client.shutdown(socket.SHUT_RDWR)

    def __exit__(self, *_: object) -> None:
        self.close()

    def service_actions(self) -> None:
        """End with the process that started this one; called between requests."""
        if self.parent is not None and os.getppid() != self.parent:
            raise ParentGone

    # ---- connections -----------------------------------------------------------------------------

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a client from a thread of its own, or hang up if there are too many."""
        if len(self.clients) >= CONNECTIONS:
            self.shutdown_request(request)
            return
        self.clients.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.clients.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about a client that has gone away, and one line about anything else."""
        error = sys.exception()
        if not isinstance(error, OSError):
            announce(one_line(f"{type(error).__name__}: {error}"))


class Handler(Connection):
    """Answers by the server's routes."""

    server: Server

    def answer(self) -> None:
        """Answer by the route for this path.  Raises: Refusal."""
        self.check_names()
        if self.command not in ("GET", "HEAD", "POST"):
            raise Refusal(501, f"{self.command}: must be GET, HEAD or POST")
        try:
            address = urlsplit(self.path)
        except ValueError:
            raise Refusal(400, "the address is malformed") from None
        method = "POST" if self.command == "POST" else "GET"
        route = self.server.routes.get(f"{method} {address.path}")
        if route is None:
            raise Refusal(404, "there is no such page")
        content = self.content(route)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        try:
            with self.server.busy:
                answer = (route.route if isinstance(route, Raw) else route)(query, content)
        except tuple(self.server.faults) as error:
            status = next(s for kind, s in self.server.faults.items() if isinstance(error, kind))
            raise Refusal(status, str(error)) from None
        self.say(answer)

    def check_names(self) -> None:
        """Refuse pages of other sites, even if their host name resolves to this machine."""
        hosts, origins = (self.headers.get_all(name, []) for name in ("Host", "Origin"))
        names = self.server.names
        if (len(hosts) != 1 or hosts[0].lower() not in names
                or not {origin.lower() for origin in origins} <= {f"http://{n}" for n in names}):
            raise Refusal(403, f"this server answers only {self.server.url}")

    def content(self, route: Route | Raw) -> Any:
        """What the request's body says to this route."""
        if self.command != "POST":
            if self.has_body():
                raise Refusal(400, f"a request by {self.command} has no body")
            return None
        if isinstance(route, Raw):
            return self.body(route.limit)
        return parsed(self.body(BODY))

    def say(self, answer: Any) -> None:
        """Answer with what a route has returned."""
        if isinstance(answer, str):
            answer = Answer(answer.encode(), "text/html; charset=utf-8")
        elif not isinstance(answer, Answer):
            text = json.dumps(answer, separators=(",", ":"), allow_nan=False)
            answer = Answer(text.encode(), "application/json")
        headers = {} if answer.name is None else {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(answer.name, safe='')}"}
        self.send(200, answer.kind, answer.content, headers)


def _orphaned(parent: int) -> bool:
    """Whether the process that started this one ended before it could be asked for its number.

    Then `parent` has only adopted this process. It belongs to another session (of a terminal, or
    of a login), while a process begins in the session of the one that starts it, or as the first
    of a new one.
    """
    if sys.platform == "win32" or parent == 0:      # 0: it is outside of this container
        return False
    try:
        return os.getsid(0) not in (os.getpid(), os.getsid(parent))
    except OSError:
        return True
