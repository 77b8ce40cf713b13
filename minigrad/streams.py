"""Standard output and error as the commands use them: printing never raises.

A program may be started without one of them (`2>&-`), into one that is full, or into one whose
reader goes away (`| head`). Its encoding may lack characters that we print, and what is printed may
hold the names of files, which can be any bytes. None of this is a reason to lose what has been
computed.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

STAND_INS = {"×": "x", "−": "-", "–": "-", "—": "-", "─": "-", "·": "*", "…": "...", "→": "->",
             "≤": "<=", "≥": ">=", "±": "+-", "µ": "u", "’": "'", "‘": "'", "“": '"', "”": '"',
             "²": "2", "✓": "+", "✗": "x"}
CONTROLS = re.compile(         # change colours, or the direction of writing; ESC [K erases a line
    "[\0-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]"
    r"|\x1b(?!\[K)")
LINES = re.compile("[\t\n\r\x1b]")


def announce(line: str) -> None:
    """Print a line on standard error, if that is possible."""
    if sys.stderr is not None:                  # print would take None for standard output
        with suppress(OSError, ValueError):
            print(line, file=sys.stderr, flush=True)


def escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def printable(text: object) -> str:
    """A name or message in one line, with escapes such as `\\n` for its control characters."""
    return LINES.sub(escaped, CONTROLS.sub(escaped, str(text)))


def stand_in(error: UnicodeError) -> tuple[str, int]:
    """The handler for what an encoding lacks: a byte of a file name is written as in `\\xe9`, and
    another character as a similar one, or `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xdc00:02x}", error.start + 1
    return STAND_INS.get(character, "?"), error.start + 1


codecs.register_error("minigrad.stand_in", stand_in)


class Output:
    """A stream that remembers its first fault and from then on drops what is written.

    stops: a reader that has gone is a BrokenPipeError instead, so that a command which only prints
    does not go on for nobody.
    """

    def __init__(self, stream: Any, stops: bool = False) -> None:
        self.stream, self.stops = stream, stops
        self.fault: OSError | None = None
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="minigrad.stand_in")

    def write(self, text: str) -> int:
        self._do("write", CONTROLS.sub(escaped, text))
        return len(text)

    def flush(self) -> None:
        self._do("flush")

    def isatty(self) -> bool:
        try:
            return self.stream is not None and bool(self.stream.isatty())
        except (OSError, ValueError):           # it is closed
            return False

    def _do(self, method: str, *arguments: str) -> None:
        if self.stream is None or self.fault is not None:
            return
        try:
            getattr(self.stream, method)(*arguments)
        except (OSError, ValueError) as error:
            self.fault = error if isinstance(error, OSError) else OSError(0, str(error))
            silence(self.stream)
            if self.stops and isinstance(error, BrokenPipeError):
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def silence(stream: Any) -> None:
    """Let what a stream has not written go nowhere; otherwise the flush at exit would fail."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def occupy_descriptors() -> None:
    """Open 0, 1 and 2 if they are closed: otherwise a file that is opened would become one of
    them, and what a library writes to standard error would be written into that file."""
    for descriptor, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)      # the lowest that is free


@contextmanager
def lenient() -> Iterator[Output]:
    """Print through `Output` while the block runs; the value is standard output."""
    before = sys.stdout, sys.stderr
    occupy_descriptors()
    output = Output(sys.stdout, stops=True)
    sys.stdout, sys.stderr = output, Output(sys.stderr)
    try:
        yield output
    finally:
        sys.stdout, sys.stderr = before
