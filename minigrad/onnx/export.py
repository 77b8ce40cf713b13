"""`export`: a network, as a file that other programs can run."""

from __future__ import annotations

import importlib.util
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minigrad import atomic
from minigrad.autograd import Array, no_grad
from minigrad.func.tree import named_leaves
from minigrad.nn import Module
from minigrad.onnx.build import Builder, depends_on_input, require_translators
from minigrad.onnx.errors import ExportError, NotDynamic
from minigrad.onnx.program import Program, agreed
from minigrad.onnx.runtime import largest_difference
from minigrad.onnx.trace import Operand, Trace, run
from minigrad.random import default_generator
from minigrad.tensor import Tensor


@dataclass(frozen=True)
class Exported:
    """What was written.

    inputs, outputs: their names. dynamic_batch: whether a batch may have any size; why_fixed: the
    reason if not. difference: from the network's own outputs, as onnxruntime computes them; None if
    it is not installed, or lacks a node for a dtype (unchecked says which).
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: int
    dynamic_batch: bool
    why_fixed: str
    difference: float | None
    unchecked: str


def export(net: Callable[..., Any], x: Any, path: str | Path, *, dynamic_batch: bool | None = None,
           input_names: Sequence[str] | None = None, output_names: Sequence[str] | None = None,
           metadata: Mapping[str, str] | None = None) -> Exported:
    """Write a network as an ONNX file, in evaluation mode.

        minigrad.onnx.export(net, minigrad.randn(1, 3, 32, 32), "net.onnx")

    The network is run on x, and on other values and batch sizes; what it computes must be the same
    program each time. x: a Tensor or array, or a tuple of them for several arguments; its values
    should be as various as real ones.
    dynamic_batch: whether the first dim of the inputs, the batch, may have any size. None: if the
    network allows it. input_names, output_names: "input" and "output" unless given, numbered where
    there are several; the keys of a dict that the network returns. metadata: texts that are kept in
    the file.
    Where onnxruntime is installed, its outputs are compared with the network's on all inputs that
    the network was run on.
    Raises: ExportError for an op or a use of values that cannot be exported, naming its place, for
    a batch that cannot be left open though it should, and where onnxruntime disagrees; nothing is
    written then. ImportError without the package onnx.
    """
    require_onnx()
    inputs = [np.array(each.data if isinstance(each, Tensor) else each)
              for each in (x if isinstance(x, tuple | list) else (x,))]
    with undisturbed(net):
        state = {} if not isinstance(net, Module) else {
            name: tensor for named in (net.named_parameters, net.named_buffers)
            for name, tensor in named()}
        first = _Run(net, inputs, state)
        require_translators(first.trace, first.operands)
        names = (_names("input", input_names, [str(i) for i in range(len(inputs))]),
                 _names("output", output_names, first.paths))
        model, runs, why_fixed = _model(net, first, state, names, dynamic_batch, metadata or {})
    _check(model)
    _warn_of_reading(first.trace)
    data = model.SerializeToString()
    difference, unchecked = largest_difference(
        data, [dict(zip(names[0], each.inputs, strict=True)) for each in runs],
        [each.outputs for each in runs])
    atomic.write(path, data)
    return Exported(Path(path), names[0], names[1], len(model.graph.node), not why_fixed, why_fixed,
                    difference, unchecked)


def require_onnx() -> None:
    """ImportError that says what to install, if the package onnx is missing."""
    if importlib.util.find_spec("onnx") is None:
        raise ImportError('minigrad.onnx needs the package onnx: pip install "minigrad[onnx]"')


class _Run:
    """A network run on inputs, with all that it computed."""

    def __init__(self, net: Callable[..., Any], inputs: list[Array], state: Mapping[str, Tensor]
                 ) -> None:
        self.inputs = [array.copy() for array in inputs]    # the network may write to its own
        with restored(net, state.values()):     # every run begins with the same values
            self.trace, y = run(net, inputs, state)
            found = named_leaves(y, "")
            self.outputs = [leaf.data.copy() for _, leaf in found if isinstance(leaf, Tensor)]
        for name, leaf in found:
            if not isinstance(leaf, Tensor):
                raise ExportError(f"the network returns {type(leaf).__name__}"
                                  f"{f' in {name}' if name else ''}; an ONNX graph returns tensors")
        self.paths = [".".join(re.findall(r"\['?(.*?)'?\]", place)) for place, _ in found]
        self.operands: list[Operand] = [self.trace.operand(leaf.data, "the output")
                                        for _, leaf in found]
        if not found:
            raise ExportError("the network returns nothing")


def _warn_of_reading(trace: Trace) -> None:
    for place in dict.fromkeys(str(place) for operand, place in trace.read
                               if depends_on_input(trace, operand)):
        warnings.warn(f"export: {place}: the program reads values that depend on the input. What "
                      "it does with them is not in the graph, which holds what followed here for "
                      "the inputs that were tried", stacklevel=3)


def _model(net: Callable[..., Any], first: _Run, state: Mapping[str, Tensor], names: Any,
           dynamic_batch: bool | None, metadata: Mapping[str, str]) -> tuple[Any, list[_Run], str]:
    """The model, the runs that it was made from, and why its batch is fixed, if it is."""
    def built(others: list[list[Array]]) -> tuple[Any, list[_Run]]:
        runs = [first, *(_Run(net, each, state) for each in others)]
        program = _agreed(runs)
        arrays = {name: tensor.data for name, tensor in state.items()}
        builder = Builder(program, list(zip(names[0], first.inputs, strict=True)), arrays)
        return builder.model(names[1], metadata), runs

    rng = np.random.default_rng(0)
    why_fixed = "it was asked for" if dynamic_batch is False else ""
    if not why_fixed:
        try:
            return *built(_resized(first.inputs, rng)), ""
        except NotDynamic as error:
            why_fixed = str(error)
        except ExportError:
            raise
        except Exception as error:      # whatever a network raises
            why_fixed = f"the network refuses another batch size: {error}"
        if dynamic_batch:
            raise ExportError(f"the batch size cannot be left open: {why_fixed}")
    return *built([[other_values(x, rng, turned) for x in first.inputs]
                   for turned in (False, True)]), why_fixed


def _agreed(runs: Sequence[_Run]) -> Program:
    batches = [next((x.shape[0] for x in each.inputs if x.ndim), 1) for each in runs]
    return agreed([each.trace for each in runs], [each.operands for each in runs],
                  [each.inputs for each in runs], batches)


def _resized(inputs: list[Array], rng: np.random.Generator) -> list[list[Array]]:
    """Inputs of other batch sizes, one of them 1 or next to it, with other values. All that have
    the first input's first size have the batch there."""
    batch = next((x.shape[0] for x in inputs if x.ndim), 0)
    if not batch:
        raise NotDynamic("no input has a batch dim, or it is empty")
    return [[other_values(x[np.arange(size) % batch] if x.ndim and x.shape[0] == batch else x,
                          rng, turned) for x in inputs]
            for size, turned in ((2 if batch == 1 else 1, False), (batch + 2, True))]


def other_values(x: Array, rng: np.random.Generator, turned: bool) -> Array:
    """Other values of the same kind, within the range of x's: drawn from x, and of floats, most of
    the way to the least or, if turned, mirrored and most of the way to the greatest. So largest
    values, sums and their signs differ. Equal floats are replaced by normal ones."""
    if not x.size:
        return x
    if x.dtype.kind == "f" and (x == x.flat[0]).all():
        return np.asarray(rng.standard_normal(x.shape)).astype(x.dtype)
    y = np.asarray(rng.choice(x.reshape(-1), x.shape))
    if x.dtype.kind == "f" and np.isfinite(x).all():
        low, high = x.min(), x.max()
        y = high - (y - low) * 0.15 if turned else low + (y - low) * 0.1
    return np.asarray(y).astype(x.dtype)


@contextmanager
def restored(net: Callable[..., Any], tensors: Iterable[Tensor]) -> Iterator[None]:
    """Afterwards, the network's modules have the attributes that they had before, such as a buffer
    that it replaces, and the tensors have their values."""
    before = [(tensor, tensor.data.copy()) for tensor in tensors]
    modules = [(module, dict(vars(module)))
               for module in (net.modules() if isinstance(net, Module) else ())]
    try:
        yield
    finally:
        for module, attributes in modules:
            vars(module).clear()
            vars(module).update(attributes)
        with no_grad():
            for tensor, values in before:
                if tensor.data.tobytes() != values.tobytes():
                    tensor.copy_(values)


@contextmanager
def undisturbed(net: Callable[..., Any]) -> Iterator[None]:
    """The network in evaluation mode and without gradients; afterwards all is as it was."""
    modules = list(net.modules()) if isinstance(net, Module) else []
    training = [module.training for module in modules]
    random = default_generator.get_state()
    try:
        if isinstance(net, Module):
            net.eval()
        with no_grad():
            yield
    finally:
        for module, was in zip(modules, training, strict=True):
            module.training = was
        default_generator.set_state(random)


def _names(kind: str, given: Sequence[str] | None, paths: Sequence[str]) -> tuple[str, ...]:
    """The names of inputs or outputs: those given, or from their places; a dict's keys are names
    by themselves."""
    n = len(paths)
    names = tuple(given) if given is not None else (kind,) if paths in ([""], ["0"]) else tuple(
        f"{kind}.{path}" if path[:1].isdigit() else path for path in paths)
    if len(names) != n or len(set(names)) != n:
        raise ValueError(f"export: needs {n} different {kind} names; got {names}")
    return names


def _check(model: Any) -> None:
    from onnx import checker
    try:
        checker.check_model(model, full_check=True)
    except Exception as error:          # onnx has no common base for what its checks raise
        raise ExportError(f"the graph is not valid ONNX: {' '.join(str(error).split())}") from error
