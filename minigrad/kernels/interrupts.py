"""Ctrl-C waits while something runs that it must not leave half done."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable
from typing import Any


def uninterrupted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, but a Ctrl-C that comes while it runs is answered when it has ended.

    Other threads than the main one never see a Ctrl-C. What else answers it, such as a handler of
    the user's own, waits as well.
    """
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            return function(*args, **kwargs)
        came: list[Any] = []
        signal.signal(signal.SIGINT, lambda *given: came.append(given))
        try:
            return function(*args, **kwargs)
        finally:
            signal.signal(signal.SIGINT, handler)
            if came:
                handler(*came[0])
    return call
