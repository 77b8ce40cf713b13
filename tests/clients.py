"""Clients of the live pages' server, and a server of all kinds of routes for them."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from minigrad.inspect.server import HOST, Answer, Query, Raw, Refusal, Server


def failing(query: Query, content: Any) -> Any:
    """Raise the exception that the request names."""
    raises = {"refusal": Refusal(409, "not now"), "value": ValueError("v: wrong\nhere"),
           "type": TypeError("unexpected"), "key": KeyError("inside"),
           "long": ValueError("x" * 10_000)}
    raise raises.get(query.get("how", ""), Refusal(404, "there is no such exception"))


ROUTES = {
    "GET /": lambda query, content: "<!doctype html><title>é</title>",
    "GET /query": lambda query, content: dict(query),
    "GET /nan": lambda query, content: float("nan"),
    "GET /fail": failing,
    "GET /picture": lambda query, content: Answer(b"<svg/>", "image/svg+xml"),
    "GET /file": lambda query, content: Answer(b"\0\1", "application/octet-stream", 'a"é\r\n.bin'),
    "POST /echo": lambda query, content: content,
    "POST /bytes": Raw(lambda query, content: len(content), 2**20)}


def ask(server: Server, method: str = "GET", path: str = "/query", body: bytes | None = None,
        timeout: float = 10, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """The status, the headers and the content."""
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=timeout)
    try:
        connection.request(method, path, body,
                           {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def exchange(server: Server, sent: bytes, *, ends: bool = True) -> bytes:
    """What comes back for these bytes until the server closes the connection.

    ends: say that no more bytes will come.
    """
    with socket.create_connection((HOST, server.server_port), timeout=10) as client:
        try:
            client.sendall(sent)
            if ends:
                client.shutdown(socket.SHUT_WR)
        except OSError:                                     # refused already
            pass
        received = b""
        while piece := client.recv(2**16):
            received += piece
        return received


def request(server: Server, line: str, *headers: str, body: bytes = b"") -> bytes:
    """A request of this server by its first line, further headers, and a body."""
    head = "\r\n".join([line, f"Host: {HOST}:{server.server_port}", *headers, "", ""])
    return head.encode("latin-1") + body


def posted(server: Server, body: bytes, path: str = "/echo") -> bytes:
    return request(server, f"POST {path} HTTP/1.1", f"Content-Length: {len(body)}",
                   "Connection: close", body=body)


def status_and_error(answer: bytes) -> tuple[int, str]:
    """The status of an answer that must be {"error": one line}."""
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), head
    assert b"\r\nConnection: close" in head
    assert b"\r\nContent-Length: %d\r\n" % len(content) in head
    said = json.loads(content)
    assert said.keys() == {"error"}
    assert len(said["error"].splitlines()) == 1
    assert len(said["error"]) <= 400
    return int(head.split()[1]), said["error"]


def alive(server: Server) -> bool:
    return ask(server, path="/query?a=1") [::2] == (200, b'{"a":"1"}')
