"""The Tensor: an array that remembers how it was made. Its methods call ops; no maths here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad import autograd
from minigrad.autograd import Array, Node
from minigrad.hooks import RemovableHandle
from minigrad.inplace import mark_changed
from minigrad.ops import elementwise, index, linalg, reduce, shape
from minigrad.ops.reduce import ValuesIndices

Scalar = bool | int | float
Operand = Any       # what mixes into operators: Tensor, array, list or scalar
Dims = int | tuple[int, ...] | list[int] | None

_DTYPES = frozenset(np.dtype(code) for code in "?bBhHiIlLqQefdg")   # in this machine's byte order


class Tensor:
    """An n-dimensional array with a gradient.

    data: the NumPy array. Assigning to it is an in-place change; `t.data -= ...` counts too.
    grad: the Tensor that `backward()` accumulates into a leaf that requires grad, or None.
    node: the op that made this tensor, None for a leaf.

    `Tensor(x)` shares memory with an array; `minigrad.tensor(x)` copies. Python floats become
    float32, Python ints int64; arrays keep their dtype.
    """

    __slots__ = ("__weakref__", "_data", "_requires_grad", "grad", "hooks", "node")
    __array_ufunc__ = None          # `ndarray * tensor` is left to Tensor.__rmul__
    edges = ()                      # in the graph a leaf is a vertex from which nothing leads on

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        as_it_is = type(data) is np.ndarray and data.dtype in _DTYPES
        self._data: Array = data if as_it_is else to_array(data)
        self._requires_grad = False
        self.grad: Tensor | None = None
        self.node: Node | None = None
        self.hooks: dict[RemovableHandle, Callable[[Tensor], Tensor | None]] | None = None
        if requires_grad:
            self.requires_grad_()

    # ---- the array -------------------------------------------------------------------------------

    def _set_data(self, value: Any) -> None:
        self._data = np.asarray(value)
        mark_changed(self._data)

    data = property(attrgetter("_data"), _set_data)     # read in C: ops do it all the time

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def ndim(self) -> int:
        return self._data.ndim

    def size(self, dim: int | None = None) -> tuple[int, ...] | int:
        return self._data.shape if dim is None else self._data.shape[dim]

    def dim(self) -> int:
        return self._data.ndim

    def numel(self) -> int:
        return self._data.size

    def numpy(self) -> Array:
        """The array itself, sharing memory. Raises RuntimeError if the tensor requires grad."""
        if self._requires_grad:
            raise RuntimeError("numpy: this tensor requires grad; use detach().numpy()")
        return self._data

    def item(self) -> Any:
        if self._data.size != 1:
            raise RuntimeError(f"item: needs exactly one element; got shape {self.shape}")
        return self._data.item()

    def tolist(self) -> Any:
        return self._data.tolist()

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
        return bool(self._data.item())

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

    __hash__ = object.__hash__      # == compares elements; a dict or set goes by identity

    # ---- autograd --------------------------------------------------------------------------------

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        if requires_grad and self.dtype.kind != "f":
            raise RuntimeError(f"only floating point tensors can require grad; got {self.dtype}")
        if not requires_grad and self.node is not None:
            raise RuntimeError(f"the result of {self.node.name} always requires grad; use detach()")
        self._requires_grad = requires_grad
        return self

    requires_grad = property(attrgetter("_requires_grad"),
                             lambda self, value: (self.requires_grad_(value), None)[1])

    @property
    def is_leaf(self) -> bool:
        return self.node is None

    @property
    def grad_fn(self) -> Node | None:
        return self.node

    def backward(self, gradient: Operand = None, retain_graph: bool = False,
                 create_graph: bool = False) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf it was made from.

        gradient: ∂L/∂self, of this shape; a scalar may leave it out. Raises RuntimeError where no
        graph leads here, or it was freed by an earlier call without `retain_graph=True`.
        Source: torch.Tensor.backward.
        """
        seed = autograd.seed_gradient(self, gradient, "backward")
        autograd.backward([self], [seed], retain_graph=retain_graph, create_graph=create_graph)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook(g)` once the whole gradient of this tensor is known; what it returns, if not
        None, takes g's place. Source: torch.Tensor.register_hook.
        """
        if not self._requires_grad:
            raise RuntimeError("register_hook: this tensor does not require grad")
        vertex: Any = self.node or self
        vertex.hooks = {} if vertex.hooks is None else vertex.hooks
        return RemovableHandle(vertex.hooks, hook)

    def detach(self) -> Tensor:
        """The same memory, outside the graph."""
        return Tensor(self._data)

    def clone(self) -> Tensor:
        return elementwise.clone(self)

    def to(self, dtype: DTypeLike) -> Tensor:
        dtype = np.dtype(dtype)
        return self if dtype == self._data.dtype else elementwise.cast(self, dtype=dtype)

    def contiguous(self) -> Tensor:
        return self if self._data.flags.c_contiguous else elementwise.clone(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if self.node is not None:
            raise RuntimeError("deepcopy: only leaf tensors can be copied; use detach().clone()")
        copy = type(self).__new__(type(self))
        Tensor.__init__(copy, self._data.copy())
        copy._requires_grad = self._requires_grad
        memo[id(self)] = copy
        return copy

    # ---- in-place changes: on leaves, outside the recorded graph --------------------------------

    def __setitem__(self, key: Any, value: Operand) -> None:
        if self.node is not None:
            raise RuntimeError(f"the result of {self.node.name} is part of a graph and cannot be "
                               "changed in place; build a new tensor, for example with where()")
        if self._requires_grad and autograd.is_grad_enabled():
            raise RuntimeError("a leaf that requires grad can only be changed in place under "
                               "no_grad()")
        if isinstance(value, Tensor) and value._requires_grad and autograd.is_grad_enabled():
            raise RuntimeError("the assigned value requires grad, and assignment is not recorded; "
                               "build a new tensor, for example with where() or cat()")
        *before, last = index.steps(key)
        view = self._data
        for step in before:
            view = view[step]
        view[last] = value._data if isinstance(value, Tensor) else value
        mark_changed(self._data)

    def copy_(self, source: Operand) -> Tensor:
        self[...] = source
        return self

    def fill_(self, value: Scalar) -> Tensor:
        self[...] = value
        return self

    def zero_(self) -> Tensor:
        return self.fill_(0)

    def _become(self, y: Tensor) -> Tensor:
        """The result of `self += …`: self, changed in place; or y, where y is part of a graph."""
        if y.node is not None and (self.node is not None or not self._requires_grad):
            return y
        if y.shape != self.shape or not np.can_cast(y.dtype, self.dtype, "same_kind"):
            raise RuntimeError(f"a tensor of {self.dtype} {self.shape} cannot become one of "
                               f"{y.dtype} {y.shape} in place")
        return self.copy_(y)

    # ---- arithmetic -----------------------------------------------------------------------------

    def add(self, other: Operand) -> Tensor:
        return elementwise.add(self, other)

    def sub(self, other: Operand) -> Tensor:
        return elementwise.sub(self, other)

    def mul(self, other: Operand) -> Tensor:
        return elementwise.mul(self, other)

    def div(self, other: Operand) -> Tensor:
        return elementwise.div(self, other)

    def pow(self, exponent: Operand) -> Tensor:
        return elementwise.pow(self, exponent)

    def matmul(self, other: Operand) -> Tensor:
        return linalg.matmul(self, other)

    __add__ = __radd__ = add
    __mul__ = __rmul__ = mul
    __sub__, __truediv__, __pow__, __matmul__ = sub, div, pow, matmul

    # operand and result are those of the operators assigned above; mypy calls them incompatible
    def __iadd__(self, other: Operand) -> Tensor:       # type: ignore[misc]
        return self._become(self + other)

    def __isub__(self, other: Operand) -> Tensor:       # type: ignore[misc]
        return self._become(self - other)

    def __imul__(self, other: Operand) -> Tensor:       # type: ignore[misc]
        return self._become(self * other)

    def __itruediv__(self, other: Operand) -> Tensor:       # type: ignore[misc]
        return self._become(self / other)

    def __rsub__(self, other: Operand) -> Tensor:
        return elementwise.sub(other, self)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return elementwise.div(other, self)

    def __rpow__(self, other: Operand) -> Tensor:
        return elementwise.pow(other, self)

    def __rmatmul__(self, other: Operand) -> Tensor:
        return linalg.matmul(other, self)

    def neg(self) -> Tensor:
        return elementwise.neg(self)

    __neg__ = neg

    def abs(self) -> Tensor:
        return elementwise.abs(self)

    __abs__ = abs

    def exp(self) -> Tensor:
        return elementwise.exp(self)

    def log(self) -> Tensor:
        return elementwise.log(self)

    def log1p(self) -> Tensor:
        return elementwise.log1p(self)

    def sqrt(self) -> Tensor:
        return elementwise.sqrt(self)

    def rsqrt(self) -> Tensor:
        return elementwise.rsqrt(self)

    def reciprocal(self) -> Tensor:
        return elementwise.reciprocal(self)

    def square(self) -> Tensor:
        return elementwise.square(self)

    def sign(self) -> Tensor:
        return elementwise.sign(self)

    def sin(self) -> Tensor:
        return elementwise.sin(self)

    def cos(self) -> Tensor:
        return elementwise.cos(self)

    def tan(self) -> Tensor:
        return elementwise.tan(self)

    def tanh(self) -> Tensor:
        return elementwise.tanh(self)

    def sigmoid(self) -> Tensor:
        return elementwise.sigmoid(self)

    def relu(self) -> Tensor:
        return elementwise.relu(self)

    def clamp(self, min: Scalar | None = None, max: Scalar | None = None) -> Tensor:
        return elementwise.clamp(self, min=min, max=max)

    def maximum(self, other: Operand) -> Tensor:
        return elementwise.maximum(self, other)

    def minimum(self, other: Operand) -> Tensor:
        return elementwise.minimum(self, other)

    def where(self, condition: Operand, other: Operand) -> Tensor:
        return elementwise.where(condition, self, other)

    # ---- comparison: boolean tensors, no gradient -----------------------------------------------

    def __eq__(self, other: object) -> Tensor:          # type: ignore[override]  # as in NumPy
        if other is None or isinstance(other, str):     # Python says False
            return NotImplemented
        return elementwise.compare(np.equal, self, other)

    def __ne__(self, other: object) -> Tensor:          # type: ignore[override]  # as in NumPy
        if other is None or isinstance(other, str):
            return NotImplemented
        return elementwise.compare(np.not_equal, self, other)

    def __lt__(self, other: Operand) -> Tensor:
        return elementwise.compare(np.less, self, other)

    def __le__(self, other: Operand) -> Tensor:
        return elementwise.compare(np.less_equal, self, other)

    def __gt__(self, other: Operand) -> Tensor:
        return elementwise.compare(np.greater, self, other)

    def __ge__(self, other: Operand) -> Tensor:
        return elementwise.compare(np.greater_equal, self, other)

    def __and__(self, other: Operand) -> Tensor:
        return elementwise.compare(np.bitwise_and, self, other)

    def __or__(self, other: Operand) -> Tensor:
        return elementwise.compare(np.bitwise_or, self, other)

    def __invert__(self) -> Tensor:
        return Tensor(~self._data)

    # ---- reductions -----------------------------------------------------------------------------

    def sum(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return reduce.sum(self, dim=dim, keepdim=keepdim)

    def mean(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        return reduce.mean(self, dim=dim, keepdim=keepdim)

    def prod(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return reduce.prod(self, dim=dim, keepdim=keepdim)

    def var(self, dim: Dims = None, *, correction: int = 1, keepdim: bool = False) -> Tensor:
        return reduce.var(self, dim=dim, correction=correction, keepdim=keepdim)

    def std(self, dim: Dims = None, *, correction: int = 1, keepdim: bool = False) -> Tensor:
        return reduce.std(self, dim=dim, correction=correction, keepdim=keepdim)

    def amax(self, dim: Dims = (), keepdim: bool = False) -> Tensor:
        return reduce.amax(self, dim=dim, keepdim=keepdim)

    def amin(self, dim: Dims = (), keepdim: bool = False) -> Tensor:
        return reduce.amin(self, dim=dim, keepdim=keepdim)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
        return reduce.max(self, dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Tensor | ValuesIndices:
        return reduce.min(self, dim, keepdim)

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return reduce.argmax(self, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        return reduce.argmin(self, dim, keepdim)

    def logsumexp(self, dim: Dims, keepdim: bool = False) -> Tensor:
        return reduce.logsumexp(self, dim=dim, keepdim=keepdim)

    def softmax(self, dim: int) -> Tensor:
        return reduce.softmax(self, dim=dim)

    def log_softmax(self, dim: int) -> Tensor:
        return reduce.log_softmax(self, dim=dim)

    def cumsum(self, dim: int) -> Tensor:
        return reduce.cumsum(self, dim=dim)

    # ---- shape and indexing ---------------------------------------------------------------------

    def reshape(self, *shape_: Any) -> Tensor:
        return shape.reshape(self, shape=shape.one_tuple(shape_))

    def view(self, *shape_: Any) -> Tensor:
        return shape.view(self, shape.one_tuple(shape_))

    def permute(self, *dims: Any) -> Tensor:
        return shape.permute(self, dims=shape.one_tuple(dims))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        return shape.transpose(self, dim0, dim1)

    def t(self) -> Tensor:
        return shape.t(self)

    @property
    def T(self) -> Tensor:
        return shape.permute(self, dims=tuple(range(self.ndim))[::-1])

    def squeeze(self, dim: Dims = None) -> Tensor:
        return shape.squeeze(self, dim)

    def unsqueeze(self, dim: int) -> Tensor:
        return shape.unsqueeze(self, dim)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        return shape.flatten(self, start_dim, end_dim)

    def expand(self, *sizes: Any) -> Tensor:
        return shape.expand(self, shape=shape.one_tuple(sizes))

    def broadcast_to(self, size: tuple[int, ...]) -> Tensor:
        return shape.expand(self, shape=size)

    def flip(self, *dims: Any) -> Tensor:
        return shape.flip(self, dims=shape.one_tuple(dims))

    def roll(self, shifts: Dims, dims: Dims = None) -> Tensor:
        return shape.roll(self, shifts=shifts, dims=dims)

    def split(self, split_size: int | list[int], dim: int = 0) -> tuple[Tensor, ...]:
        return shape.split(self, split_size, dim)

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        return shape.chunk(self, chunks, dim)

    def tril(self, diagonal: int = 0) -> Tensor:
        return shape.tril(self, diagonal=diagonal)

    def triu(self, diagonal: int = 0) -> Tensor:
        return shape.triu(self, diagonal=diagonal)

    def __getitem__(self, key: Any) -> Tensor:
        return index.getitem(self, key)

    def index_select(self, dim: int, index_: Operand) -> Tensor:
        return index.index_select(self, dim, index_)

    def gather(self, dim: int, index_: Operand) -> Tensor:
        return index.gather(self, dim=dim, index=index_)

    # ---- dtypes by name: last, since they hide the builtins --------------------------------------

    def float(self) -> Tensor:
        return self.to(np.float32)

    def double(self) -> Tensor:
        return self.to(np.float64)

    def long(self) -> Tensor:
        return self.to(np.int64)

    def bool(self) -> Tensor:
        return self.to(np.bool_)


def to_array(data: Any, dtype: DTypeLike | None = None) -> Array:
    """Python numbers and (nested) lists as arrays of `dtype` or the default ones; arrays as they
    are."""
    if isinstance(data, Tensor):
        return data._data
    if isinstance(data, np.generic | np.ndarray):
        array = np.asarray(data)
    else:
        array = np.asarray(_without_tensors(data), dtype)
        if dtype is None and (array.dtype.kind == "f" or not (array.size
                                                              or array.dtype.kind == "b")):
            array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: cannot hold data of dtype {array.dtype}; "
                        "expected floats, integers or booleans")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _without_tensors(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data._data
    return [_without_tensors(x) for x in data] if isinstance(data, list | tuple) else data


autograd.tie(Tensor)        # the one knot: ops build Tensors, and Tensor's operators call ops
