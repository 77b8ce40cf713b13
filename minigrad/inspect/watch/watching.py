"""watch: a page that shows a training while it runs."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from time import perf_counter
from typing import Any, Self

from minigrad import atomic
from minigrad.hooks import RemovableHandle
from minigrad.inspect.server import Server
from minigrad.inspect.watch.capture import Capture, Layer
from minigrad.inspect.watch.page import recorded_page, serve
from minigrad.inspect.watch.training import Training
from minigrad.nn import Module
from minigrad.observer import Observer
from minigrad.optim import Optimizer
from minigrad.streams import announce
from minigrad.tensor import Tensor

SHARE = 0.1             # of the time may be spent on looking, unless `every` says how often to look


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
    `backward()` is called several times before it, the losses are added, unless the gradients are
    cleared in between: a step is about what its gradients came from. Nothing about the training
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
        self.file, self.url = None if file is None else Path(file).absolute(), ""
        self.training = Training(net, optimizer, paused)
        self._losses: list[float] = []
        self._capture: Capture | None = None
        self._handles: list[RemovableHandle | OwnStep] = []
        self._thread = 0                        # in which the block was entered
        self._server: Server | None = None
        self._spent, self._looked = 0.0, 0.0    # on the last look, and when it ended

    # ---- the block -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self.training.ended or self._handles:
            raise RuntimeError("watch: a training is watched once; call watch() again")
        if self.file is not None:
            self.save(self.file)
        if self.port is not None:
            self._server = serve(self.training, self.port)
            self.url = self._server.url
            announce(f"watch the training at {self.url}")
        self._thread = threading.get_ident()
        if type(self.optimizer).step is Optimizer.step:
            self._handles = [self.optimizer.register_step_pre_hook(self._step_begins),
                             self.optimizer.register_step_post_hook(self._step_ends)]
        else:
            self._handles = [OwnStep(self.optimizer, self._step_begins, self._step_ends)]
        self._handles += [
            *(layer.module.register_forward_hook(self._hook_of(layer))
              for layer in self.training.layers)]
        super().__enter__()
        try:
            self._begin()
        except BaseException:                   # Ctrl-C during the pause
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        for handle in self._handles:
            handle.remove()
        with self.training.lock:
            self.training.ended, self._capture = True, None
        try:
            if self._server is not None and exc[0] is not KeyboardInterrupt:
                self.training.wait_for_a_page()
        finally:                                # also after another Ctrl-C
            if self._server is not None:
                self._server.close()
            if self.file is not None:
                try:
                    self.save(self.file)
                except OSError as trouble:      # must not lose what has been trained
                    warnings.warn(f"watch: the page was not written to {self.file}: "
                                  f"{trouble.strerror or trouble}", stacklevel=2)

    def _begin(self) -> None:
        """Wait while the training is paused; then look at the next step, if it is time."""
        training = self.training
        training.gate.wait()
        if self.every is not None:
            due = training.step % (self.every << training.history.thinned) == 0
        else:
            due = perf_counter() - self._looked >= self._spent * (1 / SHARE - 1)
        if due or training.gate.stepping or training.step == 0:
            self._spent = 0.0
            self._capture = Capture(self.net, training.layers, training.drawings, self._learning())

    def log(self, **values: float) -> None:
        """Add a point to curves of your own: log(accuracy=0.93).

        Raises: ValueError for the name of a curve that is drawn anyway; TypeError for values that
        are not numbers.
        """
        points = {}
        for name, value in values.items():
            if name == "loss" or name.startswith("learning rate"):
                raise ValueError(f"log: there is a curve of the {name} anyway; choose another name")
            try:
                points[name] = float(value)
            except (TypeError, ValueError, RuntimeError):
                raise TypeError(f"log: {name} must be a number; got {value!r}") from None
        with self.training.lock:
            for name, point in points.items():
                self.training.history.point(name, self.training.step, point)

    # ---- what the engine, the layers and the optimiser tell --------------------------------------

    def backward_begins(self, outputs: Sequence[Tensor], gradients: Sequence[Tensor],
                        inputs: Sequence[Tensor] | None) -> None:
        if inputs is None:
            if not self._has_gradients():       # none that this pass adds to: the step begins anew
                self._losses = []
                if self._capture is not None:
                    self._capture.begin_again()
            self._losses += [y.item() for y in outputs if y.numel() == 1]
        self._look("backward_begins", outputs, gradients, inputs)

    def _learning(self) -> Iterator[Tensor]:
        return (p for group in self.optimizer.param_groups for p in group["params"])

    def _has_gradients(self) -> bool:
        return any(p.grad is not None and p.grad.data.any() for p in self._learning())

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
        def hook(module: Module, args: Any, output: Any) -> None:
            if module is layer.module and self._thread == threading.get_ident():    # no copy of it
                self._look("output", layer.path, output)
        return hook

    def _step_begins(self, optimizer: Optimizer, args: tuple[Any, ...], *rest: Any) -> None:
        if self._thread != threading.get_ident():
            return
        self._look("values_before")
        if not has_closure(args):
            self._look("gradients_complete")

    def _step_ends(self, optimizer: Optimizer, args: tuple[Any, ...], *rest: Any) -> None:
        if self._thread != threading.get_ident():
            warnings.warn("watch: this step is taken in another thread than the one that entered "
                          "the with block, and is not watched", stacklevel=5)
            return
        if has_closure(args):
            self._look("gradients_complete")
        training, history = self.training, self.training.history
        with training.lock:
            training.step += 1
            if self._losses:
                history.point("loss", training.step, sum(self._losses))
            self._losses = []
            for i, group in enumerate(optimizer.param_groups):
                if "lr" in group:
                    name = "learning rate" if i == 0 else f"learning rate of group {i}"
                    history.point(name, training.step, float(group["lr"]))
            if self._capture is not None:
                started = perf_counter()
                history.record({"step": training.step} | self._capture.record())
                training.outputs, self._capture = self._capture.first_items, None
                self._looked = perf_counter()
                self._spent += self._looked - started
        self._begin()

    # ---- the page --------------------------------------------------------------------------------

    @property
    def html(self) -> str:
        """The page as it is now, as one file."""
        return recorded_page(self.training.everything())

    def save(self, path: str | Path) -> None:
        """Write the page as it is now. A file that was there stays whole until the new one is."""
        atomic.write_text(path, self.html)

    def _repr_html_(self) -> str:
        return ("<iframe title='training' style='width:100%;height:720px;border:0' "
                f'srcdoc="{escape(self.html)}"></iframe>')

    def __repr__(self) -> str:
        return (f"<Watching {type(self.net).__name__}: {self.training.step} steps; "
                "save(path) writes a page>")


def has_closure(args: tuple[Any, ...]) -> bool:
    """Whether a step computes its gradients itself. args: those of the step."""
    return any(callable(each) for each in args[1:])


class OwnStep:
    """Tells of the steps of an optimiser whose class has a `step` of its own: it may call no hooks,
    or call them in the middle of its work."""

    def __init__(self, optimizer: Optimizer, begins: Callable[..., None],
                 ends: Callable[..., None]) -> None:
        self._optimizer, self._was = optimizer, vars(optimizer).get("step")
        step = optimizer.step

        def told(*args: Any, **options: Any) -> Any:
            given = (optimizer, *args, *options.values())
            begins(optimizer, given)
            loss = step(*args, **options)
            ends(optimizer, given)
            return loss
        vars(optimizer)["step"] = told

    def remove(self) -> None:
        del vars(self._optimizer)["step"]
        if self._was is not None:
            vars(self._optimizer)["step"] = self._was
