"""watch: a page that shows a training while it runs."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from time import perf_counter
from typing import Any, Self

from minigrad.autograd import Array
from minigrad.hooks import RemovableHandle
from minigrad.inspect.server import Server
from minigrad.inspect.watch.capture import Capture, Drawings, Layer, layers_of, pictures
from minigrad.inspect.watch.history import History
from minigrad.inspect.watch.page import recorded_page, serve
from minigrad.nn import Module
from minigrad.observer import Observer
from minigrad.optim import Optimizer
from minigrad.tensor import Tensor

SHARE = 0.1             # of the time may be spent on looking, unless `every` says how often to look
LINGER = 3.0            # seconds after which a page that has not asked again is taken for closed


def watch(net: Module, optimizer: Optimizer, *, every: int | None = None,
          file: str | os.PathLike[str] | None = None, live: bool = True, port: int = 0,
          paused: bool = False) -> Watching:
    """Show a training while it runs: on a page that this process serves, and in a file.

        with watch(net, optimizer, file="training.html") as training:
            for x, target in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), target)
                loss.backward()
                optimizer.step()

    The address of the page is printed. The page shows the loss that `backward()` is called on and
    the learning rate; of each layer the histograms of its weights, their gradients, its activations
    and their gradients over time; how much each step changes a weight, relative to its size;
    filters as pictures; and the graph, coloured by the norms of the gradients. The training can be
    paused there, and go on step by step. `training.log(accuracy=0.93)` adds curves of your own.

    A step is a call of `optimizer.step()`, in the thread that entered the `with` block. Where
    `backward()` is called several times before it, the losses are added. Nothing about the training
    changes but its speed.

    every: look at every so many steps; unless given, as often as it takes a tenth of the time.
    file: where to write the page when the block ends, however it ends, as one file that holds
    everything. live: whether to serve the page. port: that of the page; 0 for one that is free.
    paused: whether to wait before the first step until somebody presses a button on the page.
    Raises: TypeError or ValueError for arguments of a wrong kind; OSError if the port is in use or
    the file cannot be written, before the training begins.
    """
    if not isinstance(net, Module):
        raise TypeError(f"watch: net must be a Module; got {type(net).__name__}")
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"watch: optimizer must be an Optimizer; got {type(optimizer).__name__}")
    if every is not None and (not isinstance(every, int) or every < 1):
        raise ValueError(f"watch: every must be a positive number of steps; got {every!r}")
    if not live and (file is None or paused):
        raise ValueError("watch: live=False needs a file to write, and nobody could end a pause; "
                         f"got file={file!r}, paused={paused}")
    return Watching(net, optimizer, every, file, port if live else None, paused)


class Watching(Observer):
    """A training that is watched, within a `with` block. url: the address of the page, "" if it is
    not served. `save` writes the page at any time; a notebook shows it."""

    def __init__(self, net: Module, optimizer: Optimizer, every: int | None,
                 file: str | os.PathLike[str] | None, port: int | None, paused: bool) -> None:
        self.net, self.optimizer, self.every, self.port = net, optimizer, every, port
        self.file = None if file is None else Path(file)
        self.layers = layers_of(net)
        self.history, self.drawings = History(), Drawings()
        self.step, self.ended, self.url = 0, False, ""
        self.gate = Gate(paused)
        self.lock = threading.RLock()           # held while what the page shows is changed or read
        self._last_asked, self._has_told_all = -LINGER, threading.Event()
        self._losses: list[float] = []
        self._capture: Capture | None = None
        self._outputs: dict[str, Array] = {}
        self._handles: list[RemovableHandle] = []
        self._server: Server | None = None
        self._spent, self._looked = 0.0, 0.0    # on the last look, and when it ended

    # ---- the block -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self.ended or self._handles:
            raise RuntimeError("watch: a training is watched once; call watch() again")
        if self.file is not None:
            self.save(self.file)
        if self.port is not None:
            self._server = serve(self, self.port)
            self.url = self._server.url
            print(f"watch the training at {self.url}", file=sys.stderr, flush=True)
        self._handles = [
            self.optimizer.register_step_pre_hook(self._step_begins),
            self.optimizer.register_step_post_hook(self._step_ends),
            *(layer.module.register_forward_hook(self._hook_of(layer)) for layer in self.layers)]
        super().__enter__()
        self._begin()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        for handle in self._handles:
            handle.remove()
        with self.lock:
            self.ended, self._capture = True, None
        if self._server is not None:
            if perf_counter() - self._last_asked < LINGER and exc[0] is not KeyboardInterrupt:
                self._has_told_all.wait(LINGER)     # a page that is open asks for all there is
            self._server.close()
        if self.file is not None:
            try:
                self.save(self.file)
            except OSError as trouble:          # must not lose what has been trained
                warnings.warn(f"watch: the page was not written to {self.file}: "
                              f"{trouble.strerror or trouble}", stacklevel=2)

    def _begin(self) -> None:
        """Wait while the training is paused; then look at the next step, if it is time."""
        self.gate.wait()
        if self.every is not None:
            due = self.step % (self.every << self.history.thinned) == 0
        else:
            due = perf_counter() - self._looked >= self._spent * (1 / SHARE - 1)
        if due or self.gate.stepping or self.step == 0:
            self._capture, self._spent = Capture(self.net, self.layers, self.drawings), 0.0

    def log(self, **values: float) -> None:
        """Add a point to curves of your own: log(accuracy=0.93)."""
        with self.lock:
            for name, value in values.items():
                self.history.point(name, self.step, float(value))

    # ---- what the engine, the layers and the optimiser tell --------------------------------------

    def backward_begins(self, outputs: Sequence[Tensor], gradients: Sequence[Tensor],
                        inputs: Sequence[Tensor] | None) -> None:
        if inputs is None:
            self._losses += [y.item() for y in outputs if y.numel() == 1]
        self._look("backward_begins", outputs, gradients, inputs)

    def op_begins(self, *event: Any) -> None:
        self._look("op_begins", *event)

    def op_ends(self, *event: Any) -> None:
        self._look("op_ends", *event)

    def vjp_begins(self, *event: Any) -> None:
        self._look("vjp_begins", *event)

    def _look(self, name: str, *event: Any) -> None:
        if self._capture is not None:
            started = perf_counter()
            getattr(self._capture, name)(*event)
            self._spent += perf_counter() - started

    def _hook_of(self, layer: Layer) -> Callable[..., None]:
        return lambda module, args, output: self._look("output", layer.path, output)

    def _step_begins(self, optimizer: Optimizer, *args: Any) -> None:
        self._look("step_begins")

    def _step_ends(self, optimizer: Optimizer, *args: Any) -> None:
        with self.lock:
            self.step += 1
            if self._losses:
                self.history.point("loss", self.step, sum(self._losses))
            self._losses = []
            for i, group in enumerate(optimizer.param_groups):
                if "lr" in group:
                    name = "learning rate" if i == 0 else f"learning rate of group {i}"
                    self.history.point(name, self.step, float(group["lr"]))
            if self._capture is not None:
                started = perf_counter()
                self.history.record({"step": self.step} | self._capture.record())
                self._outputs = self._capture.first_items
                self._capture = None
                self._looked = perf_counter()
                self._spent += self._looked - started
        self._begin()

    # ---- what the page shows ---------------------------------------------------------------------

    def description(self) -> dict[str, Any]:
        """What stays the same during the training."""
        return {"title": f"{type(self.net).__name__}, trained by {type(self.optimizer).__name__}",
                "layers": [{"path": layer.path, "kind": type(layer.module).__name__,
                            "parameters": {name: list(p.shape)
                                           for name, p in layer.parameters.items()}}
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
                    return pictures(layer, self._outputs.get(path))
        raise ValueError(f"path: there is no layer {path!r}")

    def asked(self) -> None:
        """Note that a page is open."""
        self._last_asked = perf_counter()

    def has_told_all(self) -> None:
        """Note that a page has been given all that there is, and whether that is for good."""
        if self.ended:
            self._has_told_all.set()

    def everything(self) -> dict[str, Any]:
        """All that a page needs that cannot ask."""
        with self.lock:
            return {"description": self.description(), "state": self.state() | {"ended": True},
                    "drawings": self.drawings.svgs,
                    "pictures": {layer.path: self.pictures(layer.path) for layer in self.layers}}

    @property
    def html(self) -> str:
        """The page as it is now, as one file."""
        return recorded_page(self.everything())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page as it is now. A file that was there stays whole until the new one is."""
        path = Path(path)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            new.write_text(self.html, encoding="utf-8")
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)

    def _repr_html_(self) -> str:
        return ("<iframe title='training' style='width:100%;height:720px;border:0' "
                f'srcdoc="{escape(self.html)}"></iframe>')

    def __repr__(self) -> str:
        return f"<Watching {type(self.net).__name__}: {self.step} steps; save(path) writes a page>"


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
