"""A training step that is recorded once and then repeated without Python's part of the work.

Small models spend their time on Python, not on arithmetic: on the ops' checks, on building the
graph and on walking back through it. In a training loop all that comes out the same each time. The
calls into NumPy and into kernels are what remains of a step (kernels/tape.py), and they are enough
to repeat it, to the bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.autograd import quietly
from minigrad.inplace import Array, memory_owner
from minigrad.kernels import memory_order
from minigrad.kernels.tape import Tape
from minigrad.modes import mode
from minigrad.tensor import Tensor

SHAPES = 8              # recordings of one step at most, each for other arguments


def compile(step: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does what `step` does, faster where Python takes more time than arithmetic.

        @minigrad.compile
        def step(x, y):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

    The first two calls run the step as it is, and record which calls into NumPy and into kernels it
    makes. If these are the same both times, every later call makes only them, with new arguments,
    in the same memory, and gives the same results to the bit. Arguments of another shape or dtype,
    or in another order in memory, and other numbers are recorded anew. Tensors that the step
    returns are copies.

    What the step does beside computing is not repeated: prints, counters, choices such as
    `if model.training`. Optimisers, schedulers and random numbers are repeated. The memory of all
    intermediate results stays in use. While an observer looks on (minigrad.observer), the step runs
    as it is, since a repetition has nothing to show.
    Raises: RuntimeError, with the reason, for a step that reads values while it runs (`item()`), or
    that is not the same program each time; and if a parameter is given another array later on.
    Source: CUDA graphs do the same for the calls to a GPU (torch.cuda.graph).
    """
    recordings: dict[Any, tuple[Recording, bool]] = {}

    @functools.wraps(step)
    def run(*args: Any) -> Any:
        arrays = [x.data if isinstance(x, Tensor) else x for x in args]
        if mode.observer is not None:
            return _copied(step(*(Tensor(x.copy("K")) if isinstance(x, np.ndarray) else x
                                  for x in arrays)))
        key = tuple((x.shape, x.dtype, memory_order(x)) if isinstance(x, np.ndarray) else x
                    for x in arrays)
        recording, is_sure = recordings.get(key, (None, False))
        if recording is not None and is_sure:
            return recording.run(arrays)
        if recording is None and len(recordings) == SHAPES:
            raise RuntimeError(f"compile: the step was called with {SHAPES} different kinds of "
                               "arguments, and each has a recording of its own; give it arrays, "
                               "not numbers, where values change")
        again = Recording(step, arrays)
        if recording is not None:
            again.require_same(recording)
        recordings[key] = again, recording is not None
        return again.results()
    return run


class Recording:
    """The calls that one run of a step has made, and the memory that they work in."""

    def __init__(self, step: Callable[..., Any], arrays: list[Any]) -> None:
        # in the order of memory, on which roundings depend
        self.inputs = [Tensor(x.copy("K")) if isinstance(x, np.ndarray) else x for x in arrays]
        with Tape() as self.tape:
            for x in self.inputs:
                if isinstance(x, Tensor):
                    self.tape.adopt(x)
            self.returned = step(*self.inputs)
        self.kept: list[tuple[Tensor, Array]] = []      # parameters and buffers, which must stay

    def run(self, arrays: list[Any]) -> Any:
        for own, given in zip(self.inputs, arrays, strict=True):
            if isinstance(own, Tensor):
                np.copyto(own._data, given)
        for tensor, array in self.kept:
            if tensor._data is not array:
                raise RuntimeError(f"compile: a tensor of shape {array.shape} that the step uses "
                                   "was given another array after the step was recorded; change "
                                   "its values in place, or compile the step again")
        quietly(self._repeat)
        return self.results()

    def _repeat(self) -> None:
        for call in self.tape.calls:
            call()

    def results(self) -> Any:
        return _copied(self.returned)

    def require_same(self, earlier: Recording) -> None:
        """RuntimeError if another run of the step was not the same program."""
        before = {id(memory_owner(array)) for _, array in earlier.tape.outside}
        self.kept = [(tensor, array) for tensor, array in self.tape.outside
                     if id(memory_owner(array)) in before]
        kept = {id(memory_owner(array)) for _, array in self.kept}
        first, second = earlier.described(kept), self.described(kept)
        for i, (then, now) in enumerate(zip(first, second, strict=False)):
            if then != now:
                names = [_told(recording.tape.calls[i]) for recording in (earlier, self)]
                raise RuntimeError("compile: the step is not the same program each time: its call "
                                   f"{i + 1} was {names[0]}, and is now {names[1]}, with values "
                                   "that come from outside of what is recorded")
        if len(first) != len(second):
            raise RuntimeError("compile: the step is not the same program each time: it made "
                               f"{len(first)} calls, and now makes {len(second)}")

    def described(self, kept: set[int]) -> list[Any]:
        """Each call with its arguments: memory that was there before or is an input, or that a call
        has written to, as a number; everything else by its values."""
        numbers: dict[int, int] = {}
        constants = {id(memory_owner(array)) for tensor, array in self.tape.outside
                     if not any(tensor is x for x in self.inputs)} - kept

        def described(value: Any) -> Any:
            if isinstance(value, Tensor):
                value = value._data
            if isinstance(value, np.ndarray):
                owner = memory_owner(value)
                key = id(owner)
                place = value.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
                known = key in self.tape.memory and key not in constants
                return (value.shape, value.strides, value.dtype.str,
                        (place, numbers.setdefault(key, len(numbers))) if known
                        else value.tobytes())
            if isinstance(value, tuple | list):
                return [described(each) for each in value]
            if isinstance(value, dict):
                return [(key, described(each)) for key, each in value.items()]
            return repr(value) if isinstance(value, float | np.generic) else value

        return [described((call.func, call.args, call.keywords)) for call in self.tape.calls]


def _told(call: Any) -> str:
    """The function of a call, and its operands where they are few."""
    function, args = call.func, call.args
    if getattr(function, "__name__", "").startswith("_") and len(args) > 2:     # it fills an array
        function, args = args[1:3]
    operands = [str(x.shape) if isinstance(x, np.ndarray) and x.size > 1 else str(x) for x in args
                if isinstance(x, np.ndarray | int | float)]
    name = getattr(function, "__name__", getattr(function, "name", function))
    return f"{name} of {', '.join(operands) or 'others'}"


def _copied(returned: Any) -> Any:
    return _map(lambda y: Tensor(y._data.copy()), returned)


def _map(function: Callable[[Tensor], Any], value: Any) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple | list):
        return type(value)([_map(function, each) for each in value])
    if isinstance(value, dict):
        return {key: _map(function, each) for key, each in value.items()}
    return value
