"""What the page of `watch` can ask for, and the page itself.

    GET  /                      the page
    GET  /description           Training.description
    GET  /state?thinned=T&known=N   Training.state
    GET  /drawing?number=N      {"svg": a graph}
    GET  /pictures?path=PATH    {"pictures": of a layer}
    GET  /everything            Training.everything
    GET  /save                  the page as one file
    POST /do                    {"do": "pause" | "step" | "go"}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minigrad.inspect.pages import filled
from minigrad.inspect.server import Answer, Query, Refusal, Server
from minigrad.inspect.watch.training import Training


def page(recorded: str = "null") -> str:
    """The page with its style and its script in it. recorded: everything it shows, as JSON; null
    if it is to ask for it."""
    return filled(Path(__file__).with_suffix(".html"), recorded=recorded)


def recorded_page(everything: dict[str, Any]) -> str:
    """A page that shows a training without asking anybody."""
    text = json.dumps(everything, separators=(",", ":"), allow_nan=False)
    return page(text.replace("<", "\\u003c"))   # so that nothing in it ends the script


def serve(training: Training, port: int) -> Server:
    """A server of the page, which runs until its `close` is called.

    Raises: OSError if the port is in use; OverflowError if there is no such port.
    """
    actions = {"pause": training.gate.pause, "step": training.gate.make_step,
               "go": training.gate.go}

    def do(query: Query, content: Any) -> dict[str, Any]:
        if not isinstance(content, dict) or content.get("do") not in list(actions):
            raise Refusal(400, f"do: must be one of {', '.join(actions)}")
        actions[content["do"]]()
        return {}

    def state(query: Query, content: Any) -> dict[str, Any]:
        training.asked()
        return training.state(_number(query, "thinned"), _number(query, "known"))

    def drawing(query: Query, content: Any) -> dict[str, str]:
        svgs, n = training.drawings.svgs, _number(query, "number")
        if n >= len(svgs):
            raise Refusal(404, f"number: there are {len(svgs)} drawings")
        return {"svg": svgs[n]}

    def everything(query: Query, content: Any) -> dict[str, Any]:
        found = training.everything()
        training.has_told_all()
        return found

    def save(query: Query, content: Any) -> Answer:
        page = recorded_page(training.everything())
        return Answer(page.encode(), "text/html; charset=utf-8", "training.html")

    return Server({
        "GET /": lambda query, content: page(), "POST /do": do, "GET /state": state,
        "GET /description": lambda query, content: training.description(),
        "GET /drawing": drawing, "GET /everything": everything,
        "GET /pictures": lambda query, content: {
            "pictures": training.pictures(query.get("path", ""))},
        "GET /save": save}, port, one_at_a_time=False).start()


def _number(query: Query, name: str) -> int:
    text = query.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise Refusal(400, f"{name}: must be a number; got {text[:40]!r}")
    return int(text)
