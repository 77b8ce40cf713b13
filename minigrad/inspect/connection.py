"""One client's connection to a live page: what it sends is read within bounds.

A client has PATIENCE seconds for a whole request, however it divides them, and as many between two
requests. Every error is answered with {"error": one line}; then the connection is closed.
"""

from __future__ import annotations

import io
import json
import socket
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

from minigrad.schema import DIGITS, Mismatch, loads

PATIENCE = 20               # seconds for a request, for an answer, and between the two
LINGER = 2                  # seconds in which a client may finish what nobody will read
LINE = 8 * 2**10            # bytes of a request line
MESSAGE = 300               # characters of an error
# a page may use its own script, style and pictures, and nothing from other servers
POLICY = ("default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
          "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
          "frame-ancestors 'none'")


class Refusal(Exception):
    """A request that is refused: the HTTP status, and the reason in one line."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Arriving(io.RawIOBase):
    """What a client sends, until a deadline.

    The timeout of a socket begins anew with every byte, so it would wait for ever for a client
    that sends them one by one.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.allow()

    def allow(self) -> None:
        """Begin the time that the client has."""
        self.deadline = time.monotonic() + PATIENCE

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is.  Raises: Refusal after the deadline."""
        try:
            self.connection.settimeout(max(self.deadline - time.monotonic(), 1e-3))
            return self.connection.recv_into(buffer)
        except TimeoutError:
            raise Refusal(408, f"the request took longer than {PATIENCE} seconds") from None


class Connection(BaseHTTPRequestHandler):
    """Reads one request after another; `answer` of a subclass answers them."""

    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"        # a request that names none gets a status line, too
    rfile: io.BufferedReader
    wfile: io.BytesIO

    def setup(self) -> None:
        self.connection = self.request
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self.arriving = Arriving(self.connection)
        self.rfile = io.BufferedReader(self.arriving)
        self.wfile = io.BytesIO()               # `flush` sends it, head and content together

    def finish(self) -> None:
        """There is nothing to do: each answer has been sent, and the server closes the socket."""

    def answer(self) -> None:
        """Answer the request that has been read.  Raises: Refusal; it is answered here."""
        raise NotImplementedError

    def handle_one_request(self) -> None:
        """Read a request and answer it; every error becomes one line of JSON."""
        self.close_connection = True            # unless a whole request has been read
        self.requestline = self.request_version = self.command = ""
        try:
            self.arriving.allow()
            if not self.rfile.peek(1):
                return
        except (Refusal, OSError):              # silent for too long, or gone
            return
        try:
            self.arriving.allow()
            self.raw_requestline = self.rfile.readline(LINE + 1)
            if len(self.raw_requestline) > LINE:
                raise Refusal(414, f"the request line has more than {LINE // 2**10} kB")
            if not self.raw_requestline.strip():
                raise Refusal(400, "the request line is empty")
            if self.parse_request():            # or else it has called send_error
                if self.headers.get_payload():  # the headers end with a line that is none
                    raise Refusal(400, "a header is malformed")
                self.answer()
        except Refusal as refusal:
            self.send_error(refusal.status, str(refusal))
        except OSError:
            self.close_connection = True        # the client is gone, so no answer is possible
        except Exception as error:
            self.send_error(500, f"{type(error).__name__}: {error}")

    # ---- what the client sends -------------------------------------------------------------------

    def handle_expect_100(self) -> bool:
        """Let the client wait; `body` asks for the body when it is wanted."""
        return True

    def has_body(self) -> bool:
        """Whether the request announces a body."""
        return ("Transfer-Encoding" in self.headers
                or self.headers.get("Content-Length", "0").strip() != "0")

    def body(self, limit: int) -> bytes:
        """The request's body.  Raises: Refusal unless its length is stated, and within the limit.
        """
        lengths = self.headers.get_all("Content-Length", [])
        if ("Transfer-Encoding" in self.headers or len(lengths) != 1
                or not (lengths[0].isascii() and lengths[0].isdigit())):
            raise Refusal(411, "the request must state the length of its body")
        digits = lengths[0].lstrip("0")
        if len(digits) > DIGITS or int(digits or 0) > limit:
            raise Refusal(413, f"the request has more than {_size(limit)}")
        length = int(digits or 0)
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
            self.flush()
        content = self.rfile.read(length)
        if len(content) < length:
            raise Refusal(400, "the body is shorter than the request says")
        return content

    # ---- what it gets ----------------------------------------------------------------------------

    def send(self, status: int, kind: str, content: bytes, headers: dict[str, str]) -> None:
        """Answer with a content of some kind, a MIME type."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)),
                            "Cache-Control": "no-store", "Content-Security-Policy": POLICY,
                            "Cross-Origin-Resource-Policy": "same-origin",
                            "X-Content-Type-Options": "nosniff", **headers}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer in JSON and close the connection, which may still hold an unread body."""
        self.close_connection = True
        content = json.dumps({"error": one_line(message or self.responses[code][0])})
        try:
            self.send(code, "application/json", content.encode(), {})
            self.linger()
        except OSError:                         # the client has not waited for the answer
            return

    def linger(self) -> None:
        """Read on for a while: closing on unread bytes would destroy the answer on its way."""
        self.connection.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + LINGER
        while (left := deadline - time.monotonic()) > 0:
            self.connection.settimeout(left)
            if not self.connection.recv(2**16):
                return

    def flush(self) -> None:
        """Send what has been written, in PATIENCE seconds."""
        self.connection.settimeout(PATIENCE)
        self.connection.sendall(self.wfile.getvalue())
        self.wfile = io.BytesIO()

    def version_string(self) -> str:
        """What the server is called."""
        return "minigrad"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing, because what people try is private."""


def parsed(content: bytes) -> Any:
    """What a body says, in JSON.

    Raises: Refusal unless it is JSON, and for numbers that are no 64-bit float or integer.
    """
    try:
        return loads(content)
    except Mismatch as error:
        raise Refusal(400, f"the body {error}") from None


def one_line(text: str) -> str:
    """A message without line breaks, which may come from a request, and not too long."""
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE else line[:MESSAGE] + "…"


def _size(n: int) -> str:
    return f"{n // 2**20} MB" if n >= 2**20 else f"{n // 2**10} kB"
