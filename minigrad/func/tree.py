"""Trees: tuples, lists and dicts, nested in any way. Whatever is none of these is a leaf.

Source: torch.utils._pytree, with the containers that people use.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def _children(tree: Any) -> dict[Any, Any] | None:
    """The parts of a tree by key or position, or None for a leaf."""
    kind = type(tree)
    if kind in (dict, OrderedDict):
        return dict(tree)
    if kind in (tuple, list) or _is_namedtuple(kind):
        return dict(enumerate(tree))
    return None


def _is_namedtuple(kind: type) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def leaves(tree: Any) -> list[Any]:
    """The leaves, from left to right."""
    children = _children(tree)
    if children is None:
        return [tree]
    return [leaf for child in children.values() for leaf in leaves(child)]


def named_leaves(tree: Any, name: str) -> list[tuple[str, Any]]:
    """The leaves with their places, written as Python indexes a tree of this name: x[0]['a']."""
    children = _children(tree)
    if children is None:
        return [(name, tree)]
    return [found for key, child in children.items()
            for found in named_leaves(child, f"{name}[{key!r}]")]


def build(like: Any, values: Iterable[Any]) -> Any:
    """A tree of the structure of `like` with other leaves, given from left to right."""
    return _build(like, iter(values))


def _build(like: Any, values: Iterator[Any]) -> Any:
    children = _children(like)
    if children is None:
        return next(values)
    built = {key: _build(child, values) for key, child in children.items()}
    kind = type(like)
    if isinstance(like, dict):
        return kind(built)
    return kind(*built.values()) if _is_namedtuple(kind) else kind(built.values())


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The tree with function(leaf) for each leaf."""
    return build(tree, map(function, leaves(tree)))


def leaves_in_order_of(like: Any, tree: Any) -> list[Any] | None:
    """The leaves of a tree in the order of those of `like`, whose dicts may have their keys in
    another order. None if the two trees differ in structure."""
    expected, got = _children(like), _children(tree)
    if expected is None or got is None:
        return [tree] if expected is got else None
    if type(like) is not type(tree) or expected.keys() != got.keys():
        return None
    found: list[Any] = []
    for key, child in expected.items():
        below = leaves_in_order_of(child, got[key])
        if below is None:
            return None
        found.extend(below)
    return found


def outline(tree: Any) -> str:
    """The structure of a tree for messages, with * for each leaf: (*, {'a': *})."""
    class Star:
        def __repr__(self) -> str:
            return "*"
    return repr(mapped(lambda _: Star(), tree))
