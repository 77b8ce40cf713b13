"""How the commands `python -m minigrad…` end."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from minigrad.streams import announce, lenient


def run(main: Callable[[], int]) -> NoReturn:
    """End this process with what `main` returns. Ctrl-C ends it with 130, and an output that
    cannot be written, as with `| head` or on a full disk, with 1; none shows a traceback."""
    status: str | int | None
    with lenient() as output:
        try:
            try:
                status = main()
            except SystemExit as stop:          # of argparse
                status = stop.code
            output.flush()
        except KeyboardInterrupt:
            status = 130
        except BrokenPipeError as error:
            if error is not output.fault:
                raise
        if output.fault is not None:
            status = 1
            if not isinstance(output.fault, BrokenPipeError):
                announce(f"standard output: {output.fault.strerror}")
    raise SystemExit(status)
