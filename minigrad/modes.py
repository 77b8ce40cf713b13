"""How ops run in this thread: whether they are recorded, and that NumPy does not warn."""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])
Y = TypeVar("Y")


class _GradMode(threading.local):
    enabled = True                      # each thread starts with recording on
    before: list[bool]                  # what it was outside of each mode that was entered
    observer: Any = None                # who is told of each op and each gradient (observer.py)
    float32: np.dtype[Any] = np.dtype(np.float32)   # what it stands for; in gradchecks float64

    def __init__(self) -> None:         # once a thread
        self.before = []


mode = _GradMode()


def is_grad_enabled() -> bool:
    """Whether ops are being recorded in this thread."""
    return mode.enabled


def computed(name: str, inputs: tuple[Any, ...], static: dict[str, Any], y: Y) -> Y:
    """The Tensor y, once observers know that it was computed: `Observer.computed`."""
    if mode.observer is not None:
        mode.observer.computed(name, inputs, static, y)
    return y


def refuse_later(name: str, function: Callable[..., Any]) -> None:
    """TypeError if a function is a generator or a coroutine, which decorators do not reach."""
    inner = inspect.unwrap(function)
    while isinstance(inner, functools.partial):
        inner = inner.func
    for is_kind, kind in ((inspect.isgeneratorfunction, "a generator"),
                          (inspect.iscoroutinefunction, "a coroutine"),
                          (inspect.isasyncgenfunction, "an asynchronous generator")):
        if is_kind(inner) or is_kind(inspect.getattr_static(inner, "__call__", None)):
            raise TypeError(f"{name}: {getattr(inner, '__name__', inner)} is {kind}, and runs "
                            "after the call; write `with` inside it")


class _set_grad_mode:
    enabled: bool

    def __new__(cls, function: Any = None) -> Self:
        new = super().__new__(cls)
        # @no_grad without parentheses: what comes out is the decorated function
        return new if function is None else new(function)

    def __call__(self, function: F) -> F:
        refuse_later("@" + type(self).__name__, function)
        enabled = self.enabled

        @functools.wraps(function)
        def decorated(*args: Any, **kwargs: Any) -> Any:
            # not `with self`: Ctrl-C may come as __exit__ begins, and would leave the mode as it is
            before = mode.enabled
            try:
                mode.enabled = enabled
                return function(*args, **kwargs)
            finally:
                mode.enabled = before
        # the same signature, by functools.wraps, which mypy does not follow
        return decorated        # type: ignore[return-value]

    def __enter__(self) -> None:
        mode.before.append(mode.enabled)
        mode.enabled = self.enabled

    def __exit__(self, *exc: object) -> None:
        mode.enabled = mode.before.pop()


class no_grad(_set_grad_mode):
    """Record nothing inside: `with no_grad():`, or as a decorator `@no_grad()`."""

    enabled = False


class enable_grad(_set_grad_mode):
    """Record inside, even within an outer `no_grad`."""

    enabled = True


is_quiet = contextvars.ContextVar("is_quiet", default=False)


class _Quiet(threading.local):
    """A place to compute without NumPy's warnings: infinities and NaNs are values here.

    A context that is entered and left costs a tenth of what `with np.errstate(...)` does.
    """

    def __init__(self) -> None:                     # once a thread
        context = contextvars.Context()
        context.run(np.seterr, all="ignore")
        context.run(is_quiet.set, True)
        self.run = context.run


quiet = _Quiet()


def quietly(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)` without NumPy's warnings."""
    return function(*args) if is_quiet.get() else quiet.run(function, *args)
