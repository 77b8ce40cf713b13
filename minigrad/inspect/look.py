"""What is to be looked at: a network, a function, or Tensors that have been computed already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from minigrad.autograd import enable_grad
from minigrad.func.tree import leaves
from minigrad.inspect.graph import (
    Graph,
    existing,
    names_in,
    names_of_arguments,
    recorded,
    tensors_in,
)
from minigrad.inspect.recording import Recording
from minigrad.inspect.untouched import cut_off, modules_of, untouched
from minigrad.nn import Module


@contextmanager
def computation(name: str, what: Any, inputs: tuple[Any, ...], kwargs: dict[str, Any],
                net: Module | None) -> Iterator[Graph]:
    """The graph of what is given to the function `name`; while it is used, networks that were run
    for it are in the state that they were left in, and afterwards as they were before.

    Raises: TypeError for anything but a network, a function or Tensors; ValueError if there is
    no Tensor in what it returns.
    """
    if callable(what):
        networks = [*([net] if net is not None else []), *modules_of(what, inputs)]
        args, options = cut_off((inputs, kwargs)) if isinstance(what, Module) else (inputs, kwargs)
        names = names_of_arguments(what, args, options)
        for network in networks:
            names |= names_in(network)
        with ExitStack() as restored, enable_grad():
            restored.enter_context(untouched(networks))
            known = {module for network in networks for module in network.modules()}

            def meets(module: Module) -> None:
                if module not in known:         # what the function reaches in some other way
                    known.update(module.modules())
                    restored.enter_context(untouched([module]))

            with Recording(net, meets) as recording:
                result = what(*args, **options)
            outputs = tensors_in(result)
            if not outputs:
                raise ValueError(f"{name}: what was called returned no Tensor; got {result!r}")
            yield recorded(outputs, recording, names)
    elif outputs := tensors_in(what):
        if inputs or kwargs or len(outputs) != len(leaves(what)):
            raise TypeError(f"{name}: needs a network or function with its inputs, or Tensors "
                            "alone")
        yield existing(outputs, names_in(net) if net is not None else {})
    else:
        raise TypeError(f"{name}: needs a network, a function, or Tensors; "
                        f"got {type(what).__name__}")
