"""The Tensor: an array that remembers how it was made. Its methods call ops; no maths here."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from operator import attrgetter
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike

from minigrad import autograd
from minigrad.autograd import Array, Node
from minigrad.hooks import RemovableHandle, in_notebooks, state_without_graph
from minigrad.inplace import become, mark_changed
from minigrad.kernels import tape
from minigrad.modes import computed
from minigrad.ops import activation, elementwise as el, index, linalg, reduce, shape as shapes
from minigrad.ops.arguments import normalize_dim, to_array, to_dtype

Scalar = bool | int | float
Operand = Any       # what operators accept beside a Tensor: an array, a list or a scalar

Method = Callable[..., "Tensor"]

_DTYPES = frozenset(np.dtype(code) for code in "?bBhHiIlLqQefdg")   # in this machine's byte order


def _reversed(f: Method) -> Method:
    """The operator for a Tensor on the right: other - self."""
    return lambda self, other: f(other, self)


def _comparison(relation: Callable[..., Any]) -> Method:
    return lambda self, other: el.compare(relation, self, other)


def _conversion(dtype: DTypeLike) -> Method:
    return lambda self: self.to(dtype)


def _in_place(f: Method) -> Method:
    """f, whose result self becomes: x.add_(y) and x += y are x = x + y for all who know x.

    Where the result is part of a graph x gets a place in it, and memory of its own.
    """
    def method(self: Tensor, *args: Any, **options: Any) -> Tensor:
        before = Tensor(self._data)                 # what the op, and its gradients, remember
        before.node, before._requires_grad = self.node, self._requires_grad
        y = f(before, *(before if x is self else x for x in args), **options)
        if y.shape != self.shape or not np.can_cast(y.dtype, self.dtype, "same_kind"):
            raise RuntimeError(f"a tensor of {self.dtype} {self.shape} cannot become one of "
                               f"{y.dtype} {y.shape} in place")
        if y.node is None or (self.node is None and self._requires_grad):
            return self.copy_(y)
        become(self, y.to(self.dtype))
        return self
    return method




def _one_by_one(f: Method, name: str) -> Method:
    """f, whose sizes or dims may be given one by one: x.reshape(2, 3) is x.reshape((2, 3))."""
    def method(self: Tensor, *sizes: Any, **named: Any) -> Tensor:
        as_one = len(sizes) == 1 and not isinstance(sizes[0], (int, np.integer))
        return f(self, **(named or {name: sizes[0] if as_one else sizes}))
    return method


class Tensor:
    """An n-dimensional array with a gradient.

    data: the NumPy array. Assigning to it is an in-place change; `t.data -= ...` counts too.
    grad: the Tensor that `backward()` accumulates into a leaf that requires grad, or None.
    node: the op that made this tensor, None for a leaf.

    `Tensor(x)` shares memory with an array; `minigrad.tensor(x)` copies it. Python floats become
    float32, Python ints int64; arrays keep their dtype.
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_requires_grad", "hooks", "node")
    __array_ufunc__ = None          # `ndarray * tensor` is left to Tensor.__rmul__
    # to the engine a leaf is a vertex of the graph, too: the first one, without edges
    edges, retaining, time = (), None, 0

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        as_it_is = type(data) is np.ndarray and data.dtype in _DTYPES
        self._data: Array = data if as_it_is else to_array(data)
        self._requires_grad = False
        self._grad: Tensor | None = None
        self.node: Node | None = None
        self.hooks: dict[RemovableHandle, Callable[[Tensor], Tensor | None]] | None = None
        if requires_grad:
            self.requires_grad_()
        if tape.running:
            tape.see(self)

    # ---- the array -------------------------------------------------------------------------------

    def _set_data(self, value: Any) -> None:
        if not isinstance(value, Tensor | np.ndarray | np.generic):
            raise TypeError(f"data: needs an array or a Tensor; got {type(value).__name__}")
        array = to_array(value)
        if self._requires_grad and array.dtype.kind != "f":
            raise RuntimeError(f"data: a tensor that requires grad needs floats; got {array.dtype}")
        self._data = array
        mark_changed(array)

    data = property(attrgetter("_data"), _set_data)     # read in C: ops do it all the time

    # read in C, as data is
    shape = cast("tuple[int, ...]", property(attrgetter("_data.shape")))
    dtype = cast("np.dtype[Any]", property(attrgetter("_data.dtype")))
    ndim = cast(int, property(attrgetter("_data.ndim")))

    def size(self, dim: int | None = None) -> tuple[int, ...] | int:
        return self.shape if dim is None else self.shape[normalize_dim("size", dim, self.ndim)]

    def dim(self) -> int:
        return self._data.ndim

    def numel(self) -> int:
        return self._data.size

    def numpy(self) -> Array:
        """The array itself, sharing memory. Raises: RuntimeError if the tensor requires grad."""
        if self._requires_grad:
            raise RuntimeError("numpy: this tensor requires grad; use detach().numpy()")
        return computed("read", (self,), {}, self)._data

    def item(self) -> Any:
        if self._data.size != 1:
            raise RuntimeError(f"item: needs exactly one element; got shape {self.shape}")
        return computed("read", (self,), {}, self)._data.item()

    def tolist(self) -> Any:
        return computed("read", (self,), {}, self)._data.tolist()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return len(self._data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise RuntimeError(f"bool() of a tensor of shape {self.shape} is ambiguous; "
                               "only one element has a truth value")
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iub":
            raise TypeError(f"only an integer tensor can be an index; got {self.dtype}")
        return int(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        body = np.array2string(self._data, separator=", ", prefix="tensor(")
        if self.dtype.kind == "f":
            body = np.array2string(self._data, separator=", ", prefix="tensor(", precision=4)
        usual = self.dtype in (np.float32, np.int64, np.bool_)
        notes = "" if usual and self._data.size else f", dtype={self.dtype}"
        if self.node is not None:
            notes += f", grad_fn={self.node}"
        elif self._requires_grad:
            notes += ", requires_grad=True"
        return f"tensor({body}{notes})"

    _repr_html_ = in_notebooks("tensor_html")
    __hash__ = object.__hash__      # == compares elements; a dict or set goes by identity

    # ---- autograd --------------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        if not isinstance(requires_grad, bool):
            raise TypeError(f"requires_grad must be True or False; got {requires_grad!r}")
        if requires_grad and self.dtype.kind != "f":
            raise RuntimeError(f"only floating point tensors can require grad; got {self.dtype}")
        if not requires_grad and self.node is not None:
            raise RuntimeError(f"the result of {self.node.name} always requires grad; use detach()")
        self._requires_grad = requires_grad
        return self

    requires_grad = property(attrgetter("_requires_grad"),
                             lambda self, value: (self.requires_grad_(value), None)[1])

    def _set_grad(self, g: Tensor | None) -> None:
        if g is not None and not isinstance(g, Tensor):
            raise TypeError(f"grad: needs a Tensor or None; got {type(g).__name__}")
        if g is not None and (g.shape != self.shape or g.dtype != self.dtype):
            raise RuntimeError(f"grad: the gradient of a tensor of {self.dtype} {self.shape} must "
                               f"be alike; got {g.dtype} {g.shape}")
        self._grad = g

    grad = property(attrgetter("_grad"), _set_grad)

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    @property
    def grad_fn(self) -> Node | None:
        return self.node

    def backward(self, gradient: Operand = None, retain_graph: bool = False,
                 create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf it was made from.

        gradient: ∂L/∂self, of this shape; a scalar may leave it out.
        Raises: RuntimeError where no graph leads here, or it was freed by an earlier call without
        `retain_graph=True`.
        Source: torch.Tensor.backward.
        """
        seed = autograd.seed_gradient(self, gradient, "backward")
        autograd.backward([self], [seed], retain_graph=retain_graph or create_graph,
                          create_graph=create_graph)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(g)` once the whole gradient of this tensor is known; what it returns, if not
        None, replaces g.  Source: torch.Tensor.register_hook."""
        if not self._requires_grad:
            raise RuntimeError("register_hook: this tensor does not require grad")
        vertex: Any = self.node or self
        vertex.hooks = {} if vertex.hooks is None else vertex.hooks
        return RemovableHandle(vertex.hooks, hook)

    def retain_grad(self) -> None:
        """Let backward() leave the gradient of this tensor in `.grad`, though it is not a leaf."""
        if not self._requires_grad:
            raise RuntimeError("retain_grad: this tensor does not require grad")
        if self.node is not None:
            self.node.retaining = weakref.ref(self)     # the node must not keep the tensor alive

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        return Tensor(self._data)

    def clone(self) -> Tensor:
        return el.clone(self)

    def to(self, dtype: DTypeLike) -> Tensor:
        dtype = to_dtype("to", dtype)
        return self if dtype == self._data.dtype else el.cast(self, dtype=dtype)

    def contiguous(self) -> Tensor:
        return self if self._data.flags.c_contiguous else el.clone(self)

    __getstate__ = state_without_graph

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.node is not None:
            raise RuntimeError("deepcopy: only leaf tensors can be copied; use detach().clone()")
        copy = memo[id(self)] = type(self).__new__(type(self))
        Tensor.__init__(copy, self._data.copy())
        copy._requires_grad = self._requires_grad
        copy._grad = deepcopy(self._grad, memo) if type(self) is Tensor else None   # as in torch
        return copy

    # ---- in-place changes: on leaves, outside the recorded graph --------------------------------

    def __setitem__(self, key: Any, value: Operand) -> None:
        if self.node is not None:
            raise RuntimeError(f"the result of {self.node.name} is part of a graph and cannot be "
                               "changed in place; build a new tensor, for example with where()")
        if self._requires_grad and autograd.is_grad_enabled():
            raise RuntimeError("a leaf that requires grad can only be changed in place under "
                               "no_grad()")
        if not self._data.flags.writeable:
            raise RuntimeError("item assignment: this memory is read-only, or shared by expand(); "
                               "clone() it first")
        if isinstance(value, Tensor) and value._requires_grad and autograd.is_grad_enabled():
            raise RuntimeError("the assigned value requires grad, and assignment is not recorded; "
                               "build a new tensor, for example with where() or cat()")
        if tape.running:
            tape.adopt(self)
        index.assign(self._data, key, value)
        mark_changed(self._data)
        computed("assign", (self,), {"key": key, "value": value}, self)

    def copy_(self, source: Operand) -> Tensor:
        self[...] = source
        return self

    def fill_(self, value: Scalar) -> Tensor:
        self[...] = value
        return self

    def zero_(self) -> Tensor:
        return self.fill_(0)

    # ---- ops as methods: with the arguments and the docstrings of the functions -----------------

    add, sub, mul, div = el.add, el.sub, el.mul, el.div
    floor_divide, remainder = el.floor_divide, el.remainder
    pow, square, sqrt, rsqrt, reciprocal = el.pow, el.square, el.sqrt, el.rsqrt, el.reciprocal
    neg, abs, sign = el.neg, el.abs, el.sign
    exp, expm1, log, log1p, erf = el.exp, el.expm1, el.log, el.log1p, el.erf
    sin, cos, tan = el.sin, el.cos, el.tan
    clamp, maximum, minimum = el.clamp, el.maximum, el.minimum

    relu, sigmoid, tanh = activation.relu, activation.sigmoid, activation.tanh
    softmax, log_softmax = activation.softmax, activation.log_softmax

    matmul, mm, bmm, dot = linalg.matmul, linalg.mm, linalg.bmm, linalg.dot

    sum, mean, prod, cumsum = reduce.sum, reduce.mean, reduce.prod, reduce.cumsum
    var, std, logsumexp = reduce.var, reduce.std, reduce.logsumexp
    amax, amin, max, min = reduce.amax, reduce.amin, reduce.max, reduce.min
    argmax, argmin, any, all = reduce.argmax, reduce.argmin, reduce.any, reduce.all

    transpose, t, squeeze, unsqueeze = shapes.transpose, shapes.t, shapes.squeeze, shapes.unsqueeze
    flatten, roll, chunk = shapes.flatten, shapes.roll, shapes.chunk
    tril, triu = shapes.tril, shapes.triu
    index_select, gather, masked_fill = index.index_select, index.gather, index.masked_fill
    __getitem__ = index.getitem

    def where(self, condition: Operand, other: Operand) -> Tensor:
        """self where condition holds, other elsewhere."""
        return el.where(condition, self, other)

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """`split`, whose argument torch names otherwise in the method."""
        return shapes.split(self, split_size, dim)

    reshape, view = _one_by_one(shapes.reshape, "shape"), _one_by_one(shapes.view, "size")
    expand = broadcast_to = _one_by_one(shapes.expand, "size")
    permute, flip = _one_by_one(shapes.permute, "dims"), _one_by_one(shapes.flip, "dims")

    @property
    def T(self) -> Tensor:
        return shapes.permute(self, dims=tuple(range(self.ndim))[::-1])

    # ---- operators ------------------------------------------------------------------------------

    __add__ = __radd__ = add
    __mul__ = __rmul__ = mul
    __sub__, __truediv__, __pow__, __matmul__ = sub, div, pow, matmul
    __floordiv__, __mod__, __neg__, __abs__ = floor_divide, remainder, neg, abs
    __rsub__, __rtruediv__, __rpow__ = _reversed(sub), _reversed(div), _reversed(pow)
    __rmatmul__, __rfloordiv__ = _reversed(matmul), _reversed(floor_divide)
    __rmod__ = _reversed(remainder)

    __iadd__ = add_ = _in_place(add)
    __isub__ = sub_ = _in_place(sub)
    __imul__ = mul_ = _in_place(mul)
    __itruediv__ = div_ = _in_place(div)
    __ipow__, __ifloordiv__, __imod__ = map(_in_place, (pow, floor_divide, remainder))
    clamp_ = _in_place(clamp)

    def __pos__(self) -> Tensor:
        if self.dtype.kind == "b":
            raise RuntimeError("+ needs numbers; got bool")
        return self

    # comparisons give boolean tensors and carry no gradient
    __lt__, __le__ = _comparison(np.less), _comparison(np.less_equal)
    __gt__, __ge__ = _comparison(np.greater), _comparison(np.greater_equal)
    __and__ = __rand__ = _comparison(np.bitwise_and)
    __or__ = __ror__ = _comparison(np.bitwise_or)
    __xor__ = __rxor__ = _comparison(np.bitwise_xor)
    __iand__, __ior__, __ixor__ = map(_in_place, (__and__, __or__, __xor__))

    def __eq__(self, other: object) -> Tensor:          # type: ignore[override]  # as in NumPy
        if other is None or isinstance(other, str):     # Python says False
            return NotImplemented
        return el.compare(np.equal, self, other)

    def __ne__(self, other: object) -> Tensor:          # type: ignore[override]  # as in NumPy
        if other is None or isinstance(other, str):
            return NotImplemented
        return el.compare(np.not_equal, self, other)

    __invert__ = el.invert

    def __contains__(self, value: Operand) -> bool:
        return bool((self == value)._data.any())

    # ---- dtypes by name: last, since they hide the builtins --------------------------------------

    float, double = _conversion(np.float32), _conversion(np.float64)
    long, bool = _conversion(np.int64), _conversion(np.bool_)


autograd.tie(Tensor)        # the one knot: ops build Tensors, and Tensor's operators call ops
