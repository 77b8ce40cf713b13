"""`python tests/browser.py`, without a browser; and the WebSocket over which it speaks to one."""

from __future__ import annotations

import socket
import struct
import threading

import browser
import pytest
from devtools import WebSocket


def test_without_chromium_it_says_so(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", ["browser.py"])
    assert browser.main() == 2
    assert capsys.readouterr().err.startswith("not tried: ")


def test_pages_can_be_chosen_by_name(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["browser.py", "nothing"])
    with pytest.raises(SystemExit, match="2"):
        browser.main()
    assert "there is no page 'nothing'" in capsys.readouterr().err


@pytest.mark.parametrize("length", [0, 1, 125, 126, 2**16 - 1, 2**16, 2**17])
def test_texts_of_any_length_pass_through_the_websocket(length):
    """RFC 6455, section 5.2, as a server that sends back what it gets, in two frames and a ping."""
    text = ("é" * length)[:length // 2] + "x" * (length % 2)

    def serve() -> None:
        with listening.accept()[0] as client, client.makefile("rb") as stream:
            while stream.readline().strip():
                pass
            client.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            first, second = stream.read(2)
            assert (first, second & 128) == (0x81, 128)     # one frame of text, masked
            size = second & 127
            if size > 125:
                kind = ">H" if size == 126 else ">Q"
                (size,) = struct.unpack(kind, stream.read(struct.calcsize(kind)))
            mask, content = stream.read(4), stream.read(size)
            content = bytes(byte ^ mask[i % 4] for i, byte in enumerate(content))
            assert content == text.encode()
            half = size // 2
            client.sendall(frame(0x01, content[:half]) + frame(0x89, b"ping")
                           + frame(0x80, content[half:]))

    def frame(first: int, content: bytes) -> bytes:
        size = len(content)
        head = (bytes([first, size]) if size < 126 else struct.pack(">BBH", first, 126, size)
                if size < 2**16 else struct.pack(">BBQ", first, 127, size))
        return head + content

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        web = WebSocket(f"ws://127.0.0.1:{listening.getsockname()[1]}/page")
        web.send(text)
        assert web.receive() == text
        web.close()
        thread.join()
