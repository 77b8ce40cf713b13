"""Large arrays in memory that earlier ones have given back."""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from bisect import bisect_left, insort
from collections import deque
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from minigrad.kernels import tape

Array = NDArray[Any]

RECYCLED_BYTES = 2**16      # smaller arrays come from malloc, which recycles its memory itself
SMALL_COUNT = RECYCLED_BYTES // 16      # so many numbers of any dtype are smaller
CACHE_LINE = 64             # bytes
WASTE = 1.5                 # a block serves an array that needs at least 1/WASTE of it
UNUSED = 3                  # unused blocks may add up to this many times the most ever in use,
SPARE = 2**26               # or to this many bytes

_free: list[tuple[int, int, memoryview]] = []       # sorted: (bytes, -time of return, memory)
_bytes = {"in use": 0, "most in use": 0, "unused": 0}
_loans: dict[int, _Loan] = {}               # by their id
_returned: deque[_Loan] = deque()           # whose arrays have died, but not yet sorted in
_give_back = _returned.append
_now = itertools.count(1)
_lock = threading.RLock()
_within = False                             # whether the thread that holds the lock is at work


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """np.empty, in the smallest block that suffices of those that earlier arrays have given back.

    The operating system hands out fresh memory page by page, each on its first use, which can take
    longer than computing the values; and a training step asks for the same sizes again and again.
    If the sizes vary, blocks that no array uses add up to at most 64 MiB (SPARE) or three times
    (UNUSED) the most that was ever in use, whichever is more; those unused for longest go first.
    """
    count = prod(shape)
    if count < SMALL_COUNT or count * np.dtype(dtype).itemsize < RECYCLED_BYTES:
        y = np.empty(shape, dtype)
    else:
        y = _lent(count, np.dtype(dtype)).reshape(shape)
    return tape.new(y) if tape.running else y


def _lent(count: int, dtype: np.dtype[Any]) -> Array:
    global _within
    size = count * dtype.itemsize
    with _lock:
        if _within:         # a signal's handler or a finaliser asks, between two lines below
            return np.frombuffer(_from_system(size), dtype, count)
        try:
            _within = True
            if _returned:
                _sort_in_what_was_returned()
            at = bisect_left(_free, (size,))
            if at < len(_free) and _free[at][0] <= WASTE * size:
                memory = _free.pop(at)[2]
                _bytes["unused"] -= memory.nbytes
            else:
                memory = _from_system(size)
            array: Array = np.frombuffer(memory, dtype, count)
            loan = _Loan(array, _give_back)
            loan.memory = memory
            _loans[id(loan)] = loan
            _bytes["in use"] += memory.nbytes
            _bytes["most in use"] = max(_bytes["most in use"], _bytes["in use"])
        except BaseException:               # Ctrl-C, after any of these calls
            _count_anew()
            raise
        finally:
            _within = False
    return array


def bytes_in_use() -> int:
    """The bytes of recycled memory that arrays hold."""
    global _within
    with _lock:
        if not _within:
            try:
                _within = True
                _sort_in_what_was_returned()
            except BaseException:
                _count_anew()
                raise
            finally:
                _within = False
        return _bytes["in use"]


class _Loan(weakref.ref[Array]):
    """Tells when an array has died, which is after its last view: each view keeps it alive.

    That may be at any time, also while another thread, or this one, holds the lock. So its callback
    is a single call of a function in C, which nothing interrupts.
    """

    __slots__ = ("memory",)
    memory: memoryview


def _from_system(size: int) -> memoryview:
    """Memory that starts where a cache line starts, so that no vector lies in two lines."""
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start:start + size].data


def _sort_in_what_was_returned() -> None:
    """Only a loan that is on the list is sorted in, so that none is twice where Ctrl-C came between
    two lines."""
    while _returned:
        loan = _returned[0]
        if _loans.pop(id(loan), None) is not None:
            memory = loan.memory
            insort(_free, (memory.nbytes, -next(_now), memory))
            _bytes["in use"] -= memory.nbytes
            _bytes["unused"] += memory.nbytes
        _returned.popleft()
    while _bytes["unused"] > max(SPARE, UNUSED * _bytes["most in use"]):
        oldest = max(range(len(_free)), key=lambda i: _free[i][1])
        _bytes["unused"] -= _free.pop(oldest)[0]


def _count_anew() -> None:
    _bytes["in use"] = sum(loan.memory.nbytes for loan in _loans.values())
    _bytes["unused"] = sum(size for size, *_ in _free)


def _after_fork() -> None:
    """Another thread of the parent may have held the lock; it does not exist in the child."""
    global _lock, _within
    _lock, _within = threading.RLock(), False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
