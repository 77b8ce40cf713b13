"""A profile as Trace Event JSON: a flame chart in ui.perfetto.dev or chrome://tracing.

Source: "Trace Event Format", the document of the Chromium project; JSON object format, phases X
(a complete event with its duration), C (a counter) and M (names).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from minigrad import atomic
from minigrad.inspect.profile_events import Event

PROCESS, THREAD = 1, 1


def write(events: Sequence[Event], path: str | Path) -> None:
    text = json.dumps({"traceEvents": [*names(), *spans(events)], "displayTimeUnit": "ms"},
                      allow_nan=False)
    atomic.write_text(path, text)


def names() -> Iterator[dict[str, Any]]:
    for kind, name in (("process_name", "minigrad"), ("thread_name", "step")):
        yield {"ph": "M", "name": kind, "pid": PROCESS, "tid": THREAD, "ts": 0,
               "args": {"name": name}}


def spans(events: Sequence[Event]) -> Iterator[dict[str, Any]]:
    """The ops and vjps, with the modules around them, and the memory in use after each."""
    for name, start, end in modules(events):
        yield complete(name, "module", start, end - start, {})
    for event in events:
        name = {"backward": f"vjp of {event.name}"}.get(event.phase, event.name)
        seconds = max(event.seconds, 1e-9)
        args = {"module": event.path, "line": event.line,
                "shapes": " ".join(map(str, event.shapes)),
                "GFLOP/s": round(2 * event.products / seconds / 1e9, 3),
                "GB/s": round(event.bytes / seconds / 1e9, 3), "bytes": event.bytes}
        yield complete(name, event.phase, event.start, event.seconds, args)
        if event.in_use:
            yield {"ph": "C", "name": "memory in use", "pid": PROCESS, "tid": THREAD,
                   "ts": micro(event.start + event.seconds),
                   "args": {"bytes": event.in_use}}


def complete(name: str, kind: str, start: float, seconds: float, args: dict[str, Any]
             ) -> dict[str, Any]:
    return {"ph": "X", "name": name, "cat": kind, "pid": PROCESS, "tid": THREAD,
            "ts": micro(start), "dur": micro(start + seconds) - micro(start), "args": args}


def micro(seconds: float) -> int:
    """Nanoseconds would be finer than what is measured; whole microseconds nest without gaps."""
    return round(seconds * 1e6)


def modules(events: Sequence[Event]) -> Iterator[tuple[str, float, float]]:
    """Each stretch of time in which all ops belong to one module, with its beginning and end."""
    running: list[tuple[tuple[str, str], str, float]] = []
    last = 0.0
    for event in events:
        if event.phase == "inside":
            continue
        chain = list(event.modules)
        while running and (len(running) > len(chain) or running[-1][1] != event.phase
                           or [module for module, _, _ in running] != chain[:len(running)]):
            (path, kind), _, start = running.pop()
            yield path or kind, start, last
        for module in chain[len(running):]:
            running.append((module, event.phase, event.start))
        last = event.start + event.seconds
    while running:
        (path, kind), _, start = running.pop()
        yield path or kind, start, last
