"""How an op behaves among others: recorded or not, called again, given one tensor twice."""

from __future__ import annotations

import numpy as np

from minigrad.autograd import Array, backward, no_grad
from minigrad.tensor import Tensor
from minigrad.testing.case import Call, OpCase
from minigrad.testing.checks import NotTried, check
from minigrad.testing.checks.running import (
    compare,
    compare_all,
    cotangents,
    floats,
    gradient_names,
    listed,
    output_names,
    run,
    vjp,
)


@check("no_grad", "nothing is recorded under no_grad, and the values are the same", at="examples",
       differentiable=False)
def check_no_grad(case: OpCase, call: Call) -> None:
    _, recorded = run(case, call)
    with no_grad():
        xs, plain = run(case, call)
    for name, y, z in zip(output_names(len(recorded)), recorded, plain, strict=True):
        if y.requires_grad != (case.differentiable and y.dtype.kind == "f"):
            raise AssertionError(
                f"{name} carries a gradient, though the op is declared differentiable=False"
                if y.requires_grad else
                f"{name} does not require grad though an input does\nlikely cause: it was computed "
                "outside the ops (from .data, by detach(), under no_grad()), or each vjp is None")
        given = any(z is x for x in xs)             # an op may return its input as it is
        if z.node is not None or (z.requires_grad and not given):
            raise AssertionError(f"{name} is recorded under no_grad\nlikely cause: a tensor that "
                                 "the op keeps, or enable_grad() inside it")
        compare(f"{name} under no_grad", z.data, y.data, 0.0)


def one_input(case: OpCase) -> str:
    several = any(sum(map(call.wants_gradient, range(len(call.arrays)))) > 1
                  for call in case.examples)
    return "" if several else "it has one input with a gradient"


@check("unwanted", "an input that wants no gradient gets none, and the others get theirs",
       at="examples", unless=one_input)
def check_unwanted(case: OpCase, call: Call) -> None:
    xs, ys = run(case, call)
    wanting = [i for i, x in enumerate(xs) if x is not None and x.requires_grad]
    gs = cotangents(ys)
    whole = dict(zip(wanting, vjp(xs, ys, gs), strict=True))
    for i in wanting:
        leaves = [x if x is None or k != i else x.detach() for k, x in enumerate(xs)]
        alone = listed(case(*leaves, **call.static))
        others = [k for k in wanting if k != i]
        for k, g in zip(others, vjp(leaves, alone, gs, retain_graph=True), strict=True):
            compare(f"the gradient by inputs[{k}], where inputs[{i}] wants none,", g, whole[k],
                    1e-12)
        _send(alone, gs)
        if (unwanted := leaves[i]) is not None and unwanted.grad is not None:
            raise AssertionError(f"inputs[{i}] wants no gradient and got one")


@check("accumulation", "gradients are added to those that are there", at="examples")
def check_accumulation(case: OpCase, call: Call) -> None:
    xs, ys = run(case, call)
    gs = cotangents(ys)
    right = vjp(xs, ys, gs)
    leaves = [x for x in xs if x is not None and x.requires_grad]
    for x in leaves:
        x.grad = Tensor(np.full(x.shape, 2.0, x.dtype))
    for times in (1, 2):
        _send(listed(case(*xs, **call.static)), gs)
        for k, (x, g) in enumerate(zip(leaves, right, strict=True)):
            assert x.grad is not None
            compare(f"the accumulated gradient by leaf {k}", x.grad.data, 2.0 + times * g, 1e-12)


def _send(ys: list[Tensor], gs: list[Array]) -> None:
    pairs = [(y, Tensor(g)) for y, g in zip(floats(ys), gs, strict=True) if y.requires_grad]
    backward([y for y, _ in pairs], [g for _, g in pairs])


def of_one_shape(call: Call) -> list[Array]:
    """The inputs with a gradient, if there are several and they are alike."""
    given = [x for i, x in enumerate(call.arrays) if x is not None and call.wants_gradient(i)]
    return given if len(given) > 1 and len({x.shape for x in given}) == 1 else []


@check("twice", "one tensor in several places gets the sum of their gradients", at="examples",
       unless=lambda case: "" if any(map(of_one_shape, case.examples)) else
       "no example has several inputs of one shape")
def check_twice(case: OpCase, call: Call) -> None:
    if not (given := of_one_shape(call)):
        raise NotTried("this example has not several inputs of one shape")
    same = given[0]
    apart = [Tensor(same, True) if call.wants_gradient(i) else None if x is None else Tensor(x)
             for i, x in enumerate(call.arrays)]
    ys = listed(case(*apart, **call.static))
    gs = cotangents(ys)
    one = Tensor(same, True)
    joined = listed(case(*(one if x is not None and x.requires_grad else x for x in apart),
                         **call.static))
    compare("the gradient by a tensor that is several inputs", vjp([one], joined, gs)[0],
            np.sum(vjp(apart, ys, gs), 0), 1e-9)


@check("independence", "a later call does not change what an earlier one sends back",
       at="examples")
def check_independence(case: OpCase, call: Call) -> None:
    xs, ys = run(case, call)
    gs = cotangents(ys)
    right = [y.data.copy() for y in ys] + vjp(xs, ys, gs, retain_graph=True)
    run(case, call.map(lambda x: np.roll(x.ravel(), 1).reshape(x.shape)))
    compare_all(call, [y.data for y in ys] + vjp(xs, ys, gs, retain_graph=True), right, 0.0,
                "the vjp reads something that the next call changes: a global, an attribute, a "
                "buffer that is used again")
    compare_all(call, [y.data for y in ys] + vjp(xs, ys, gs), right, 0.0,
                "the vjp changes what it keeps, so that the second backward pass differs")


@check("changed in place", "a value changed before backward is noticed, or not needed",
       at="examples")
def check_changed(case: OpCase, call: Call) -> None:
    xs, ys = run(case, call.map(np.array))
    gs = cotangents(ys)
    expected = vjp(xs, ys, gs)
    for i in range(len(xs) + len(ys)):
        xs, ys = run(case, call.map(np.array))
        changed = (*xs, *ys)[i]
        if changed is None or not changed.data.flags.writeable:
            continue
        changed.detach()[...] = changed.data * 1.5 + 1.0
        try:
            found = vjp(xs, ys, gs)
        except RuntimeError as error:
            if "changed in place" not in str(error):
                raise
            continue
        what = f"inputs[{i}]" if i < len(xs) else f"output {i - len(xs)}"
        try:
            for name, g, same in zip(gradient_names(call), found, expected, strict=True):
                compare(name, g, same, 0.0)
        except AssertionError as error:
            raise AssertionError(
                f"{what} was changed in place between forward and backward, which went unnoticed: "
                f"{error}\nlikely cause: the vjp keeps an array (x.data) where it should keep the "
                "Tensor, or computes from a copy that shares its memory") from None
