"""Judging a correction: which checks the op passes, and what the first that fails has found."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minigrad.autograd import Array, grad
from minigrad.tensor import Tensor
from minigrad.testing.gradcheck import GradcheckError, gradcheck, gradgradcheck
from minigrad.testing.puzzle.puzzle import Call, Edition, Op
from minigrad.testing.puzzle.reading import Refused, place, read, told

OK, WRONG, OPEN = "ok", "WRONG", "-"


@dataclass
class Verdict:
    """What the judge found.

    refused: why the file cannot be judged at all, or nothing.
    checks: the state of each check, its name, and a remark.
    details: what the check that failed has found.
    curve: the op in training; empty if it could not be trained.
    """

    refused: str = ""
    checks: list[tuple[str, str, str]] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    curve: list[float] = field(default_factory=list)

    @property
    def solved(self) -> bool:
        return not self.refused and all(state == OK for state, _, _ in self.checks)


class Wrong(Exception):
    """A check has failed; the arguments are the lines that say how."""


@dataclass(frozen=True)
class Trial:
    """An op on one call, beside the right op."""

    op: Op
    right: Op
    call: Call

    def leaves(self, dtype: Any = np.float64) -> list[Tensor]:
        return [Tensor(x.astype(dtype), True) for x in self.call.inputs]

    def apply(self, *inputs: Any) -> Any:
        return self.op(*inputs, **self.call.static)

    def apply_right(self, *inputs: Any) -> Any:
        return self.right(*inputs, **self.call.static)

    @property
    def name(self) -> str:
        return self.call.described(self.right)


def judge(edition: Edition, text: str, file: str,
          stage: Callable[[str], None] = lambda _: None) -> Verdict:
    """The verdict on the file `file` with this text; stage(name) is told what is being done."""
    verdict = Verdict()
    stage("being read")
    try:
        op = read(text, file, edition)
    except Refused as error:
        return Verdict(refused=str(error))
    trials = [Trial(op, edition.right_op(), call) for call in edition.calls()]
    for name, check in CHECKS.items():
        chosen = [trial for trial in trials if applies(name, trial)]
        if verdict.details:
            state, remark = OPEN, "not reached"
        else:
            stage(f"being checked: {name}")
            state, remark = OK, f"in {len(chosen)} call{'s' * (len(chosen) != 1)}"
            for trial in chosen:
                if found := _found_by(check, trial, file):
                    state, remark, verdict.details = WRONG, trial.name, found
                    break
        if chosen:
            verdict.checks.append((state, name, remark))
    stage("being trained")
    _train(edition, op, file, verdict)
    return verdict


def _train(edition: Edition, op: Op, file: str, verdict: Verdict) -> None:
    """Add the curve; and, if all checks have passed, the check that it is as it should be."""
    try:
        verdict.curve = edition.train(op)
        found = [] if _equal_curves(verdict.curve, edition.train(edition.right_op())) else [
            "training goes another way than with the right op"]
    except Exception as error:
        found = [f"{place(error, file)}: {told(error)}"]
    if not verdict.details:
        verdict.details = found
        verdict.checks.append((WRONG, "training", edition.puzzle.training.shown) if found else
                              (OK, "training", "as with the right op"))


def _equal_curves(ours: list[float], right: list[float]) -> bool:
    return len(ours) == len(right) and np.allclose(ours, right, rtol=1e-3, atol=1e-6 * right[0])


@np.errstate(all="ignore")
def _found_by(check: Callable[[Trial], None], trial: Trial, file: str) -> list[str]:
    try:
        check(trial)
    except Wrong as error:
        return [*error.args]
    except Exception as error:
        return [f"{place(error, file)}: {told(error)}"]
    return []


# ---- the checks ----------------------------------------------------------------------------------

def applies(name: str, trial: Trial) -> bool:
    """Whether a check can be made on a call."""
    if name == TWICE:
        return len({x.shape for x in trial.call.inputs}) < len(trial.call.inputs)
    if name == SPECIAL:
        return bool(trial.call.special)
    return not (name == SECOND and trial.call.special)      # where the gradient jumps


def check_values(trial: Trial) -> None:
    for dtype in (np.float64, np.float32):
        leaves = trial.leaves(dtype)
        y, right = trial.apply(*leaves), trial.apply_right(*trial.leaves(dtype))
        if y.shape != right.shape or y.dtype != right.dtype:
            raise Wrong(f"the result has shape {y.shape} and dtype {y.dtype}; expected shape "
                        f"{right.shape} and dtype {right.dtype}")
        rounding = 1e-12 if dtype is np.float64 else 1e-5
        _compare("value", "", y.data, right.data, rounding)
        for x, before in zip(leaves, trial.call.inputs, strict=True):
            if not np.array_equal(x.data, before.astype(dtype)):
                raise Wrong("the op has changed one of its inputs; it must only read them")


def check_first(trial: Trial) -> None:
    try:
        gradcheck(trial.apply, trial.leaves())
    except GradcheckError:
        raise Wrong(*_slopes(trial.apply, trial.leaves(), _names(trial))) from None


def check_special(trial: Trial) -> None:
    _same_gradients(trial, 1e-6,
                    "finite differences would allow this gradient, too; the docstring says which "
                    "is right")


def check_twice(trial: Trial) -> None:
    """The same tensor as the first of two inputs of one shape, and as the second."""
    def fn(x: Any) -> Any:
        return trial.apply(x, x)

    x = trial.leaves()[:1]
    try:
        gradcheck(fn, x)
    except GradcheckError:
        raise Wrong("both inputs are the same tensor here",
                    *_slopes(fn, x, ["by both inputs"])) from None


def check_calls(trial: Trial) -> None:
    """The gradient of a call is the same if there was another call in between."""
    leaves, others = trial.leaves(), [Tensor(x.data + 0.25, True) for x in trial.leaves()]
    alone = _gradients(trial.apply(*leaves), leaves)
    y = trial.apply(*leaves)
    trial.apply(*others)
    after = _gradients(y, leaves)
    for name, ours, expected in zip(_names(trial), after, alone, strict=True):
        _compare("gradient", name, ours, expected, 1e-12,
                 "the op was called again, with other inputs, before the gradient was computed")


def check_cotangent(trial: Trial) -> None:
    leaves = trial.leaves()
    y = trial.apply(*leaves)
    g = Tensor(_cotangent(y.shape))
    grad(y, leaves, g, allow_unused=True)
    if not np.array_equal(g.data, _cotangent(y.shape)):
        raise Wrong("the vjp has changed g, the gradient that arrives; other ops may still need "
                    "it, so a vjp must only read it")


def check_precision(trial: Trial) -> None:
    _same_gradients(trial, 1e-12,
                    "it agrees with finite differences, but a formula in float64 is right to 15 "
                    "digits")


def check_second(trial: Trial) -> None:
    leaves = trial.leaves()
    try:
        gradgradcheck(trial.apply, leaves)
    except GradcheckError:
        g = Tensor(_cotangent(trial.apply(*leaves).shape), True)

        def first(*arguments: Any) -> list[Any]:
            xs = arguments[:-1]
            found = grad(trial.apply(*xs), xs, g, create_graph=True, allow_unused=True)
            return [gx for gx in found if gx is not None]

        raise Wrong("what is differentiated here is the gradient itself, by the inputs and by g",
                    *_slopes(first, [*leaves, g], [*_names(trial), "by g"])) from None


FIRST, SPECIAL, TWICE, SECOND = ("gradients", "gradients in special places",
                                 "the same tensor twice", "gradients of gradients")
CHECKS: dict[str, Callable[[Trial], None]] = {
    "values": check_values,
    FIRST: check_first,
    SPECIAL: check_special,
    TWICE: check_twice,
    "several calls at once": check_calls,
    "g is left as it is": check_cotangent,
    "precision": check_precision,
    SECOND: check_second,
}


# ---- comparing -----------------------------------------------------------------------------------

def _names(trial: Trial) -> list[str]:
    inputs = list(inspect.signature(trial.right).parameters)[:len(trial.call.inputs)]
    return [f"by {name}" for name in inputs]


def _cotangent(shape: tuple[int, ...]) -> Array:
    return np.asarray(np.random.default_rng(5).uniform(0.5, 1.5, shape))


def _gradients(y: Any, leaves: Sequence[Tensor]) -> list[Array]:
    found = grad(y, leaves, Tensor(_cotangent(y.shape)), allow_unused=True)
    return [np.zeros(x.shape) if g is None else g.data for x, g in zip(leaves, found, strict=True)]


def _same_gradients(trial: Trial, rounding: float, remark: str) -> None:
    leaves = trial.leaves()
    ours = _gradients(trial.apply(*leaves), leaves)
    expected = _gradients(trial.apply_right(*leaves), leaves)
    for name, a, b in zip(_names(trial), ours, expected, strict=True):
        _compare("gradient", name, a, b, rounding, remark)


def _compare(what: str, name: str, ours: Array, expected: Array, rounding: float,
             remark: str = "") -> None:
    """Raises: Wrong, with the element that is furthest off, unless the arrays are equal."""
    off = np.abs(ours - expected)
    if not (off <= rounding * max(1.0, float(np.abs(expected).max(initial=0)))).all():
        raise Wrong(*([remark] if remark else []),
                    *_furthest(what, name, ours, expected, "yours", "expected"))


def _furthest(what: str, name: str, ours: Array, expected: Array, *labels: str) -> list[str]:
    off = np.nan_to_num(np.abs(ours - expected), nan=np.inf)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(off), off.shape))
    wrong = int((off > 1e-5 * (1 + np.abs(expected))).sum()) or int((off > 0).sum())
    subject = f"the {what} {name}".rstrip()
    digits = 16 if off[index] < 1e-4 else 6
    return [f"{subject} is wrong in {wrong} of {off.size} elements; the furthest off is at "
            f"{list(index)}:" if off.size > 1 else f"{subject} is wrong:",
            *(f"    {label:9} {float(array[index]):.{digits}g}"
              for label, array in zip(labels, (ours, expected), strict=True))]


def _slopes(fn: Callable[..., Any], leaves: list[Tensor], names: list[str]) -> list[str]:
    """The gradients of fn beside central differences, at the element that is furthest off."""
    def weighed() -> float:
        return sum(float((y.data * _cotangent(y.shape)).sum()) for y in _outputs(fn, leaves))

    ys = [y for y in _outputs(fn, leaves) if y.requires_grad]
    us = [Tensor(_cotangent(y.shape)) for y in ys]
    found = (grad(ys, leaves, us, allow_unused=True, retain_graph=True) if ys
             else [None] * len(leaves))
    worst: list[tuple[float, list[str]]] = []
    for x, g, name in zip(leaves, found, names, strict=True):
        analytic = np.zeros(x.shape) if g is None else np.array(g.data)
        numeric = np.array([(b - a) / (2 * h) for a, b, h in _moved(x, weighed)]).reshape(x.shape)
        off = np.nan_to_num(np.abs(analytic - numeric), nan=np.inf)
        worst.append((float(off.max(initial=0)), _furthest(
            "gradient", name, analytic, numeric, "analytic", "numeric")))
    return max(worst)[1]


def _moved(x: Tensor, weighed: Callable[[], float]) -> Iterator[tuple[float, float, float]]:
    flat = x.data.reshape(-1)
    for i, value in enumerate(flat.tolist()):
        h = 1e-6 * max(1.0, abs(value))
        flat[i] = value - h
        below = weighed()
        flat[i] = value + h
        above = weighed()
        flat[i] = value
        yield below, above, h


def _outputs(fn: Callable[..., Any], leaves: Sequence[Tensor]) -> list[Any]:
    result = fn(*leaves)
    return result if isinstance(result, list) else [result]
