"""Writes down what is computed with arrays, so that exactly this can be computed once more.

While a tape runs, the arrays of all Tensors that ops receive are `Traced`. NumPy tells such an
array of everything that is done with it; the array then does it, and writes it down. Each result
keeps its memory. So to compute again is to make the same calls, each into the memory that it had
before, and whatever is a view of that memory sees the new values.

Nothing else is repeated: no Python in between, no looking for shapes or types, no graph.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])

INTO = (np.dot, np.concatenate)                 # functions that take `out`, as all ufuncs do
ABOUT_MEMORY = (np.shares_memory, np.may_share_memory, np.ndim, np.shape, np.size)
COMPUTING = ("__getitem__ __setitem__ argmax argmin argpartition argsort astype choose clip "
             "compress copy cumprod cumsum diagonal dot fill flatten nonzero partition put ravel "
             "repeat reshape round searchsorted sort take trace")
READING = "__complex__ __contains__ __float__ __index__ __int__ item tobytes tolist"


class Unrecordable(RuntimeError):
    """A computation that cannot be made again by the calls on a tape."""


running = 0                 # how many tapes run, in any thread


class _Here(threading.local):
    tape: Tape | None = None


here = _Here()


class Traced(np.ndarray[Any, np.dtype[Any]]):
    """An array that tells the tape of this thread what is computed with it."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        return _told(ufunc if method == "__call__" else getattr(ufunc, method), *inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        return _told(function, *args, **options)

    def __bool__(self) -> bool:
        truth = bool(plain(self))
        if here.tape is not None:
            here.tape.calls.append(partial(_require, plain(self), truth))
        return truth


def _method(name: str, reads: bool) -> Any:
    def method(self: Traced, *args: Any, **options: Any) -> Any:
        if reads and here.tape is not None:
            raise Unrecordable(f"compile: the step reads a value of a tensor while it runs ({name})"
                               "; return the tensor, and read it outside")
        return _told(getattr(np.ndarray, name), self, *args, **options)
    return method


for _names, _reads in ((COMPUTING, False), (READING, True)):
    for _name in _names.split():
        setattr(Traced, _name, _method(_name, _reads))


class Tape:
    """The calls that computed what was computed while the tape ran, in order.

    memory: the arrays that own the memory that the tape knows of, by their id: what a call has
    written to, and what came from outside. outside: of the latter, each with its Tensor.
    """

    def __init__(self) -> None:
        self.calls: list[partial[Any]] = []
        self.memory: dict[int, Array] = {}
        self.outside: list[tuple[Any, Array]] = []
        self._traced: list[Any] = []

    def __enter__(self) -> Tape:
        global running
        running, here.tape = running + 1, self
        return self

    def __exit__(self, *error: object) -> None:
        global running
        running, here.tape = running - 1, None
        for tensor in self._traced:
            tensor._data = plain(tensor._data)
        for tensor, array in self.outside:
            tensor._data = array

    def knows(self, array: Array) -> bool:
        return id(memory_owner(array)) in self.memory

    def own(self, array: Array) -> Array:
        owner = memory_owner(array)
        self.memory[id(owner)] = owner
        return array.view(Traced)

    def adopt(self, tensor: Any) -> None:
        """From now on, be told what is computed with a Tensor."""
        array = tensor._data
        if type(array) is not Traced:
            (self._traced.append(tensor) if self.knows(array)
             else self.outside.append((tensor, array)))
            tensor._data = self.own(array)

    def note(self, function: Callable[..., Any], args: Any, options: Any, y: Any) -> Any:
        """Write down a call whose result was y."""
        if y is None or "out" in options:               # it has changed an array in place
            target = options.get("out", args[:1])
            target = target[0] if isinstance(target, tuple) else target
            if not self.knows(target):
                raise Unrecordable("compile: an array changes that the tape does not know")
            self.calls.append(partial(function, *args, **options))
            return y if y is None else self.own(target)
        if isinstance(y, np.generic | np.ndarray):
            y = np.asarray(y)
            if not self.knows(y):                       # no view, but a new array
                into = isinstance(function, np.ufunc) or function in INTO \
                    or isinstance(getattr(function, "__self__", None), np.ufunc)
                self.calls.append(partial(function, *args, **options, out=y) if into
                                  else partial(_refill, y, function, args, options))
            return self.own(y)
        if isinstance(y, tuple | list) and all(isinstance(each, np.ndarray) and self.knows(each)
                                               for each in y):
            return type(y)(map(self.own, y))
        if function in ABOUT_MEMORY:
            return y
        raise Unrecordable(f"compile: {getattr(function, '__name__', function)} returns "
                           f"{type(y).__name__}, which cannot be computed again")


def memory_owner(array: Array) -> Array:
    """The array whose memory this one is a view of; itself, if it is none."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def plain(value: Any) -> Any:
    """Without Traced, also in tuples, lists and dicts."""
    kind = type(value)
    if kind is Traced:
        return value.view(np.ndarray)
    if kind in (tuple, list):
        return kind([plain(each) for each in value])
    return {key: plain(each) for key, each in value.items()} if kind is dict else value


def _told(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    args, options = plain(args), plain(options)
    y = function(*args, **options)
    return y if here.tape is None else here.tape.note(function, args, options, y)


def _refill(y: Array, function: Callable[..., Any], args: Any, options: Any) -> None:
    np.copyto(y, function(*args, **options))


def _value(forward: Callable[..., Any], inputs: Any, static: Any) -> Any:
    return forward(*inputs, **static)[0]


def _require(array: Array, truth: bool) -> None:
    if bool(array) is not truth:
        raise RuntimeError(f"compile: a condition on the values of a tensor was {truth} when the "
                           f"step was recorded, and is {not truth} now")


# ---- what tells the tape, beside NumPy -----------------------------------------------------------

def run_op(forward: Callable[..., Any], inputs: Any, static: Any) -> Any:
    """What an op returns. If it has computed its value with an array that is not Traced, all of it
    is written down as one call."""
    tape = here.tape
    if tape is None:
        return forward(*inputs, **static)
    for x in inputs:
        if x is not None:
            tape.adopt(x)
    mark = len(tape.calls)
    try:
        y, *vjps = forward(*inputs, **static)
    except Unrecordable:
        del tape.calls[mark:]
        here.tape = None
        y, *vjps = forward(*inputs, **static)
        here.tape = tape
    y = np.asarray(plain(y))
    if not tape.knows(y):
        tape.own(y)
        tape.calls.append(partial(_refill, y, _value, (forward, inputs, plain(static)), {}))
    return y, *vjps


def see(tensor: Any) -> None:
    """A Tensor was made. If its values were computed, the tape is told what becomes of them."""
    if here.tape is not None and here.tape.knows(tensor._data):
        here.tape.adopt(tensor)


def adopt(tensor: Any) -> None:
    """A Tensor is about to change in place, or to reach a vjp."""
    if here.tape is not None:
        here.tape.adopt(tensor)


def new(array: Array) -> Array:
    """An array that is about to be filled."""
    return array if here.tape is None else here.tape.own(array)


def run_kernel(kernel: Any, args: Any) -> Any:
    """The arguments of a kernel that is about to run, without Traced."""
    args = plain(args)
    if here.tape is not None:
        here.tape.calls.append(partial(kernel, *args))
        for value, written in zip(args, kernel.writes, strict=True):
            if written:
                here.tape.own(value)
    return args


def again(function: F) -> F:
    """Mark a function that is called anew each time, since it does more than compute with arrays.
    An array that it returns is filled anew."""
    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        tape = here.tape
        if tape is None:
            return function(*args, **options)
        here.tape = None
        try:
            y = function(*args, **options)
        finally:
            here.tape = tape
        if not isinstance(y, np.ndarray):
            tape.calls.append(partial(function, *args, **options))
            return y
        tape.calls.append(partial(_refill, y, function, args, options))
        return tape.own(y)
    return cast(F, call)
