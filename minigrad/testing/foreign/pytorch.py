"""Functions of PyTorch's Tensors. PyTorch is imported only where there is one."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minigrad.autograd import Array
from minigrad.testing.foreign.kinds import NoGradientError, Pullback, Wanted, listed, name_of


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch computes on one thread: for the small inputs of checks, waiting for others takes most
    of the time, above all on a machine that has more to do."""
    if (torch := sys.modules.get("torch")) is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class TorchFunction:
    """A function of torch Tensors: an autograd.Function, a module, or anything made of them."""

    framework = "PyTorch"

    def __init__(self, fn: Any, name: str = "") -> None:
        self.torch, self.name = importlib.import_module("torch"), name or name_of(fn)
        self.fn: Callable[..., Any] = fn
        is_function = isinstance(fn, type) and issubclass(fn, self.torch.autograd.Function)
        if is_function:
            self.fn = fn.apply
        elif isinstance(fn, self.torch.nn.Module):
            self.fn = self._in_the_inputs_dtype(fn)

    def _in_the_inputs_dtype(self, module: Any) -> Callable[..., Any]:
        """Copies of a module in float32 and in float64, whichever the inputs are in."""
        single, double = copy.deepcopy(module).float(), copy.deepcopy(module).double()

        def fn(*xs: Any, **named: Any) -> Any:
            doubled = any(getattr(x, "dtype", None) == self.torch.float64 for x in xs)
            return (double if doubled else single)(*xs, **named)
        return fn

    def __call__(self, *inputs: Any) -> list[Array]:
        with self.torch.no_grad():
            return self._arrays(self._outputs(*map(self.tensor, inputs)))

    def recorded(self, wanted: Wanted, *inputs: Any) -> tuple[list[Array], Pullback]:
        """PyTorch's own graph is kept, so that its backward pass is that of this call."""
        with self.torch.enable_grad():
            xs = [self._leaf(self.tensor(x)) if i in wanted else self.tensor(x)
                  for i, x in enumerate(inputs)]
            ys = self._outputs(*xs)
        leaves = [xs[i] for i in wanted]
        floating = [y for y in ys if y.is_floating_point()]

        def pullback(gs: list[Array]) -> list[Array]:
            # an output that is sent nothing but zeros stays out, as one that is not used does
            used = [bool(g.any()) for g in gs]
            found = self._sent_back([(y, self.tensor(g)) for y, g, use in zip(
                floating, gs, used, strict=True) if use or not any(used)], leaves, False)
            return self._arrays(found)
        return [y.copy() for y in self._arrays(ys)], pullback

    def bind(self, static: Mapping[str, Any]) -> TorchFunction:
        named = {name: self.tensor(value) for name, value in static.items()}
        return TorchFunction(functools.partial(self.fn, **named), self.name)

    def gradient(self, n: int, wanted: Wanted) -> TorchFunction:
        def gradients(*args: Any) -> list[Any]:
            create_graph = self.torch.is_grad_enabled()
            with self.torch.enable_grad():
                xs = [x if i not in wanted or x.requires_grad else self._leaf(x)
                      for i, x in enumerate(args[:n])]
                ys = [y for y in self._outputs(*xs) if y.is_floating_point()]
                return self._sent_back(list(zip(ys, args[n:], strict=True)),
                                       [xs[i] for i in wanted], create_graph)
        return TorchFunction(gradients, self.name)

    def _sent_back(self, pairs: Sequence[tuple[Any, Any]], leaves: list[Any], create_graph: bool
                   ) -> list[Any]:
        pairs = [(y, g) for y, g in pairs if y.requires_grad]
        if not pairs:
            return [self.torch.zeros_like(x) for x in leaves]
        if any(_refuses(y.grad_fn) for y, _ in pairs):
            raise NoGradientError(f"{self.name} is once_differentiable: it has no second "
                                  "derivative")
        found = self.torch.autograd.grad(
            [y for y, _ in pairs], leaves, [g for _, g in pairs], retain_graph=True,
            create_graph=create_graph, allow_unused=True)
        return [self.torch.zeros_like(x) if g is None else g
                for x, g in zip(leaves, found, strict=True)]

    def _outputs(self, *inputs: Any) -> list[Any]:
        ys = listed(self.fn(*inputs))
        for y in ys:
            if not isinstance(y, self.torch.Tensor):
                raise TypeError(f"{self.name}: a function of PyTorch's must return torch tensors; "
                                f"got {type(y).__name__}")
        return ys

    def _arrays(self, ys: Sequence[Any]) -> list[Array]:
        return [y.detach().numpy() for y in ys]

    def _leaf(self, x: Any) -> Any:
        return x.detach().requires_grad_()

    def tensor(self, x: Any) -> Any:
        """An array as a torch Tensor, in the same memory if PyTorch can have it there."""
        if isinstance(x, tuple):
            return tuple(map(self.tensor, x))
        if not isinstance(x, np.ndarray):
            return x
        shares = x.flags.writeable and all(step >= 0 for step in x.strides)
        return self.torch.from_numpy(x if shares else x.copy())


def _refuses(node: Any) -> bool:
    """Whether a node of PyTorch's graph, or one below it, is there to raise an error only: it cuts
    the graph, so that nothing arrives and the error is not seen."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().endswith("Error"):
            return True
        waiting += [below for below, _ in node.next_functions]
    return False
