"""`gradcheck_modules`: which layer of a network has a wrong gradient, and which op in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.autograd import Array, enable_grad
from minigrad.func.tree import leaves, mapped
from minigrad.nn import Module
from minigrad.observer import Observer
from minigrad.tensor import Tensor
from minigrad.testing.calls import (
    Call,
    NetworkError,
    calls_of,
    copy_in_double,
    in_double,
    movable,
)
from minigrad.testing.gradcheck import GradcheckError, check
from minigrad.testing.network import (
    Options,
    options_of,
    require_excuses,
    require_network,
    require_tensors,
)
from minigrad.testing.probe import (
    Probe,
    arriving,
    float_outputs,
    leaves_of,
    random_cotangent,
    wants_gradient,
)

LOOK_FOR = "look for detach(), .data or no_grad() between the layers"
STEPS = (1e-5, 1e-6, 1e-7)      # in all directions at once: the smaller, the fewer kinks it meets


@dataclass
class LayerReport:
    """What was checked of one layer, what is wrong ("" where nothing is), and why some or all of it
    was not checked ("" where all was)."""

    path: str
    kind: str
    checked: list[str] = field(default_factory=list)
    problem: str = ""
    unchecked: str = ""

    def __str__(self) -> str:
        mark = "✗" if self.problem else "✓" if self.checked else "·"
        says = "; ".join(filter(None, [", ".join(self.checked), self.unchecked]))
        return f"{mark} {self.path or 'the network'} ({self.kind}): " + (
            self.problem or says or "nothing to differentiate by")


def gradcheck_modules(net: Module, *inputs: Any, atol: float = 1e-5, rtol: float = 1e-5,
                      seed: int = 0, excused: Mapping[str, str] | None = None, **named: Any
                      ) -> list[LayerReport]:
    """Check each layer of a network by itself, on the values that it really gets.

    The network runs once on the inputs, as a copy in float64, in the mode (training or evaluation)
    that each layer is in. Each module is then checked by its inputs (also those by keyword and in
    lists and dicts) and its own parameters, from the innermost outwards; one that contains a wrong
    one is left out, because it would be wrong for that reason. Of a module that runs several times,
    calls with inputs of different kinds are checked, and the last one. A module made of others, as
    the network is, is checked along random directions by all of the parameters in it, too, so that
    a gradient that is cut between layers is noticed; its inputs and parameters are moved a little
    for that, away from the kinks of ReLUs at 0. In a wrong layer each op is checked as well.
    Large arrays are checked along random directions and at 16 elements. Random numbers, attributes
    and buffers are the same at each evaluation.
    excused: a layer's path → why its gradient is meant not to be that of its values, as where it
    stops the gradient on purpose. It is not checked, and what it returns is a constant while the
    modules around it are. The row of an Embedding's padding_idx needs no excuse.
    named: the network's inputs by keyword.
    Returns: a report for each layer, in the order in which they first run, and then for those that
    do not run. A layer that cannot be checked is not wrong; its report says why.
    Raises: GradcheckError that names the layers and ops that are wrong; TypeError where net is not
    a Module or an input not a Tensor of minigrad; ValueError where the network does not run on the
    inputs, where they hold NaN, and where nothing in it can be checked.
    """
    options = options_of(atol, rtol, seed)
    require_network(net)
    excused = {} if excused is None else excused
    require_excuses(net, excused)
    require_tensors(inputs, named)
    with in_double():
        net = copy_in_double(net)
        try:
            calls = calls_of(net, mapped(_wanted, inputs), mapped(_wanted, named), seed)
        except NetworkError as error:
            hint = ("; give the inputs one by one, not as a list"
                    if len(inputs) == 1 and isinstance(inputs[0], list | tuple) else "")
            raise ValueError("gradcheck_modules: the network does not run on these inputs: "
                             f"{error}{hint}") from error
        reports = {call.path: LayerReport(call.path, type(call.module).__name__) for call in calls}
        for call in calls:
            call.hold([module for path, module in call.module.named_modules()
                       if path and _joined(call.path, path) in excused])
        for path in sorted(reports, key=_depth, reverse=True):
            if path in excused:
                reports[path].unchecked = f"excused: {excused[path]}"
                continue
            inside = [report for report in reports.values() if _is_inside(report.path, path)]
            if any(report.problem for report in inside):
                reports[path].unchecked = "not checked, as it contains a wrong one"
                continue
            sound = not any(report.unchecked and report.path not in excused for report in inside)
            for call in calls:
                if call.path == path and not reports[path].problem:
                    _report_call(reports[path], call, options, sound)
            if held := [report.path for report in inside if report.path in excused]:
                reports[path].unchecked = "; ".join(filter(None, [
                    reports[path].unchecked, f"{', '.join(held)} held constant, as excused"]))
    found = [*reports.values(), *_idle(net, reports)]
    text = "\n".join(map(str, found))
    if any(report.problem for report in found):
        raise GradcheckError(f"gradcheck_modules: wrong gradients\n{text}")
    if not any(report.checked for report in found):
        raise ValueError(f"gradcheck_modules: nothing could be checked\n{text}")
    return found


# ---- the layers ----------------------------------------------------------------------------------

def _wanted(x: Any) -> Any:
    """An input of the network in float64; a gradient is wanted where it can be moved."""
    if not isinstance(x, Tensor) or x.dtype.kind != "f":
        return x.detach() if isinstance(x, Tensor) else x
    return Tensor(x.data.astype(np.float64), movable(x))


def _joined(path: str, inner: str) -> str:
    return f"{path}.{inner}" if path else inner


def _depth(path: str) -> int:
    return path.count(".") + bool(path)


def _is_inside(path: str, outer: str) -> bool:
    return path != outer and path.startswith(f"{outer}." if outer else "")


def _idle(net: Module, ran: dict[str, LayerReport]) -> Iterator[LayerReport]:
    """The layers that did not run, without the containers of those that did."""
    for path, module in net.named_modules():
        if path not in ran and not any(_is_inside(other, path) for other in ran):
            yield LayerReport(path, type(module).__name__, unchecked="its forward did not run")


# ---- one call of one module ----------------------------------------------------------------------

class Function:
    """A call of a module as a function of its inputs and of all parameters in it."""

    def __init__(self, call: Call) -> None:
        self.call = call
        inputs = leaves(call.inputs)
        self.n_inputs = len(inputs)
        parameters = {name: p for name, p in call.module.named_parameters()
                      if p.requires_grad and movable(p)}
        self.parameters = list(parameters)
        self.arguments = [*inputs, *(Tensor(p.data.copy(), True) for p in parameters.values())]
        self.names = [*call.names, *(name if "." in name else f"its parameter {name}"
                                     for name in parameters)]
        self._drop_unneeded()

    def __call__(self, *xs: Any) -> list[Tensor]:
        return self.call.again(xs[:self.n_inputs], dict(zip(
            self.parameters, xs[self.n_inputs:], strict=True)))

    def _drop_unneeded(self) -> None:
        """Want no gradient by a constant to which the module sends none, as a mask may be."""
        xs = leaves_of(self.arguments)
        wanted = [i for i, x in enumerate(xs) if wants_gradient(x)]
        outputs = float_outputs("", self, xs)
        if not outputs:
            raise ValueError("it returns no Tensor of floats")
        gradients = arriving(outputs, [np.ones(y.shape) for y in outputs], [xs[i] for i in wanted])
        for i, g in zip(wanted, gradients, strict=True):
            if g is None and i < self.n_inputs and not self.call.needed[i]:
                self.arguments[i] = self.arguments[i].detach()

    @property
    def wanted(self) -> list[int]:
        return [i for i, x in enumerate(self.arguments) if wants_gradient(x)]

    @property
    def own(self) -> list[int]:
        """The inputs and the module's own parameters."""
        return [i for i in self.wanted
                if i < self.n_inputs or "." not in self.parameters[i - self.n_inputs]]

    def by(self, chosen: Sequence[int]) -> list[Any]:
        """The arguments, of which only the chosen ones require grad."""
        return [Tensor(x.data, i in chosen) if isinstance(x, Tensor) else x
                for i, x in enumerate(self.arguments)]

    def move_a_little(self, seed: int) -> None:
        """Leave the kinks where all is 0, unless the function's domain ends there."""
        before, rng = self.arguments, np.random.default_rng(seed)

        def moved(x: Array) -> Array:
            size = float(np.abs(x).mean()) or 1.0
            return np.asarray(x + 1e-3 * size * rng.standard_normal(x.shape))

        self.arguments = [Tensor(moved(x.data), True) if wants_gradient(x) else x for x in before]
        try:
            fits = all(np.isfinite(y.data).all() for y in float_outputs("", self, self.arguments))
        except Exception:                       # a probability beyond 1, for example
            fits = False
        if not fits:
            self.arguments = before

    def problem(self, chosen: Sequence[int], options: Options) -> str:
        """What is wrong with the gradients by the chosen arguments, or ""."""
        try:
            check("", self, self.by(chosen), random_cotangent(options.seed), atol=options.atol,
                  rtol=options.rtol, names=self.names, method="directions", seed=options.seed)
        except GradcheckError as error:
            return _unnamed(error)
        return ""


def _unnamed(error: Exception) -> str:
    """A message without the place for the name of the check, which is empty here."""
    return str(error).removeprefix(": ").replace("\n: ", "\n")


def _report_call(into: LayerReport, call: Call, options: Options, sound: bool) -> None:
    """Check a call and add what is found to the report of its module; sound: each layer inside was
    checked, and none is wrong."""
    which = f"at call {call.number}: " if call.number > 1 else ""
    try:
        checked, problem = _check_call(call, options, sound)
    except Exception as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        into.unchecked = f"{which}could not be checked: {kind}{_unnamed(error)}".replace(
            "fn gives", "it gives")
        return
    into.checked += [name for name in checked if name not in into.checked]
    into.problem = which + problem if problem else ""


def _check_call(call: Call, options: Options, sound: bool) -> tuple[list[str], str]:
    """What of a call was checked, and what is wrong with it, or ""."""
    function = Function(call)
    if not function.wanted:
        return [], ""
    own, below = function.own, len(function.wanted) - len(function.own)
    checked = [function.names[i] for i in own]
    if not list(call.module.children()):
        problem = function.problem(own, options)
        return checked, problem and problem + "".join(_wrong_ops(function, problem, options))
    if below:
        n = len(function.wanted) - sum(i < function.n_inputs for i in own)
        checked = [name for name in checked if not name.startswith("its parameter ")]
        checked.append(f"the {n} parameters in it" if n > 1 else "the parameter in it")
    function.move_a_little(options.seed)
    problem = function.problem(own, options) if own else ""
    if not problem and not (below and _differs_along_directions(function, options)):
        return checked, ""
    wrong = {i: text for i in function.wanted if (text := function.problem([i], options))}
    if not wrong:
        return checked, problem
    report = next(iter(wrong.values()))
    ops = "".join(_wrong_ops(function, report, options))
    return checked, report + ops if ops else _between(function, list(wrong), report, sound)


def _differs_along_directions(function: Function, options: Options) -> bool:
    """Whether the gradients by all arguments together disagree with the slopes along random
    directions."""
    probe = Probe("", function, function.arguments, random_cotangent(options.seed))
    rng = np.random.default_rng(options.seed)
    start = [x.data.copy() for x in probe.leaves]
    rounding = 8 * float(np.spacing(np.abs(probe.base).sum()))

    def change(h: float, directions: list[Array]) -> float:
        total = 0.0
        for side in (1, -1):
            for x, x0, v in zip(probe.leaves, start, directions, strict=True):
                np.copyto(x.data, x0 + side * h * v)
            total += side * float(probe.weighed().sum())
        return total / (2 * h)

    for _ in range(2):
        directions = [np.asarray(rng.standard_normal(g.shape) / max(1.0, math.sqrt(g.size)))
                      for g in probe.analytic]
        expected = sum(float((g * v).sum())
                       for g, v in zip(probe.analytic, directions, strict=True))

        def agrees(h: float, directions: list[Array] = directions,
                   expected: float = expected) -> bool:
            slope, wide = change(h / 2, directions), change(h, directions)
            unsure = abs(slope - wide) + rounding / h
            return abs(expected - slope) <= unsure + options.atol + options.rtol * abs(slope)

        if not any(map(agrees, STEPS)):
            return True
    return False


def _between(function: Function, wrong: list[int], report: str, sound: bool) -> str:
    """What to look for where the layers are right and what is made of them is not."""
    probe = Probe("", function, function.by(wrong), random_cotangent(0))
    arrives = [g.any() for g in probe.analytic]
    names = [function.names[i] for i in wrong]
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} others" if len(names) > 4 else "")
    layers, its = (("each layer by itself is right", "the network's") if not function.call.path
                   else ("each layer in it is right by itself", "its"))
    return (f"{layers if sound else 'no layer in it is found to be wrong'}, but {its} gradient by "
            f"{shown} is not: "
            + ("a part of it is missing or wrong" if any(arrives) else "no gradient arrives")
            + f"; {LOOK_FOR}" + f"\n{report}".replace("\n", "\n    "))


# ---- the ops in a layer --------------------------------------------------------------------------

def _wrong_ops(function: Function, known: str, options: Options) -> Iterator[str]:
    """What is wrong with the ops that run in a layer, each with the inputs that it gets; without
    the report where it is the one that is known of the layer."""
    seen = set()
    with enable_grad(), _Ops() as ops:
        function(*function.arguments)
    for op, inputs, static in ops.calls:
        if op.__name__ in seen or not any(map(wants_gradient, inputs)):
            continue
        try:
            check("", lambda *xs, op=op, static=static: op(*xs, **static), list(inputs),
                  random_cotangent(options.seed), atol=options.atol, rtol=options.rtol,
                  method="directions", seed=options.seed)
        except GradcheckError as error:
            seen.add(op.__name__)
            shapes = ", ".join(str(x.shape) for x in inputs if isinstance(x, Tensor))
            report = _unnamed(error)
            yield (f"\n    the op in it that is wrong: {op.__module__}.{op.__name__}, for inputs "
                   f"of shape {shapes}")
            if report != known:
                yield f"\n{report}".replace("\n", "\n        ")
        except Exception:                       # nothing that can be checked, as for a cast
            continue


class _Ops(Observer):
    """The ops that run, each with copies of its inputs."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        self.calls.append((op, tuple(map(_kept, inputs)), dict(static)))


def _kept(x: Any) -> Any:
    return Tensor(x.data.copy(), x.requires_grad) if isinstance(x, Tensor) else x
