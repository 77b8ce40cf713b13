"""The ops of one forward pass, and what feeds what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minigrad.inplace import memory_owner
from minigrad.inspect.causes import title
from minigrad.inspect.places import Paths, Place, here
from minigrad.nn import Module
from minigrad.observer import Observer
from minigrad.tensor import Tensor

SHAPES = {"reshape", "permute", "expand", "indexing", "cat", "flip", "roll", "clone", "cast"}
"""Ops that move values, and change none."""

PRODUCTS = {"linear", "matmul", "conv2d", "conv2d_input_grad"}


@dataclass(eq=False)
class Call:
    """An op that has run."""

    op: Any
    inputs: tuple[Tensor | None, ...]
    static: dict[str, Any]
    y: Tensor
    place: Place

    @property
    def name(self) -> str:
        return title(self.op)

    @property
    def x(self) -> Tensor:
        x = self.inputs[0]
        assert x is not None
        return x

    @property
    def where(self) -> str:
        """The path of the module, or the line."""
        return self.place.path or (f"{self.place.file.rpartition('/')[2]}:{self.place.line}"
                                   if self.place.file else "")


class Trace(Observer):
    """Keeps every op that runs, with its inputs and output."""

    def __init__(self, net: Module) -> None:
        self.net = net
        self.calls: list[Call] = []
        self.paths: Paths = {}
        self.maker: dict[int, Call] = {}                            # by the id of the output
        self.users: defaultdict[int, list[Call]] = defaultdict(list)        # by that of an input
        self.of_memory: dict[int, Call] = {}        # by the id of the memory of a result with grad

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        call = Call(op, inputs, static, y, here(self.net, self.paths))
        self.calls.append(call)
        self.maker[id(y)] = call
        for x in inputs:
            if x is not None:
                self.users[id(x)].append(call)
        if y.requires_grad:
            self.of_memory.setdefault(id(memory_owner(y.data)), call)

    def made_by(self, x: Tensor | None, through: set[str] = SHAPES) -> Call | None:
        """The op that made x, looking back through ops that only move values."""
        call = self.maker.get(id(x))
        while call is not None and call.name in through:
            call = self.maker.get(id(call.inputs[0]))
        return call

    def named(self, *names: str) -> Iterator[Call]:
        return (call for call in self.calls if call.name in names)

    def cut(self) -> tuple[str, Call] | None:
        """Where a gradient's way back was cut: "detach" or "no_grad", and the op before the cut.
        """
        for call in self.calls:
            for x in call.inputs:
                if x is None or x.requires_grad or id(x) in self.maker or x.dtype.kind != "f":
                    continue
                source = self.of_memory.get(id(memory_owner(x.data)))
                if source is not None:
                    return "detach", source
        for call in self.calls:
            if call.y.dtype.kind == "f" and not call.y.requires_grad and any(
                    x is not None and x.requires_grad for x in call.inputs):
                return "no_grad", call
        return None

    def comes_from(self, x: Tensor, targets: set[int]) -> bool:
        """Whether x is, or was made from, one of the Tensors with these ids."""
        stack, seen = [x], set()
        while stack:
            each = stack.pop()
            if id(each) in targets:
                return True
            call = self.maker.get(id(each))
            if call is not None and id(call) not in seen:
                seen.add(id(call))
                stack += [i for i in call.inputs if i is not None]
        return False
