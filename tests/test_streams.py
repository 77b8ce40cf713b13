"""Standard streams that are missing, full, closed, or of an encoding without our characters."""

from __future__ import annotations

import errno
import io
import os
import sys

import pytest

from minigrad import commandline, streams


class Failing(io.StringIO):
    """A stream that cannot be written to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("stream", [None, Failing(FULL), Failing(ValueError("closed file"))])
def test_printing_never_raises(monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    streams.announce("a line")
    with streams.lenient() as output:
        print("a line", flush=True)
        print("another", file=sys.stderr, flush=True)
        assert not sys.stderr.isatty()
    assert (output.fault is None) == (stream is None)
    assert sys.stdout is stream


def test_without_standard_error_nothing_is_announced_on_standard_output(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", None)
    streams.announce("a line")
    with streams.lenient():
        print("a line", file=sys.stderr)
    assert capsys.readouterr().out == ""


def test_a_reader_that_has_gone_stops_what_only_prints(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Failing(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    with streams.lenient() as output:
        with pytest.raises(BrokenPipeError):
            print("a line")
        print("nothing more is tried")
    with streams.lenient() as output:
        output.stops = False
        print("a line")
    assert isinstance(output.fault, BrokenPipeError)


@pytest.mark.parametrize(("encoding", "written"), [
    ("ascii", b"caf\\xe9 3x3 -1 -> ? | a-b\n"), ("latin-1", b"caf\\xe9 3\xd73 -1 -> ? | a-b\n"),
    ("utf-8", b"caf\\xe9 3\xc3\x973 \xe2\x88\x921 \xe2\x86\x92 \xce\xa3 | a\xe2\x80\x93b\n")])
def test_what_an_encoding_lacks_has_a_stand_in(
        monkeypatch, encoding, written):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    with streams.lenient():
        print(os.fsdecode(b"caf\xe9"), "3×3 −1 → Σ | a–b", flush=True)
        assert raw.getvalue() == written


def test_nothing_printed_controls_the_terminal(capsys):
    with streams.lenient():
        print("red \x1b[31m, bell \a, back \b, csi \x9b, left \u202e, erased \r\x1b[K, tab \t.")
    assert capsys.readouterr().out == (
        "red \\x1b[31m, bell \\x07, back \\x08, csi \\x9b, left \\u202e, erased \r\x1b[K, "
        "tab \t.\n")
    assert streams.printable("a\nb\r\t\x1b[Kc é") == "a\\nb\\r\\t\\x1b[Kc é"


def test_a_command_whose_output_is_full_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Failing(FULL))
    with pytest.raises(SystemExit) as stop:
        commandline.run(lambda: print("a result"))          # type: ignore[arg-type, func-returns-value]
    assert stop.value.code == 1
    assert capsys.readouterr().err == f"standard output: {os.strerror(errno.ENOSPC)}\n"


def test_closed_descriptors_are_not_given_to_files(tmp_path):
    """A child without any of the three opens a file, and a library writes to descriptor 2."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for descriptor in range(3):
                os.close(descriptor)
            sys.stdin = sys.stdout = sys.stderr = None      # type: ignore[assignment]
            with streams.lenient(), (tmp_path / "file").open("wb") as file:
                os.write(2, b"a library's warning")
                file.write(b"whole")
            status = int((tmp_path / "file").read_bytes() != b"whole")
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
