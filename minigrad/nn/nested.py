"""A module and all below it, from the deepest up, so that deep nesting takes no recursion."""

from __future__ import annotations

import copy
from typing import Any, SupportsIndex

Module = Any                # nn.Module is built on this file
STEP = 50                   # how deep pickle goes by recursion


def deepest_first(module: Module) -> list[Module]:
    """The module and all below it, each once: children before those that hold them."""
    order, seen = [], {module}
    waiting = [(module, iter(module._own_modules().values()))]
    while waiting:
        parent, children = waiting[-1]
        child = next((child for child in children if child not in seen), None)
        if child is None:
            order.append(parent)
            waiting.pop()
        else:
            seen.add(child)
            waiting.append((child, iter(child._own_modules().values())))
    return order


def deepcopy(module: Module, memo: dict[int, Any]) -> Module:
    """`copy.deepcopy` of a module. It finds in `memo` what it has already copied."""
    for each in deepest_first(module):
        if id(each) in memo:
            continue
        if each is not module and type(each).__deepcopy__ is not deepcopy:
            copy.deepcopy(each, memo)           # in its own way
            continue
        kind: Any = type(each)
        new = memo[id(each)] = kind.__new__(kind)
        state = copy.deepcopy(each.__getstate__(), memo)
        if hasattr(new, "__setstate__"):
            new.__setstate__(state)
            continue
        state, slots = state if isinstance(state, tuple) else (state, {})
        new.__dict__.update(state)
        for name, value in slots.items():
            setattr(new, name, value)
    return memo[id(module)]


def reduce_ex(module: Module, protocol: SupportsIndex) -> Any:
    """How `pickle` takes a module apart. It goes down recursively, so a deep module names some of
    those below it first, beginning with the deepest: from each, it is only STEP to the next.
    """
    parts: Any = object.__reduce_ex__(module, max(int(protocol), 2))
    depth: dict[Module, int] = {}
    for each in deepest_first(module):
        children = each._own_modules().values()
        if any(child not in depth for child in children):       # one of them holds its own parent
            return parts
        depth[each] = 1 + max((depth[child] for child in children), default=0)
    steps = [each for each, n in depth.items() if n % STEP == 0 and each is not module]
    if not steps or isinstance(parts, str):
        return parts
    make, args, *state = parts
    return new_module, (steps, make, args), *state


def new_module(_: list[Module], make: Any, args: Any) -> Module:
    """The first part of a module that `reduce_ex` has taken apart."""
    return make(*args)


def text(module: Module) -> str:
    """The `repr` of a module: its name, what it says of itself, and its children, indented."""
    texts: dict[Module, str] = {}

    def known(child: Module) -> str:
        return texts.get(child, f"{type(child).__name__}(...)")         # it holds its own parent

    for each in deepest_first(module):
        kind: Any = type(each)
        if each is not module and kind.__repr__ is not text:
            texts[each] = repr(each)            # in its own way
            continue
        extra = each.extra_repr().splitlines()
        children = [line.replace("\n", "\n  ") for line in each._children_shown(known)]
        if not children and len(extra) <= 1:
            texts[each] = f"{type(each).__name__}({''.join(extra)})"
        else:
            texts[each] = "\n  ".join([f"{type(each).__name__}(", *extra, *children]) + "\n)"
    return texts[module]
