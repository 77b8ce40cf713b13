"""A network as it runs in float64: the calls of its modules, each of which can be made again."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.autograd import enable_grad
from minigrad.func.call import functional_call
from minigrad.func.tree import build, leaves, mapped, named_leaves
from minigrad.modes import mode
from minigrad.nn import Embedding, Module
from minigrad.ops.elementwise import where
from minigrad.random import default_generator
from minigrad.tensor import Tensor

KINDS = 3       # calls with inputs of so many kinds are kept of each module, and the latest call
HOOKS = ("_forward_hooks", "_forward_pre_hooks")


class NetworkError(RuntimeError):
    """The network cannot be run on these inputs."""


# ---- float64 throughout --------------------------------------------------------------------------

@contextmanager
def in_double() -> Iterator[None]:
    """Tensors that are made or converted here are float64 where they would be float32."""
    before, mode.float32 = mode.float32, np.dtype(np.float64)
    try:
        yield
    finally:
        mode.float32 = before


def copy_in_double(net: Module) -> Module:
    """A copy of the network that computes in float64, whatever it holds and is given."""
    held = [x for module in net.modules() for x in leaves(list(module.__dict__.values()))
            if isinstance(x, Tensor) and x.node is not None]
    net = copy.deepcopy(net, {id(x): x.detach() for x in held}).double()
    net.zero_grad()
    for module in net.modules():
        for name, value in module.__dict__.items():
            if name not in HOOKS and any(map(_is_narrow, leaves(value))):
                module.__dict__[name] = mapped(_widened, value)
        module.register_forward_pre_hook(_widen_inputs, with_kwargs=True)
    return net


def _is_narrow(x: Any) -> bool:
    return isinstance(x, Tensor) and x.dtype.kind == "f" and x.dtype != np.float64


def _widened(x: Any) -> Any:
    return x.to(np.float64) if _is_narrow(x) else x


def _widen_inputs(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if any(map(_is_narrow, leaves((args, kwargs)))):
        return mapped(_widened, (args, kwargs))
    return None


# ---- what a call depends on besides its inputs ---------------------------------------------------

class State:
    """What a module and those in it hold, as it is now: their attributes, and the values of their
    buffers."""

    def __init__(self, module: Module) -> None:
        self.attributes = [(m, _copied(m.__dict__)) for m in module.modules()]
        self.buffers = [(buffer, buffer.data.copy()) for buffer in module.buffers()]

    def restore(self) -> None:
        for module, attributes in self.attributes:
            module.__dict__.clear()
            module.__dict__.update(_copied(attributes))
        for buffer, value in self.buffers:
            buffer.data = value.copy()


def _copied(attributes: dict[str, Any]) -> dict[str, Any]:
    """Attributes with copies of the lists and dicts among them, which a module may add to."""
    return {name: copy.copy(value) if type(value) in (list, dict) and name not in HOOKS else value
            for name, value in attributes.items()}


@contextmanager
def same_random_numbers(seed: int) -> Iterator[None]:
    """Those of minigrad, NumPy and Python start from the seed; afterwards they go on as before."""
    numpy = np.random.mtrand._rand      # behind np.random.rand and others, which layers may call
    states = default_generator.get_state(), numpy.get_state(), random.getstate()
    default_generator.manual_seed(seed)
    numpy.seed(seed % 2**32)
    random.seed(seed)
    try:
        yield
    finally:
        default_generator.set_state(states[0])
        numpy.set_state(states[1])
        random.setstate(states[2])


# ---- calls ---------------------------------------------------------------------------------------

@dataclass
class Call:
    """A call of a module: the module at a path of the network, the inputs, and the state it was in.

    number: 1 for the module's first call. inputs: args and kwargs. needed: for each leaf of the
    inputs, whether it was made from something that requires grad. constants: what modules inside
    return, in the order of their calls, where that is to be the same for all inputs.
    """

    path: str
    module: Module
    number: int
    inputs: tuple[tuple[Any, ...], dict[str, Any]]
    needed: list[bool]
    state: State
    seed: int
    constants: dict[Module, list[Any]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of the inputs' leaves: inputs[0], inputs[1]['mask'], or that of a keyword."""
        args, kwargs = self.inputs
        return [name for name, _ in [
            *named_leaves(args, "inputs"),
            *(found for name, value in kwargs.items() for found in named_leaves(value, name))]]

    def again(self, values: Sequence[Any], parameters: dict[str, Tensor]) -> list[Tensor]:
        """The Tensors that the module returns for other leaves of the inputs and, by dotted name,
        other parameters. The remaining parameters are constants."""
        args, kwargs = build(self.inputs, values)
        fixed = {name: p.detach() for name, p in self.module.named_parameters()}
        parameters = {name: _with_constant_padding(self.module, fixed[name], p)
                      for name, p in parameters.items()}
        self.state.restore()
        for module, outputs in self.constants.items():
            module.__dict__["forward"] = _one_after_the_other(outputs)
        with same_random_numbers(self.seed):
            result = functional_call(self.module, fixed | parameters, args, kwargs)
        return [y for y in leaves(result) if isinstance(y, Tensor)]


    def hold(self, modules: Sequence[Module]) -> None:
        """From now on, these modules inside return what they return in this call, as constants."""
        outputs: dict[Module, list[Any]] = {module: [] for module in modules}
        handles = [module.register_forward_hook(lambda module, args, y: outputs[module].append(
            mapped(_constant, y))) for module in modules]
        if modules:
            try:
                self.again(leaves(self.inputs), {})
            finally:
                for handle in handles:
                    handle.remove()
        self.constants = outputs


def _constant(x: Any) -> Any:
    return Tensor(x.data.copy()) if isinstance(x, Tensor) else x


def _one_after_the_other(outputs: Sequence[Any]) -> Callable[..., Any]:
    each = iter(outputs)
    return lambda *args, **kwargs: next(each)


def _with_constant_padding(module: Module, own: Tensor, moved: Tensor) -> Tensor:
    """A table as it was moved, but the row of an Embedding's padding_idx as it is in its `own`."""
    rows = [m.padding_idx for m in module.modules() if isinstance(m, Embedding)
            and m.padding_idx is not None and m.weight.data is own.data]
    if not rows:
        return moved
    constant = np.zeros((len(own.data), 1), bool)
    constant[rows] = True
    return where(Tensor(constant), own, moved)


def calls_of(net: Module, args: tuple[Any, ...], kwargs: dict[str, Any], seed: int) -> list[Call]:
    """Calls of each module while the network runs, in the order in which the modules first run.

    Of each module the first calls with inputs of different kinds are kept, and the latest.
    Raises: NetworkError that names the layer at which the network fails.
    """
    kept: dict[str, dict[Any, Call]] = {}
    count: Counter[str] = Counter()
    running: list[tuple[str, Module]] = []
    handles = []

    def noted(path: str) -> Callable[..., None]:
        def note(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            running.append((path, module))
            count[path] += 1
            calls = kept.setdefault(path, {})
            kind = _kind(args, kwargs)
            if kind in calls or len(calls) >= KINDS:
                kind = "latest"
            calls[kind] = Call(path, module, count[path], mapped(_kept, (args, kwargs)),
                               [isinstance(x, Tensor) and x.requires_grad
                                for x in leaves((args, kwargs))], State(module), seed)
        return note

    for path, module in net.named_modules():
        handles.append(module.register_forward_pre_hook(noted(path), with_kwargs=True))
        handles.append(module.register_forward_hook(lambda *_: running.pop() and None))
    try:
        with enable_grad(), same_random_numbers(seed):
            net(*args, **kwargs)
    except Exception as error:
        where = title(*running[-1]) if running else "the network"
        raise NetworkError(f"{where} raises {type(error).__name__}: {error}") from error
    finally:
        for handle in handles:
            handle.remove()
    return [call for calls in kept.values() for call in calls.values()]


def title(path: str, module: Module) -> str:
    return f"{path or 'the network'} ({type(module).__name__})"


def _kind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What calls have in common that differ in the values of their Tensors only."""
    args, kwargs = mapped(lambda x: (x.shape, x.dtype) if isinstance(x, Tensor) else
                          x if isinstance(x, bool | int | float | str) else type(x), (args, kwargs))
    return repr((args, kwargs))


def _kept(x: Any) -> Any:
    """A copy of an input, cut off from what it was made of; a gradient is wanted by all that can
    be moved: floating-point numbers that are all finite."""
    return Tensor(x.data.copy(), movable(x)) if isinstance(x, Tensor) else x


def movable(x: Tensor) -> bool:
    return x.dtype.kind == "f" and x.data.size > 0 and bool(np.isfinite(x.data).all())
