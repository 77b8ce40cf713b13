"""Where the first NaN or infinity comes from, forward or backward."""

from __future__ import annotations

import weakref
from contextlib import ContextDecorator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.inplace import Array
from minigrad.inspect.causes import Element, advice, elementwise, led_to, shown, title
from minigrad.inspect.places import Paths, Place, here
from minigrad.modes import F, refuse_later
from minigrad.observer import Observer
from minigrad.tensor import Tensor


class AnomalyError(RuntimeError):
    """The first NaN or infinity of a computation.

    op: the name of the op, as people call it. phase: "forward" or "backward". place: where the op
    runs in the forward pass, None where that was not seen. index, value: the first element that is
    not finite, and what it is. elements: the values that led there.
    """

    def __init__(self, message: str, *, op: str, phase: str, place: Place | None,
                 index: tuple[int, ...], value: float, elements: list[Element]) -> None:
        super().__init__(message)
        self.op, self.phase, self.place = op, phase, place
        self.index, self.value, self.elements = index, value, elements


@dataclass
class Ran:
    """What is remembered of an op that has run: where, and its inputs while they are alive."""

    op: Any
    place: Place
    inputs: list[weakref.ref[Array] | None] = field(default_factory=list)

    def arrays(self) -> list[Array | None]:
        return [None if kept is None else kept() for kept in self.inputs]


class detect_anomaly(ContextDecorator, Observer):
    """Raises an AnomalyError at the first NaN or infinity, and says what led to it.

        with detect_anomaly():
            loss = loss_fn(net(x), y)
            loss.backward()

    A NaN is always an error, in a value as in a gradient. An infinity is one where an op makes it
    of finite numbers, as log(0), 1/0 and exp(1000) do. It is none where somebody has put it there:
    a mask of -inf before a softmax, a padding of inf, the logarithm of a mask of zeros and ones,
    and whatever other ops make of those.

    check_inf: False lets all infinities pass; a NaN that comes of one later still names its origin.

    The block takes longer than without: every op's values are looked through. In a backward pass
    inside, each gradient is, and the error says where the op ran in the forward pass, which must
    have been inside of the block as well. Also a decorator: `@detect_anomaly()`.
    Raises: AnomalyError, a RuntimeError.
    Source: torch.autograd.detect_anomaly, which looks at NaN in the backward pass only.
    """

    def __init__(self, *, check_inf: bool = True) -> None:
        self.check_inf = check_inf
        self.ran: weakref.WeakKeyDictionary[Any, Ran] = weakref.WeakKeyDictionary()
        self.origins: dict[int, tuple[weakref.ref[Array], str]] = {}    # of infinities let pass
        self.paths: Paths = {}
        self.inside: list[Tensor] = []          # the gradients that vjps in progress were given

    def __call__(self, function: F) -> F:
        refuse_later("@detect_anomaly", function)
        return super().__call__(function)

    def _recreate_cm(self) -> detect_anomaly:
        return type(self)(check_inf=self.check_inf)         # each call of a function has its own

    # ---- forward ---------------------------------------------------------------------------------

    def op_ends(self, op: Any, inputs: tuple[Tensor | None, ...], static: dict[str, Any],
                y: Tensor) -> None:
        if y.node is not None:
            kept = [None if x is None else weakref.ref(x.data) for x in inputs]
            self.ran[y.node] = Ran(op, here(known=self.paths), kept)
        if self.inside:
            return      # what a vjp computes on its way may be infinite; what it returns is checked
        if y.dtype.kind != "f" or np.isfinite(y.data).all():
            return
        arrays = [None if x is None else x.data for x in inputs]
        if np.isnan(y.data).any():
            self.refuse(op, inputs, y, np.isnan(y.data))
        infinite = made_here(op, arrays, y.data)
        if infinite.any() and self.check_inf:
            self.refuse(op, inputs, y, infinite)
        self.remember(op, arrays, y.data)

    def refuse(self, op: Any, inputs: tuple[Tensor | None, ...], y: Tensor, bad: Array) -> None:
        name, place = title(op), here()
        arrays = [None if x is None else x.data for x in inputs]
        index = first(bad)
        value = float(y.data[index])
        elements = led_to(op, arrays, y.data, index)
        came_in = [x for x in inputs if x is not None and x.dtype.kind == "f"
                   and np.isnan(x.data).any()]
        if came_in and np.isnan(value):
            at = first(np.isnan(came_in[0].data))
            index, value, elements = at, np.nan, []
            said = [f"{whose(came_in[0], place)} already holds {shown(np.nan)} at {list(at)} when "
                    f"it is given to {name}, in the forward pass.",
                    "No op in this block has made it, so it was there before: look at the data, at "
                    "the initial weights, or at the last update."]
        else:
            said = [happened(op, elements, value, index, y.data)]
            count = int(bad.sum())
            if count > 1:
                said.append(f"The same happens at {count} of its {bad.size} elements.")
            said += [text for x in arrays if x is not None and (text := self.origin(x))][:1]
            said.append(advice(name, "forward"))
        said.append(ran_at(place, "The op"))
        raise AnomalyError(joined(said), op=name, phase="forward", place=place,
                           index=index, value=value, elements=elements)

    def remember(self, op: Any, arrays: list[Array | None], y: Array) -> None:
        """Note where an infinity that is let pass came from: from an input's origin, or here."""
        known = [text for x in arrays if x is not None and (text := self.origin(x))]
        known = known or [f"The infinity was put in by {title(op)}, {where(here())}"]
        self.origins[id(y)] = weakref.ref(y), known[0]

    def origin(self, x: Array) -> str:
        reference, text = self.origins.get(id(x), (None, ""))
        return text if reference is not None and reference() is x else ""

    # ---- backward --------------------------------------------------------------------------------

    def vjp_begins(self, vertex: Any, parent: Any, g: Tensor) -> None:
        self.inside.append(g)
        if np.isnan(g.data).any():
            self.refuse_given(vertex, g, np.isnan(g.data))
        if self.check_inf and np.isinf(g.data).any():
            self.refuse_given(vertex, g, np.isinf(g.data))

    def vjp_ends(self, vertex: Any, parent: Any, sent: Tensor, gx: Tensor) -> None:
        g = self.inside.pop()
        if np.isfinite(gx.data).all():
            return
        if self.check_inf or np.isnan(gx.data).any():
            # what the vjp has returned, unless only its sum over broadcast dims overflows
            values = gx.data if np.isfinite(sent.data).all() else sent.data
            self.refuse_gradient(vertex, parent, g, values)

    def refuse_given(self, vertex: Any, g: Tensor, bad: Array) -> None:
        """The backward pass starts with it, or a hook has made it, or it is a sum that overflows.
        """
        self.inside.clear()
        name, index = title(vertex.name), first(bad)
        ran = self.ran.get(vertex)
        said = [f"The gradient that arrives at the output of {name} is {shown(g.data[index])} at "
                f"{list(index)}, although no vjp has returned such a value: backward() was started "
                "with it, a hook has put it there, or gradients that add up have overflowed.",
                ran_at(ran.place, "The op") if ran else ""]
        raise AnomalyError(joined(said), op=name, phase="backward",
                           place=ran.place if ran else None, index=index,
                           value=float(g.data[index]), elements=[])

    def refuse_gradient(self, vertex: Any, parent: Any, g: Tensor, gx: Array) -> None:
        self.inside.clear()
        name, ran = title(vertex.name), self.ran.get(vertex)
        index = first(np.isnan(gx) if np.isnan(gx).any() else np.isinf(gx))
        value = float(gx[index])
        elements = [Element("the gradient of its output", index, float(g.data[index]))
                    ] if g.shape == gx.shape else []
        if ran is not None:
            elements += led_to(ran.op, ran.arrays(), gx, index)
        said = [f"The vjp of {name} has made {shown(value)} in the backward pass: at {list(index)} "
                f"of the gradient of shape {gx.shape} that it sends to {receiver(parent, ran)}.",
                told(elements), advice(name, "backward")]
        if ran is not None:
            said.append(ran_at(ran.place, "In the forward pass, the op"))
            backward = here()
            if backward.file:
                said.append(f"The backward pass started at\n    {line(backward)}")
        else:
            said.append("The op ran outside of the block: put the forward pass into it as well, "
                        "and the line is named.")
        raise AnomalyError(joined(said), op=name, phase="backward",
                           place=ran.place if ran else None, index=index, value=value,
                           elements=elements)


# ---- which infinities count ----------------------------------------------------------------------

def made_here(op: Any, inputs: list[Array | None], y: Array) -> Array:
    """Where an op made an infinity of finite numbers, and not on purpose."""
    made = np.isinf(y)
    given = [x for x in inputs if x is not None]
    if not all(np.isfinite(x).all() for x in given):
        if not elementwise(op):
            return np.zeros_like(made)
        for x in given:                 # an op that sees one element at a time makes its own
            made = made & np.isfinite(x)
    if title(op) == "log" and all(((x == 0) | (x == 1)).all() for x in given):
        return np.zeros_like(made)      # of a mask
    return made


# ---- words ---------------------------------------------------------------------------------------

def first(bad: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(bad)), bad.shape))


def joined(said: list[str]) -> str:
    """Sentences as one text; after a line of a program, the next starts on a line of its own."""
    text = ""
    for sentence in filter(None, said):
        text += ("\n" if "\n" in text.rpartition(". ")[2] else " " if text else "") + sentence
    return text


def happened(op: Any, elements: list[Element], value: float, index: tuple[int, ...], y: Array
             ) -> str:
    """What happened: of an elementwise op as one reads it, "log of 0.0 at [3, 1] is -inf"."""
    name = title(op)
    if elements and elementwise(op):
        of = " and ".join(shown(element.value) for element in elements)
        return f"{name} of {of} at {list(index)} is {shown(value)}, in the forward pass."
    return (f"{name} has made {shown(value)} in the forward pass: at {list(index)} of its output "
            f"of shape {y.shape}. {told(elements)}")


def told(elements: list[Element]) -> str:
    if not elements:
        return ""
    parts = [str(element) for element in elements]
    if len(parts) == 1:
        return f"The value that led there is {parts[0]}."
    return f"The values that led there are {', '.join(parts[:-1])} and {parts[-1]}."


def ran_at(place: Place, what: str) -> str:
    parts = where(place)
    return f"{what} ran {parts}" if parts else ""


def where(place: Place) -> str:
    inside = ""
    if place.modules:
        path, module = place.modules[-1]
        inside = (f"in the module {path!r} ({type(module).__name__})" if path
                  else f"in the network ({type(module).__name__})")
    at = f"at\n    {line(place)}" if place.file else ""
    return ", ".join(filter(None, [inside, at]))


def line(place: Place) -> str:
    """The user's line, for the end of a sentence."""
    return str(Place((), place.file, place.line))


def whose(x: Tensor, place: Place) -> str:
    """What a Tensor is called: a parameter or a buffer by its name."""
    if place.modules:
        net = place.modules[0][1]
        for kind, named in (("parameter", net.named_parameters()), ("buffer", net.named_buffers())):
            for name, tensor in named:
                if tensor is x:
                    return f"The {kind} {name!r} of shape {x.shape}"
    return f"An input of shape {x.shape}"


def receiver(parent: Any, ran: Ran | None) -> str:
    if not isinstance(parent, Tensor):
        return f"the output of {title(parent.name)}"
    name = whose(parent, ran.place) if ran else ""
    return name[0].lower() + name[1:] if name.startswith("The") else \
        f"a leaf of shape {parent.shape}"
