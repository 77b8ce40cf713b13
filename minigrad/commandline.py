"""How the commands `python -m minigrad…` end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NoReturn


def run(main: Callable[[], int]) -> NoReturn:
    """End this process with what `main` returns. Ctrl-C ends it with 130, and a reader of the
    output that has gone, as of `| head`, with 1; neither shows a traceback."""
    status: str | int | None
    try:
        try:
            status = main()
        except SystemExit as stop:              # of argparse
            status = stop.code
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # what is still unwritten goes nowhere; otherwise the flush at exit would fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    raise SystemExit(status)
