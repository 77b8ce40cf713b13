"""Arguments: converters, which bring a value into the form that an op wants, and refusals, which
raise an error that names the function, the argument, what was got and what was expected."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike

from minigrad import autograd
from minigrad.autograd import Array, as_tensor
from minigrad.modes import mode

if TYPE_CHECKING:
    from minigrad.tensor import Tensor

Size = int | Sequence[int]                              # one for all dims, or one for each
Dims = int | tuple[int, ...] | list[int] | None         # None: all of them

INT64_MIN, INT64_MAX = -2**63, 2**63 - 1
PLAIN_NUMBERS = (int, float, np.number)       # a tuple: `int | float` would be made anew each time


# ---- converters ----------------------------------------------------------------------------------

def to_int(name: str, argument: str, value: Any) -> int:
    """An int, a NumPy integer or an integer tensor of one element, as an int.

    Raises: TypeError for anything else, bools included; ValueError for more than 64 bits.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        n = operator.index(value)
    except (TypeError, RuntimeError):
        raise TypeError(f"{name}: {argument} must be an int; got {value!r}") from None
    if not INT64_MIN <= n <= INT64_MAX:
        raise ValueError(f"{name}: {argument} must fit in 64 bits; got {n}")
    return n


def to_size(name: str, argument: str, value: Any, least: int) -> int:
    """An int of at least `least`.  Raises: as `to_int`; ValueError for a smaller one."""
    n = (value if type(value) is int and INT64_MIN <= value <= INT64_MAX
         else to_int(name, argument, value))
    if n < least:
        raise ValueError(f"{name}: {argument} must be at least {least}; got {n}")
    return n


def to_ints(name: str, argument: str, values: Any) -> tuple[int, ...]:
    """A tuple or list of ints as a tuple.  Raises: TypeError for anything else, also one int."""
    if type(values) is not tuple and not isinstance(values, tuple | list):
        raise TypeError(f"{name}: {argument} must be a tuple of ints; got {values!r}")
    for n in values:                            # a shortcut for the usual case
        if type(n) is not int or not INT64_MIN <= n <= INT64_MAX:
            break
    else:
        return tuple(values)
    return tuple(to_int(name, argument, value) for value in values)


def sizes_of(name: str, argument: str, value: Any, dims: int, least: int) -> tuple[int, ...]:
    """One int for all dims, or one for each, as a tuple with one for each.

    Raises: TypeError for what is not an int; ValueError for a size below `least`, or for another
    number of sizes.
    """
    if type(value) is int and least <= value <= INT64_MAX:      # shortcuts for the usual cases
        return (value,) * dims
    if type(value) is tuple and len(value) == dims:
        for n in value:
            if type(n) is not int or not least <= n <= INT64_MAX:
                break
        else:
            return value
    sizes = [to_int(name, argument, n)
             for n in (value if isinstance(value, tuple | list) else [value])]
    sizes = sizes * dims if len(sizes) == 1 else sizes
    if len(sizes) != dims or min(sizes) < least:
        raise ValueError(f"{name}: {argument} must be {dims} int{'s' * (dims > 1)} of at least "
                         f"{least}; got {value!r}")
    return tuple(sizes)


def paddings_of(name: str, padding: str | Sequence[int], stride: Sequence[int],
                spans: Sequence[int]) -> list[tuple[int, int]]:
    """How many places a convolution adds before and behind each dim.

    padding: sizes, the same before and behind; "valid", none; or "same", so many that the output is
    as large as the input. An odd number puts the larger part behind.
    spans: how many places the window covers along each dim.
    Raises: ValueError for another string, or for "same" with a stride.
    """
    if not isinstance(padding, str):
        return [(n, n) for n in padding]
    if padding not in ("same", "valid"):
        raise ValueError(f"{name}: padding must be 'same', 'valid' or sizes; got {padding!r}")
    if padding == "valid":
        return [(0, 0)] * len(spans)
    if any(n != 1 for n in stride):
        raise ValueError(f"{name}: padding 'same' needs stride 1; got {tuple(stride)}")
    return [((span - 1) // 2, span // 2) for span in spans]


def to_dtype(name: str, dtype: DTypeLike) -> np.dtype[Any]:
    """`dtype` as a NumPy dtype.  Raises: TypeError unless it is one of floats, integers or bool."""
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):
        found = np.dtype(object)
    if found.kind not in "fiub":
        raise TypeError(f"{name}: dtype must be one of floats, integers or bool; got {dtype!r}")
    return mode.float32 if found == np.float32 else found


def normalize_dim(name: str, dim: int, ndim: int) -> int:
    """`dim` counted from the front; a 0-d tensor accepts 0 and -1.

    Raises: IndexError where it is out of range.
    """
    n = ndim or 1
    if type(dim) is not int:                    # a shortcut: mostly it is one
        dim = to_int(name, "dim", dim)
    if not -n <= dim < n:
        raise IndexError(f"{name}: dim {dim} is out of range [-{n}, {n - 1}] for {ndim} dims")
    return dim % n


def normalize_dims(name: str, dim: Dims, ndim: int) -> tuple[int, ...]:
    """`dim` as a tuple, counted from the front; None and () mean all dims.

    Raises: RuntimeError for a dim that is named twice; errors as `normalize_dim`.
    """
    if type(dim) is int and ndim:               # a shortcut for the usual case
        return (normalize_dim(name, dim, ndim),)
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return tuple(range(ndim))
    dims = tuple(normalize_dim(name, d, ndim) for d in (dim if isinstance(dim, tuple | list)
                                                        else (dim,)))
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"{name}: dim {dim} names a dim twice")
    return dims if ndim else ()


def to_floats(name: str, x: Tensor, dtype: DTypeLike | None = None) -> Tensor:
    """x, in `dtype` if one is given.  Raises: RuntimeError unless it then holds floats."""
    x = x if dtype is None else x.to(to_dtype(name, dtype))
    if x.dtype.kind != "f":
        raise RuntimeError(f"{name}: needs floating point input; got {x.dtype}")
    return x


def to_integers(name: str, index: Any) -> Array:
    """An index as an array of int64 or int32; an empty one may be of any dtype."""
    places: Array = as_tensor(name, index).data
    if places.size and not (places.dtype.kind == "i" and places.itemsize in (8, 4)):
        raise RuntimeError(f"{name}: index must hold int64 or int32; got {places.dtype}")
    return places if places.size else places.astype(np.int64)


def to_array(data: Any, dtype: DTypeLike | None = None) -> Array:
    """Python numbers and (nested) lists as an array of `dtype`, or else of float32, int64 or bool;
    an array as it is.  Raises: TypeError for anything but numbers."""
    if isinstance(data, autograd.Tensor):
        return data._data
    if isinstance(data, np.generic | np.ndarray):
        array = np.asarray(data)
    else:
        with np.errstate(over="ignore"):        # 1e40 is infinite in float32
            array = np.asarray(without_tensors(data), dtype)
            if dtype is None and array.dtype.kind == "f":
                array = array.astype(np.float32)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: cannot hold data of dtype {array.dtype}; "
                        "expected floats, integers or booleans")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def without_tensors(data: Any) -> Any:
    """`data` with an array in the place of each Tensor in its (nested) lists."""
    if isinstance(data, autograd.Tensor):
        return data._data
    return [without_tensors(x) for x in data] if isinstance(data, list | tuple) else data


# ---- refusals ------------------------------------------------------------------------------------

def require_float(name: str, *tensors: Tensor) -> None:
    """RuntimeError unless all tensors hold float32 or float64."""
    for x in tensors:
        if x.dtype.char not in "fd":
            raise RuntimeError(f"{name}: needs floating point input, float32 or float64; "
                               f"got {x.dtype}")


def refuse_bools(name: str, x: Tensor) -> None:
    """RuntimeError for a tensor of bools."""
    if x.dtype.kind == "b":
        raise RuntimeError(f"{name}: needs numbers; got {x.dtype}")


def require_number(name: str, **arguments: Any) -> None:
    """TypeError unless each argument is a plain number: Python's or NumPy's, not a Tensor."""
    for argument, value in arguments.items():
        if not isinstance(value, PLAIN_NUMBERS):
            raise TypeError(f"{name}: {argument} must be a number; got {value!r}")


def require_bool(name: str, **arguments: Any) -> None:
    """TypeError unless each argument is True or False."""
    for argument, value in arguments.items():
        if value is not True and value is not False and not isinstance(value, np.bool_):
            raise TypeError(f"{name}: {argument} must be True or False; got {value!r}")


def require_dims(name: str, n: int, x: Tensor) -> None:
    """RuntimeError for a tensor of fewer than n dims."""
    if x.ndim < n:
        raise RuntimeError(f"{name}: needs at least {n} dim{'s'[:n > 1]}; got x {x.shape}")


def require_elements(name: str, shape: tuple[int, ...], dims: tuple[int, ...],
                     kind: type[Exception] = IndexError) -> None:
    """An error of this kind where one of the dims has size 0."""
    if 0 in shape and 0 in [shape[d] for d in dims]:
        raise kind(f"{name}: cannot reduce over a dim of size 0; got shape {shape}")


def require_reduction(name: str, reduction: str, size_average: None = None, reduce: None = None
                      ) -> None:
    """ValueError unless `reduction` is one of three; TypeError for torch's older arguments."""
    if size_average is not None or reduce is not None:
        raise TypeError(f"{name}: size_average and reduce went out of use in torch; pass reduction")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{name}: reduction must be 'none', 'mean' or 'sum'; got {reduction!r}")


def require_broadcast(message: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that `shapes` broadcast to.  Raises: RuntimeError, with this message, if none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise RuntimeError(message) from None
