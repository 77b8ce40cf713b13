"""The two implementations behind one interface: a task is written once and runs with either."""

from __future__ import annotations

import sys

from comparisons.implementations.protocol import Implementation as Implementation

TITLES = {"minigrad": "minigrad", "torch": "PyTorch"}
"""The names on the command line, with the names for people."""
NAMES = tuple(TITLES)

_threads: int | None = None


def get(name: str, device: str = "auto", amp: bool = False, compile: bool = False
        ) -> Implementation:
    """An implementation by its name.

    device: where PyTorch computes; minigrad uses the CPU. amp, compile: whether PyTorch trains in
    mixed precision, and compiled.
    """
    found: Implementation
    if name == "minigrad":
        from comparisons.implementations.minigrad import Minigrad
        return Minigrad()
    from comparisons.implementations.torch import Torch
    found = Torch(device, amp, compile)
    if _threads is not None:
        found.set_threads(_threads)
    return found


def set_threads(n: int | None) -> None:
    """Set the number of threads of BLAS, Numba and PyTorch; None leaves it as it is."""
    if n is None:
        return
    from threadpoolctl import threadpool_limits
    threadpool_limits(n)
    get("minigrad").set_threads(n)
    global _threads
    _threads = n                        # get() sets PyTorch's, once it is imported
    if "torch" in sys.modules:
        get("torch").set_threads(n)
