"""A module and all below it, from the deepest up, so that deep nesting takes no recursion."""

from __future__ import annotations

import copy
from typing import Any

Module = Any                # nn.Module is built on this file


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
