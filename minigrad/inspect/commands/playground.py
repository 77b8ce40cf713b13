"""Open a page on which a perceptron learns, and can be reshaped meanwhile with the mouse.

The page is served on this machine alone, to you alone. Press Ctrl-C to stop.
"""

from __future__ import annotations

import argparse
import webbrowser

from minigrad.inspect.commands.target import TargetError
from minigrad.inspect.playground.model import Playground
from minigrad.inspect.playground.server import serve


def flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", metavar="N", type=int, default=0,
                        help="the page's port (default: one that is free)")
    parser.add_argument("--no-browser", action="store_true",
                        help="only print the address, and do not open it")


def main(arguments: argparse.Namespace) -> int:
    try:
        server = serve(Playground(), arguments.port)
    except (OSError, OverflowError) as error:
        raise TargetError(f"--port {arguments.port}: "
                          f"{getattr(error, 'strerror', None) or error}") from None

    def began() -> None:
        warm = Playground()                     # compile the kernels before the first request
        warm.train()
        warm.state()
        print(f"{server.url}\nPress Ctrl-C to stop.", flush=True)
        if not arguments.no_browser:
            webbrowser.open(server.url)

    server.serve(began)
    return 0
