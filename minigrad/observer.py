"""Looking on while ops run and gradients flow: what tools that show a computation are built on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from minigrad.modes import mode

if TYPE_CHECKING:
    from minigrad.tensor import Tensor


class Observer:
    """Is told of each op and each gradient of this thread, within `with observer:`.

    A subclass overrides what is of interest to it. What it does there is not observed: neither by
    itself nor by others. An op inside a vjp is told of between the beginning and the end of that
    vjp. Several observers may be entered one within the other. While there is one, a step of
    `minigrad.compile` runs as it is written: its repetitions run no ops.

        class Names(Observer):
            def op_ends(self, op, inputs, static, y):
                print(op.__name__, y.shape)

        with Names():
            model(x)
    """

    def op_begins(self, op: Any, args: tuple[Any, ...], static: dict[str, Any]) -> None:
        """An op is about to run. args: its inputs as they were given: Tensors, arrays or numbers.
        Where it raises, `op_ends` does not follow."""

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        """An op has run. y: its output; `y.node` is its vertex of the graph, None where it is not
        recorded."""

    def computed(self, name: str, inputs: tuple[Tensor, ...], static: dict[str, Any],
                 y: Tensor) -> None:
        """Something that is no op, since it has no gradient, has been computed: a comparison, a
        position, a truth value. Or, as "assign", y was given other values in place; or, as "read",
        the program read the values of y."""

    def backward_begins(self, outputs: Sequence[Tensor], gradients: Sequence[Tensor],
                        inputs: Sequence[Tensor] | None) -> None:
        """A backward pass is about to begin, with these gradients of the outputs. inputs: what the
        gradients are wanted of, where the pass was asked for that by `grad`."""

    def vjp_begins(self, vertex: Any, parent: Any, g: Tensor) -> None:
        """A gradient is about to flow from a vertex of the graph to one that it was made from.

        g: the gradient of the loss with respect to the output of `vertex`, complete. parent: a
        Node, or the Tensor itself where that is a leaf.
        """

    def vjp_ends(self, vertex: Any, parent: Any, sent: Tensor, gx: Tensor) -> None:
        """A gradient has flowed to a parent. sent: what the vjp returned. gx: the same, summed over
        the dims along which the parent was broadcast; it is added to what else arrives there."""

    def __enter__(self) -> Self:
        self._outer = mode.observer
        mode.observer = All([self, *(self._outer.observers if self._outer else ())])
        return self

    def __exit__(self, *exc: object) -> None:
        mode.observer = self._outer

    _outer: All | None


EVENTS = ("op_begins", "op_ends", "computed", "backward_begins", "vjp_begins", "vjp_ends")


class All:
    """Tells all observers of what happens; what they do meanwhile nobody is told of."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.observers = observers
        self._told = {name: [getattr(each, name) for each in observers
                             if getattr(type(each), name) is not getattr(Observer, name)]
                      for name in EVENTS}

    def op_begins(self, *event: Any) -> None:
        self.tell("op_begins", event)

    def op_ends(self, *event: Any) -> None:
        self.tell("op_ends", event)

    def computed(self, *event: Any) -> None:
        self.tell("computed", event)

    def backward_begins(self, *event: Any) -> None:
        self.tell("backward_begins", event)

    def vjp_begins(self, *event: Any) -> None:
        self.tell("vjp_begins", event)

    def vjp_ends(self, *event: Any) -> None:
        self.tell("vjp_ends", event)

    def tell(self, name: str, event: tuple[Any, ...]) -> None:
        if told := self._told[name]:
            mode.observer = None
            try:
                for method in told:
                    method(*event)
            finally:
                mode.observer = self
