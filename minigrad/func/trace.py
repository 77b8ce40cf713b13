"""What all transforms share: one run of a function on copies of its arguments in the graph.

The copies share the arguments' memory, but are vertices of their own. So a derivative with respect
to them is not confused with any other, which is what makes transforms nest, and the caller's
tensors remain as they were. If an argument is itself part of a graph, its copy is recorded as made
from it, and an outer transform, or `backward()`, can differentiate the results again. Otherwise it
is made from a leaf that wants a gradient only while the function runs: what depends on such leaves
alone cannot be differentiated by anything outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minigrad import autograd
from minigrad.autograd import enable_grad, is_grad_enabled
from minigrad.creation import zeros_like
from minigrad.func import tree
from minigrad.ops.shape import reshape
from minigrad.tensor import Tensor

Argnums = int | tuple[int, ...]


class Trace:
    """A function that was run to be differentiated.

    primals: the arguments chosen by `argnums`, as a tree of Tensors: one argument for an int, a
    tuple for several, all for None.
    inputs: the vertices that stand for their leaves.
    output, aux: what the function returned; outputs: the leaves of output.
    """

    def __init__(self, name: str, func: Callable[..., Any], args: tuple[Any, ...],
                 kwargs: dict[str, Any] | None = None, *, argnums: Argnums | None = None,
                 has_aux: bool = False) -> None:
        self.name = name
        positions = chosen(name, argnums, len(args))
        primals = tuple(args[i] for i in positions)
        self.primals: Any = primals[0] if isinstance(argnums, int) else primals
        sources = [self._source(x) for x in tree.leaves(primals)]
        self.inputs = [_vertex(x) for x in sources]
        copies = dict(zip(positions, tree.build(primals, self.inputs), strict=True))
        with enable_grad():
            result = func(*(copies.get(i, x) for i, x in enumerate(args)), **(kwargs or {}))
        for x, source in zip(tree.leaves(primals), sources, strict=True):
            if source is not x:
                source.requires_grad_(False)
        self.output, aux = self._with_aux(result) if has_aux else (result, ())
        self.outputs = tree.leaves(self.output)
        self._require_outputs()
        self._is_open = _reaches_out(self.outputs)
        self.aux = tree.mapped(self._auxiliary, aux)

    def _source(self, x: Any) -> Tensor:
        """What the copy of x is recorded as made from: x, or a leaf of this run."""
        if not isinstance(x, Tensor):
            raise TypeError(f"{self.name}: the arguments to differentiate by must be Tensors, or "
                            f"tuples, lists and dicts of them; got {type(x).__name__}")
        if x.dtype.kind != "f":
            raise RuntimeError(f"{self.name}: only floating point Tensors can be differentiated "
                               f"by; got {x.dtype} {x.shape}")
        return x if is_grad_enabled() and x.requires_grad else Tensor(x.data, requires_grad=True)

    def _with_aux(self, result: Any) -> tuple[Any, Any]:
        if not (isinstance(result, tuple) and len(result) == 2):
            raise RuntimeError(f"{self.name}: with has_aux=True the function must return a tuple "
                               f"(output, aux); got {tree.outline(result)}")
        return result

    def _auxiliary(self, x: Any) -> Tensor:
        if not isinstance(x, Tensor):
            raise RuntimeError(f"{self.name}: aux must consist of Tensors; got {type(x).__name__}")
        return self.released(x)

    def _require_outputs(self) -> None:
        if not self.outputs:
            raise RuntimeError(f"{self.name}: the function returned no Tensor; "
                               f"got {self.output!r}")
        for y in self.outputs:
            if not isinstance(y, Tensor):
                raise RuntimeError(f"{self.name}: the function must return Tensors, or tuples, "
                                   f"lists and dicts of them; got {type(y).__name__}")

    # ---- what the caller may go on with ----------------------------------------------------------

    def records(self, given: Iterable[Tensor] = ()) -> bool:
        """Whether derivatives, along the vectors `given`, need a graph of their own."""
        return is_grad_enabled() and (self._is_open or any(v.requires_grad for v in given))

    def released(self, t: Tensor) -> Tensor:
        """A result as the caller gets it: outside the graph of this run, unless that goes on."""
        if not t.requires_grad or (is_grad_enabled() and _reaches_out([t])):
            return t
        return t.detach()

    def results(self, like: Any, tensors: Iterable[Tensor]) -> Any:
        """Results in a tree of the structure of `like`."""
        return tree.build(like, map(self.released, tensors))

    # ---- derivatives -----------------------------------------------------------------------------

    def pull_back(self, cotangents: Sequence[Tensor | None], *, keep: bool, record: bool
                  ) -> list[Tensor]:
        """Jᵀu, one Tensor for each input. None stands for zeros.

        keep: the graph is needed again.
        record: the result can be differentiated.
        """
        found = _gradients(self.outputs, cotangents, self.inputs, keep=keep, record=record)
        return [zeros_like(x) if g is None else g for x, g in zip(self.inputs, found, strict=True)]


class Linear:
    """The linear map v → Jv of a traced function, as the transpose of u → Jᵀu.

    The vjp is recorded once, at u = 0. It is linear in u, so its own vjp needs no value of u: it
    sends v back to (Jᵀ)ᵀv = Jv.
    Source: J. Townsend, "A new trick for calculating Jacobian vector products", 2017.
    """

    def __init__(self, trace: Trace) -> None:
        sources = [zeros_like(y).requires_grad_() if y.requires_grad else None
                   for y in trace.outputs]
        self.cotangents = [None if u is None else _vertex(u) for u in sources]
        self.pulled_back = _gradients(trace.outputs, self.cotangents, trace.inputs,
                                      keep=True, record=True)
        for source in sources:
            if source is not None:
                source.requires_grad_(False)

    def push(self, tangents: Sequence[Tensor | None], *, record: bool) -> list[Tensor | None]:
        """Jv, one Tensor for each output, or None where that does not depend on the inputs.

        A tangent of None stands for zeros.
        """
        wanted = [u for u in self.cotangents if u is not None]
        found = iter(_gradients(self.pulled_back, tangents, wanted, keep=True, record=record))
        return [None if u is None else next(found) for u in self.cotangents]


def _vertex(x: Tensor) -> Tensor:
    """The same values as a vertex of its own, recorded as made from x."""
    with enable_grad():
        return reshape(x, shape=x.shape)


def _reaches_out(tensors: Iterable[Tensor]) -> bool:
    """Whether tensors were made from leaves that want a gradient: those of the caller or of an
    outer transform."""
    waiting: list[Any] = [t.node or t for t in tensors if t.requires_grad]
    seen = set(waiting)
    while waiting:
        vertex = waiting.pop()
        if vertex.edges is None or (isinstance(vertex, Tensor) and vertex.requires_grad):
            return True
        found = {parent for parent, _ in vertex.edges} - seen
        seen |= found
        waiting.extend(found)
    return False


def fitting(name: str, what: str, given: Any, whose: str, like: Any) -> list[Tensor]:
    """The leaves of tangents or cotangents, once each is known to fit that of the tree `like`."""
    found = tree.leaves_in_order_of(like, given)
    if found is None:
        raise RuntimeError(f"{name}: {what} must have the structure of the {whose}, "
                           f"{tree.outline(like)}; got {tree.outline(given)}")
    for v, x in zip(found, tree.leaves(like), strict=True):
        if not isinstance(v, Tensor):
            raise TypeError(f"{name}: {what} must be Tensors; got {type(v).__name__}")
        if v.shape != x.shape:
            raise RuntimeError(f"{name}: {what} must have the shapes of the {whose}; got "
                               f"{v.shape} for {x.shape}")
    return [v.to(x.dtype) for v, x in zip(found, tree.leaves(like), strict=True)]


def _gradients(outputs: Sequence[Tensor | None], gradients: Sequence[Tensor | None],
               inputs: Sequence[Tensor], *, keep: bool, record: bool) -> list[Tensor | None]:
    """Of `autograd.backward`, which must not be given outputs without a graph."""
    pairs = [(y, g) for y, g in zip(outputs, gradients, strict=True)
             if y is not None and y.requires_grad and g is not None]
    if not pairs:
        return [None] * len(inputs)
    ys, gs = zip(*pairs, strict=True)
    return autograd.backward(ys, gs, inputs=inputs, retain_graph=keep, create_graph=record)


def chosen(name: str, argnums: Argnums | None, n: int) -> list[int]:
    """The positions that `argnums` means, counted from the left."""
    if argnums is None:
        return [*range(n)]
    given = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(isinstance(i, int) for i in given):
        raise TypeError(f"{name}: argnums must be an int or a tuple of ints; got {argnums!r}")
    if not all(-n <= i < n for i in given):
        raise RuntimeError(f"{name}: argnums {argnums} is out of range for {n} positional "
                           "arguments")
    positions = [i % n for i in given]
    if not positions or len({*positions}) < len(positions):
        raise RuntimeError(f"{name}: argnums must name each argument once, and at least one; "
                           f"got {argnums}")
    return positions
