"""The server of the live pages: what it answers, and what it refuses, in one line."""

from __future__ import annotations

import http.client
import socket

import pytest
from clients import ROUTES, alive, ask, exchange, posted, request, status_and_error

from minigrad.inspect.server import BODY, HOST, Server


@pytest.fixture(scope="module")
def server():
    with Server(ROUTES, 0).start() as running:
        yield running


@pytest.fixture
def own():
    """A server that a test may change."""
    with Server(ROUTES, 0).start() as running:
        yield running


# ---- what it answers -----------------------------------------------------------------------------

def test_kinds_of_answers(server):
    status, headers, content = ask(server, path="/")
    assert (status, content.decode()) == (200, "<!doctype html><title>é</title>")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    status, headers, content = ask(server, path="/picture")
    assert (status, headers["Content-Type"], content) == (200, "image/svg+xml", b"<svg/>")
    assert "Content-Disposition" not in headers
    status, headers, content = ask(server, path="/file")
    assert (status, content) == (200, b"\0\1")
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%22%C3%A9%0D%0A.bin"
    status, headers, content = ask(server, "POST", "/echo", b'{"a":[1,2.5,null]}')
    assert (status, content) == (200, b'{"a":[1,2.5,null]}')
    assert headers["Content-Type"] == "application/json"


def test_a_raw_body_has_a_limit_of_its_own(server):
    body = bytes(range(256)) * 1024                         # more than a request in JSON may have
    assert ask(server, "POST", "/bytes", body)[::2] == (200, str(len(body)).encode())
    status, _, content = ask(server, "POST", "/bytes", bytes(2**20 + 1))
    assert (status, content) == (413, b'{"error": "the request has more than 1 MB"}')


def test_head_is_get_without_the_content(server):
    status, headers, content = ask(server, "HEAD", "/")
    assert (status, content) == (200, b"")
    assert headers["Content-Length"] == ask(server, path="/")[1]["Content-Length"]
    for path, status in (("/", b"200"), ("/nothing", b"404")):
        answer = exchange(server, request(server, f"HEAD {path} HTTP/1.1", "Connection: close"))
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.endswith(b"\r\n\r\n")


def test_old_clients_are_answered(server):
    answer = exchange(server, request(server, "GET /query HTTP/1.0"), ends=False)
    assert answer.endswith(b"\r\n\r\n{}")


def test_several_requests_of_one_connection(server):
    one = request(server, "POST /echo HTTP/1.1", "Content-Length: 1", body=b"7")
    answer = exchange(server, 3 * one)
    assert answer.count(b"HTTP/1.1 200") == 3
    assert answer.count(b"\r\n\r\n7") == 3


def test_a_body_is_asked_for_once_it_is_wanted(server):
    with socket.create_connection((HOST, server.server_port), timeout=10) as client:
        client.sendall(request(server, "POST /echo HTTP/1.1", "Content-Length: 1",
                               "Expect: 100-continue"))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"7")
        assert client.recv(10_000).endswith(b"\r\n\r\n7")
    refused = exchange(server, request(server, "POST /echo HTTP/1.1", "Content-Length: 99999",
                                       "Expect: 100-continue"))
    assert status_and_error(refused)[0] == 413


# ---- what it refuses -----------------------------------------------------------------------------

@pytest.mark.parametrize(("how", "status", "words"), [
    ("refusal", 409, "not now"), ("value", 400, "v: wrong here"), ("type", 400, "unexpected"),
    ("key", 500, "KeyError: 'inside'"), ("long", 400, "xxx…")])
def test_what_a_route_raises_is_one_line(server, how, status, words):
    got = status_and_error(exchange(server, request(server, f"GET /fail?how={how} HTTP/1.1")))
    assert got[0] == status
    assert words in got[1]


def test_whose_fault_an_exception_is_can_be_said():
    faults = {ValueError: 409, KeyError: 422, LookupError: 404}
    with Server(ROUTES, 0, faults=faults).start() as server:
        assert ask(server, path="/fail?how=key")[0] == 422
        assert ask(server, path="/fail?how=value")[0] == 409
        assert ask(server, path="/fail?how=type")[0] == 500


def test_an_answer_that_is_not_json_is_the_servers_fault(server):
    status, error = status_and_error(exchange(server, request(server, "GET /nan HTTP/1.1")))
    assert status == 500
    assert error.startswith("ValueError: Out of range float values")


@pytest.mark.parametrize(("sent", "status", "words"), [
    (b"\r\n\r\n", 400, "empty"),
    (b"GET\r\n\r\n", 400, "Bad request syntax"),
    (b"GET / a b HTTP/1.1\r\n\r\n", 400, "Bad request"),
    (b"GET / HTTP/x\r\n\r\n", 400, "Bad request version"),
    (b"GET / HTTP/3.0\r\n\r\n", 505, "Invalid HTTP version"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400, "Bad request"),    # TLS
    (b"GET /\r\n\r\n", 403, "only http://127.0.0.1"),                             # HTTP/0.9
    (b"GET / HTTP/1.1\r\n\r\n", 403, "only http://127.0.0.1"),
    (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414, "more than 8 kB"),
    (b"GET / HTTP/1.1\r\nA: " + b"a" * 70_000 + b"\r\n\r\n", 431, "too long"),
    (b"GET / HTTP/1.1\r\n" + b"A: a\r\n" * 200 + b"\r\n", 431, "Too many headers"),
], ids=lambda v: str(v)[:24])
def test_malformed_requests_are_one_line_of_json(server, capsys, sent, status, words):
    got, error = status_and_error(exchange(server, sent))
    assert got == status
    assert words.lower() in error.lower()
    assert alive(server)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("line", "headers", "status", "words"), [
    ("PUT /echo", (), 501, "PUT: must be"),
    ("OPTIONS *", (), 501, "OPTIONS"),
    ("BREW /", (), 501, "BREW"),
    ("get /", (), 501, "get"),
    ("GET /echo", (), 404, "no such page"),
    ("GET /../../etc/passwd", (), 404, "no such page"),
    ("GET /%2e%2e/%00", (), 404, "no such page"),
    ("GET http://[1/", (), 400, "malformed"),
    ("GET /query", ("no header",), 400, "malformed"),
    ("GET /query", ("Content-Length: 3",), 400, "no body"),
    ("GET /query", ("Transfer-Encoding: chunked",), 400, "no body"),
    ("GET /query", ("Host: localhost",), 403, "answers only"),          # a second one
    ("GET /query", ("Origin: null",), 403, "answers only"),
    ("GET /query", ("Origin: http://elsewhere.example",), 403, "answers only"),
    ("GET /query", ("Origin: http://127.0.0.1",), 403, "answers only"),     # another port
    ("POST /echo", (), 411, "length"),
    ("POST /echo", ("Content-Length: many",), 411, "length"),
    ("POST /echo", ("Content-Length: -1",), 411, "length"),
    ("POST /echo", ("Content-Length: +1",), 411, "length"),
    ("POST /echo", ("Content-Length: ²",), 411, "length"),
    ("POST /echo", ("Content-Length: 1", "Content-Length: 2"), 411, "length"),
    ("POST /echo", ("Transfer-Encoding: chunked",), 411, "length"),
    ("POST /echo", ("Transfer-Encoding: chunked", "Content-Length: 1"), 411, "length"),
    ("POST /echo", (f"Content-Length: {BODY + 1}",), 413, "more than 64 kB"),
    ("POST /echo", ("Content-Length: " + "9" * 5000,), 413, "more than 64 kB"),
    ("POST /echo", ("Content-Length: 0",), 400, "not JSON"),
    ("POST /echo", ("Content-Length: 9",), 400, "shorter"),
])
def test_requests_are_refused_in_one_line_of_json(server, line, headers, status, words):
    got, error = status_and_error(exchange(server, request(server, f"{line} HTTP/1.1", *headers)))
    assert got == status
    assert words in error


@pytest.mark.parametrize(("origin", "status"), [
    ("{}", 403), ("https://{}", 403), ("http://{}/", 403), ("http://{}", 200)])
def test_an_origin_is_compared_whole(server, origin, status):
    origin = origin.format(f"{HOST}:{server.server_port}")
    assert ask(server, Origin=origin)[0] == status


@pytest.mark.parametrize(("body", "words"), [
    (b"steps=1", "not JSON"), (b"\xff", "not JSON"), (b"[" * 60_000, "not JSON"),
    (b"[" * 30_000 + b"]" * 30_000, "not JSON"), (b"NaN", "not JSON"), (b"[-Infinity]", "not JSON"),
    (b'{"a":1}{"a":2}', "not JSON"), (b"1e999", "too large"), (b"9" * 5000, "too large"),
    (b"-" + b"9" * 4000, "too large"), (b"0." + b"1" * 60_000 + b"e999", "too large")],
    ids=lambda v: str(v)[:16])
def test_bodies_that_are_not_json_are_refused(server, body, words):
    status, error = status_and_error(exchange(server, posted(server, body)))
    assert status == 400
    assert words in error


@pytest.mark.parametrize(("host", "status"), [
    ("127.0.0.1", 200), ("localhost", 200), ("LOCALHOST", 200), ("127.0.0.1:80", 200),
    ("localhost:80", 200), ("localhost:81", 403), ("[::1]", 403), ("[::1]:80", 403), ("", 403),
    ("127.0.0.1.elsewhere.example", 403), ("elsewhere.example:80", 403)])
def test_browsers_leave_out_port_80(own, host, status):
    own.server_port, port = 80, own.server_port             # what it believes to be its port
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    connection.request("GET", "/query", headers={"Host": host, "Origin": f"http://{host}"})
    assert connection.getresponse().status == status
    connection.close()


def test_on_other_ports_the_port_is_part_of_the_name(server):
    assert ask(server, Host=f"localhost:{server.server_port}")[0] == 200
    for host in ("127.0.0.1", "localhost", f"[::1]:{server.server_port}"):
        assert ask(server, Host=host)[0] == 403
