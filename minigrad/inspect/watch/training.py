"""A training as its page shows it, and the gate at which it waits while it is paused."""

from __future__ import annotations

import threading
from time import perf_counter
from typing import Any

from minigrad.autograd import Array
from minigrad.inspect.watch.capture import Drawings, layers_of, pictures
from minigrad.inspect.watch.history import RECORDS, History
from minigrad.nn import Module
from minigrad.optim import Optimizer

HISTOGRAMS = 24_000     # about so many are kept, in fewer records if there are many layers
LINGER = 3.0            # seconds after which a page that has not asked again is taken for closed


class Training:
    """What there is to show. `lock` is held while it is changed or read: the training itself and
    the page's requests run in different threads.

    outputs: what each layer made of the first item of a batch, by its path.
    """

    def __init__(self, net: Module, optimizer: Optimizer, paused: bool) -> None:
        self.title = f"{type(net).__name__}, trained by {type(optimizer).__name__}"
        self.layers = layers_of(net)
        columns = sum(2 * len(layer.parameters) + 2 for layer in self.layers)
        self.history = History(max(30, min(RECORDS, HISTOGRAMS // max(1, columns))))
        self.drawings, self.gate = Drawings(), Gate(paused)
        self.step, self.ended = 0, False
        self.outputs: dict[str, Array] = {}
        self.lock = threading.RLock()
        self._last_asked, self._all_is_told = -LINGER, threading.Event()

    def description(self) -> dict[str, Any]:
        """What stays the same during the training."""
        return {"title": self.title,
                "layers": [{"path": layer.path, "kind": type(layer.module).__name__,
                            "parameters": {name: list(p.shape)
                                           for name, p in layer.parameters.items()},
                            "shared": dict(layer.shared)}
                           for layer in self.layers]}

    def state(self, thinned: int = 0, known: int = 0) -> dict[str, Any]:
        """Where the training is, and what has been recorded beyond the records that are known.

        thinned, known: what the page has, as the last state said.
        """
        with self.lock:
            first = known if thinned == self.history.thinned else 0
            return {"step": self.step, "paused": self.gate.paused, "ended": self.ended,
                    "thinned": self.history.thinned, "first": first,
                    "records": self.history.records[first:], "drawings": len(self.drawings.svgs),
                    "curves": {name: curve.encoded()
                               for name, curve in self.history.curves.items()}}

    def pictures(self, path: str) -> list[dict[str, Any]]:
        """The weights of a layer, and what it made of the first item of a batch, as maps.

        Raises: ValueError if there is no such layer.
        """
        with self.lock:
            for layer in self.layers:
                if layer.path == path:
                    return pictures(layer, self.outputs.get(path))
        raise ValueError(f"path: there is no layer {path!r}")

    def everything(self) -> dict[str, Any]:
        """All that a page needs that cannot ask."""
        with self.lock:
            return {"description": self.description(), "state": self.state() | {"ended": True},
                    "drawings": self.drawings.svgs,
                    "pictures": {layer.path: self.pictures(layer.path) for layer in self.layers}}

    # ---- whether somebody looks on ---------------------------------------------------------------

    def asked(self) -> None:
        """Note that a page is open."""
        self._last_asked = perf_counter()

    def has_told_all(self) -> None:
        """Note that a page has been given all that there is, and whether that is for good."""
        if self.ended:
            self._all_is_told.set()

    def wait_for_a_page(self) -> None:
        """If a page is open, wait until it has asked for all that there is."""
        if perf_counter() - self._last_asked < LINGER:
            self._all_is_told.wait(LINGER)


class Gate:
    """Where the training waits while it is paused."""

    def __init__(self, paused: bool) -> None:
        self.paused = paused
        self.stepping = False                   # the step that is made now was asked for
        self._asked_for = False                 # a step that has not begun yet
        self._changed = threading.Condition()

    def wait(self) -> None:
        with self._changed:
            while self.paused and not self._asked_for:
                self._changed.wait()
            self.stepping, self._asked_for = self._asked_for, False

    def pause(self) -> None:
        with self._changed:
            self.paused = True

    def go(self) -> None:
        with self._changed:
            self.paused = False
            self._changed.notify_all()

    def make_step(self) -> None:
        """Let a single step be made; a training that is not paused is, after it."""
        with self._changed:
            self.paused = self._asked_for = True
            self._changed.notify_all()
