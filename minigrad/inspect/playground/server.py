"""What the playground's page can ask for.

    GET  /                      the page
    GET  /state, /points        what Playground.state and .points say
    POST /do                    {"do": ACTION, …} → the state after it
    GET  /gradient?point=N      the page of step_through for a point

Actions: train {steps}, reset, reshape {sizes}, set {name, value}, add {x, y, label},
choose {point}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minigrad.inspect.pages import filled
from minigrad.inspect.playground.model import Playground
from minigrad.inspect.server import Query, Refusal, Server

PAGE = Path(__file__).with_name("page.html")


def serve(playground: Playground, port: int) -> Server:
    """A server of the playground, which does not answer before its `serve` is called.

    Raises: OSError if the port is in use.
    """
    actions: dict[str, Callable[..., None]] = {
        "train": playground.train, "reset": playground.reset, "reshape": playground.reshape,
        "set": playground.set, "add": playground.add_point, "choose": playground.choose}

    def do(query: Query, content: Any) -> Mapping[str, Any]:
        if not isinstance(content, dict) or content.get("do") not in actions:
            raise Refusal(400, f"do: must be one of {', '.join(actions)}")
        actions[content.pop("do")](**content)
        return playground.state()

    def gradient(query: Query, content: Any) -> str:
        point = query.get("point", "")
        if not (point.isascii() and point.isdigit() and len(point) < 9):
            raise Refusal(400, "point: must be the number of a point")
        return playground.explain(int(point))

    return Server({"GET /": lambda query, content: filled(PAGE),
                   "GET /state": lambda query, content: playground.state(),
                   "GET /points": lambda query, content: playground.points(),
                   "GET /gradient": gradient, "POST /do": do}, port)
