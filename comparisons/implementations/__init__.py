"""The two implementations behind one face, so that a task is written once and runs with either."""

from __future__ import annotations

import sys

from comparisons.implementations.protocol import Implementation as Implementation

TITLES = {"minigrad": "minigrad", "torch": "PyTorch"}
"""What each is called for people, by its name."""
NAMES = tuple(TITLES)

_threads: int | None = None


def get(name: str, device: str = "auto") -> Implementation:
    """An implementation by its name. device: PyTorch's; minigrad runs on the CPU."""
    found: Implementation
    if name == "minigrad":
        from comparisons.implementations.minigrad import Minigrad
        return Minigrad()
    from comparisons.implementations.torch import Torch
    found = Torch(device)
    if _threads is not None:
        found.set_threads(_threads)
    return found


def set_threads(n: int | None) -> None:
    """Set the threads of BLAS, Numba and PyTorch alike; None leaves them as they are."""
    if n is None:
        return
    from threadpoolctl import threadpool_limits
    threadpool_limits(n)
    get("minigrad").set_threads(n)
    global _threads
    _threads = n                        # PyTorch is told in get(), for it may never be imported
    if "torch" in sys.modules:
        get("torch").set_threads(n)
