"""Which values made an op return NaN or infinity, and what is usually done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.inplace import Array

NAMES = {"getitem": "indexing", "loss": "the loss", "put": "the gradient of indexing",
         "cast": "the conversion of dtype", "window_max": "max_pool", "window_mean": "avg_pool",
         "rows": "embedding", "clamp_between": "clamp", "gelu_tanh": "gelu", "of_all": "max"}

ELEMENTWISE = ("minigrad.ops.elementwise", "minigrad.ops.activation")
SEES_ALL = {"softmax", "log_softmax"}           # they are in the latter, and are not elementwise


@dataclass(frozen=True)
class Element:
    """A value that led to NaN or infinity: whose it is, where in it, and what it is."""

    name: str
    index: tuple[int, ...]
    value: float

    def __str__(self) -> str:
        at = f" at {list(self.index)}" if self.index else ""
        return f"{shown(self.value)} in {self.name}{at}"


def title(op: Any) -> str:
    """The name of an op as users know it: "matmul" for `_matmul`."""
    name = op if isinstance(op, str) else str(op.__name__)
    bare = name.lstrip("_")
    return NAMES.get(bare, bare)


def elementwise(op: Any) -> bool:
    """Whether each element of an op's output is made of those of its inputs at the same place."""
    return getattr(op, "__module__", "") in ELEMENTWISE and title(op) not in SEES_ALL


def shown(value: Any) -> str:
    value = float(value)
    if np.isnan(value):
        return "NaN"
    return {np.inf: "inf", -np.inf: "-inf"}.get(value, f"{value:.6g}" if value else f"{value:.1f}")


def led_to(op: Any, inputs: list[Array | None], y: Array, index: tuple[int, ...]
           ) -> list[Element]:
    """The elements of the inputs that an element of the output comes from.

    Of an elementwise op those at the same place. Of any other op, of each input the first that is
    not finite, or else the largest.
    """
    given = [(i, x) for i, x in enumerate(inputs) if x is not None and x.dtype.kind in "fiu"]
    found = []
    for i, x in given:
        name = "its input" if len(given) == 1 else f"its input {i}"
        if x.size:
            same_place = elementwise(op) and fits(x, y)
            at = own_index(x, index) if same_place else culprit(x)
            found.append(Element(name, at, float(x[at])))
    return found


def fits(x: Array, y: Array) -> bool:
    """Whether x broadcasts to y."""
    return x.ndim <= y.ndim and all(n in (1, m) for n, m in zip(x.shape[::-1], y.shape[::-1],
                                                                strict=False))


def own_index(x: Array, index: tuple[int, ...]) -> tuple[int, ...]:
    """The place in x from which an element of what it was broadcast to comes."""
    own = index[len(index) - x.ndim:]
    return tuple(0 if n == 1 else i for i, n in zip(own, x.shape, strict=True))


def culprit(x: Array) -> tuple[int, ...]:
    """The first element that is NaN, or else infinite, or else the largest in magnitude."""
    for bad in (np.isnan(x), np.isinf(x)):
        if bad.any():
            return _unravelled(int(np.argmax(bad)), x)
    return _unravelled(int(np.argmax(np.abs(x))), x)


def _unravelled(place: int, x: Array) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(place, x.shape))


# ---- advice --------------------------------------------------------------------------------------

FORWARD = {
    "log": "Logarithms need positive numbers: clamp the argument, x.clamp(min=1e-8).log(), or "
           "compute the logarithm of a softmax with log_softmax.",
    "log1p": "log1p needs numbers above -1.",
    "sqrt": "Square roots need numbers that are not negative: clamp the argument at 0, or look for "
            "a difference that ought to be positive and is not, because of rounding.",
    "rsqrt": "1/√x needs positive numbers: add a small eps to x.",
    "div": "The divisor is 0 or nearly so: add a small eps to it, or leave such elements out.",
    "reciprocal": "The divisor is 0 or nearly so: add a small eps to it.",
    "pow": "A negative base with a fractional exponent, or 0 with a negative one, has no finite "
           "power; a large one overflows.",
    "exp": "The exponent is too large for the dtype: subtract the maximum first, or use softmax, "
           "logsumexp or softplus, which do so.",
    "softmax": "If all values of a row are -inf, as where a mask excludes everything, the row has "
               "no softmax: leave one place unmasked, or leave the row out.",
    "mul": "0 times an infinity is NaN: choose with where() rather than multiply by a mask.",
    "sub": "The difference of two infinities is NaN.",
    "add": "The sum of two opposite infinities is NaN.",
    "cross_entropy": "The mean over targets that all have the ignored class is 0/0; an infinite "
                     "logit for the true class gives an infinite loss.",
    "std": "The unbiased standard deviation of one value is 0/0: pass unbiased=False, or use more "
           "than one value.",
    "var": "The unbiased variance of one value is 0/0: pass unbiased=False, or use more values.",
    "mean": "The mean over no elements is 0/0: look for a selection that came out empty.",
}
OVERFLOW = ("The numbers have become too large for the dtype: lower the learning rate, clip the "
            "gradients with nn.utils.clip_grad_norm_, or normalise the activations.")
FORWARD |= dict.fromkeys(("linear", "matmul", "conv2d", "square", "sum"), OVERFLOW)
FORWARD["log_softmax"] = FORWARD["softmax"]

BACKWARD = {
    "sqrt": "The slope of √x at 0 is infinite: add a small eps under the root, (x + 1e-8).sqrt().",
    "pow": "The slope of a power with an exponent below 1 is infinite at 0: keep the base away "
           "from 0.",
    "log": "The slope of log x at 0 is infinite, and where() after it does not help, because 0 · "
           "inf is NaN: replace the argument first, as in where(x > 0, x, 1).log().",
    "div": "The slope of a/b at b = 0 is infinite, and where() after it does not help, because 0 · "
           "inf is NaN: replace the divisor first, as in a / where(b == 0, 1, b).",
    "reciprocal": "The slope of 1/x at 0 is infinite: replace the argument before dividing.",
    "rsqrt": "The slope of 1/√x at 0 is infinite: add a small eps to x.",
    "exp": "The exponential is so large that its gradient overflows: subtract the maximum first.",
    "mul": "One factor is infinite where the gradient is 0, or the product overflows.",
}
BACKWARD |= dict.fromkeys(("linear", "matmul", "conv2d", "square"),
                          "The gradients have become too large for the dtype: they explode on "
                          "their way back. Normalise the activations, scale the initial weights "
                          "down, or clip.")


def advice(name: str, phase: str) -> str:
    """What to try, "" where there is nothing to say."""
    return (FORWARD if phase == "forward" else BACKWARD).get(name, "")
