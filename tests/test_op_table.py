"""docs/ops.md, the table of ops, says what is so.

`python tests/test_op_table.py` writes it anew.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from graphs import gradient_of, names_in_graph
from op_cases import CASES

from minigrad.autograd import registry
from minigrad.onnx.translate import TRANSLATORS
from minigrad.testing import Call, OpCase, gradgradcheck
from minigrad.testing.checks.running import bound, run, tensors

PAGE = Path(__file__).resolve().parent.parent / "docs" / "ops.md"

INTRODUCTION = """\
# Ops

Written by `python tests/test_op_table.py` from the registry of ops and the op table in
`tests/op_cases`; a test fails when it is out of date. Every row is compared with PyTorch in values,
dtypes and gradients, on its pinned examples and on inputs that hypothesis chooses.

`python -m minigrad.testing mutate --source` measures how much these checks notice. It changes the
source of `minigrad/ops`, one operator, constant, comparison, `keepdim`, index or dim at a time, and
prints for each file, and for all of them, how many of the changes are caught, how many are declared
to make no difference (in `tests/op_cases/equivalent`, with the reason), and which are left. For
some files only, name them: `mutate --source conv.py norm.py`. A file takes two to ten minutes, and
all of them one to two hours.

| file | mutants | caught | declared | escaped |
| --- | --- | --- | --- | --- |
| activation.py | 208 | 195 | 13 | 0 |
| arguments.py | 164 | 154 | 6 | 4 |
| class_loss.py | 330 | 294 | 27 | 9 |
| conv.py | 386 | 373 | 13 | 0 |
| distance.py | 43 | 43 | 0 | 0 |
| einsum.py | 193 | 184 | 9 | 0 |
| elementwise.py | 304 | 292 | 10 | 2 |
| index.py | 282 | 259 | 23 | 0 |
| linalg.py | 235 | 216 | 19 | 0 |
| loss.py | 180 | 153 | 14 | 13 |
| norm.py | 381 | 349 | 32 | 0 |
| pool.py | 392 | 368 | 20 | 4 |
| promotion.py | 50 | 49 | 1 | 0 |
| reduce.py | 390 | 364 | 15 | 11 |
| resize.py | 218 | 193 | 25 | 0 |
| response_norm.py | 129 | 129 | 0 | 0 |
| shape.py | 290 | 271 | 19 | 0 |
| all | 4,175 | 3,886 | 246 | 43 |

99.0% are caught or declared. These are left:

- in class_loss.py nine and in loss.py thirteen, in what keeps an item that does not count (of an
  ignored class, or of weight 0) from giving NaN where its values are infinite. PyTorch gives NaN
  there, so a table of comparisons with it cannot hold them; `tests/test_refused_or_right.py` does;
- in pool.py four, in the limit of 2³¹ - 1 places in a plane: an input at the limit takes gigabytes;
- in reduce.py eleven, in PyTorch's `var(x, True)`, which the table cannot call by position;
  `tests/test_refused_or_right.py` does;
- in elementwise.py two, in what observers are told of a comparison, which changes no result;
- in arguments.py 4, in the bounds of 64 bits, at which no size can be.

"""
PUBLIC = """\
## What to call

**PyTorch**: what it is compared with; `F` is `torch.nn.functional`. **Made of**: the primitives
that are recorded, forward. **2nd order**: ✓ where `gradgradcheck` has passed on every pinned
example while this page was written; 0 where the gradient is zero everywhere; – where there is
none, as the results are integers or bools. **Examples**: pinned calls. **Corners**: whether it is
also compared at kinks, ties, infinities and NaN. **Errors**: calls that must be refused, with
their messages.

"""
PRIMITIVE = """\
## Primitives

All that the engine knows of, one `@op` each; a name with an underscore is not called directly.
**Vjps**: for how many inputs a gradient is sent back. **2nd order**: ✓ where a function that
records it forward has passed `gradgradcheck`; *inner* where it appears in gradients only, so that
the second order of others is its first. **ONNX**: ✓ where `minigrad.onnx.export` translates it
([export.md](export.md)). **Recorded by**: how many rows above record it forward.

"""
TORCH_NAMES = {"getitem": "Tensor.__getitem__", "assign": "Tensor.__setitem__",
               "compare": "torch.eq …", "cast": "Tensor.to", "dropped": "F.dropout",
               "promote": "torch.result_type", "invert": "torch.bitwise_not"}


@dataclass
class Primitive:
    """What the cases have shown of a registered op."""

    vjps: int = 0
    second_orders: list[str] = field(default_factory=list)  # of the cases that record it forward


def page() -> str:
    primitives = {full.rpartition(".")[2]: Primitive() for full in registry}
    families: dict[str, list[list[str]]] = {}
    for case in CASES:
        family, _, name = case.id.partition(".")
        families.setdefault(family, []).append([f"`{name}`", *public_row(case, primitives)])
    head = ["function", "inputs", "PyTorch", "made of", "2nd order", "examples", "corners",
            "errors"]
    public = "".join(f"### {family}\n\n{table(head, rows)}\n" for family, rows in families.items())
    head = ["op", "file", "inputs", "vjps", "2nd order", "kernel", "ONNX", "recorded by"]
    return INTRODUCTION + PUBLIC + public + PRIMITIVE + table(
        head, [primitive_row(full, primitives[full.rpartition(".")[2]])
               for full in sorted(registry, key=lambda full: full.rpartition(".")[0])
               if full.startswith("minigrad.") and ".testing." not in full])


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def public_row(case: OpCase, primitives: dict[str, Primitive]) -> list[str]:
    second = second_order(case)
    made_of: set[str] = set()
    for call in case.examples:
        xs, ys = run(case, call)
        made_of |= names_in_graph(ys).keys()
        for _ in range(3):              # forward, in the gradients, in the gradients' gradients
            for name, vjps in names_in_graph(ys).items():
                primitive = primitives.setdefault(name, Primitive())
                primitive.vjps = max(primitive.vjps, vjps)
            ys = gradient_of(xs, ys)
    for name in made_of:
        primitives[name].second_orders.append(second)
    inputs = max(sum(x is not None for x in call.arrays) for call in case.examples)
    return [str(inputs), f"`{torch_name(case)}`",
            ", ".join(f"`{name}`" for name in sorted(made_of)) or "–", second,
            str(len(case.examples)), "✓" if case.corners is not None else "–",
            str(len(case.raises))]


def primitive_row(full: str, primitive: Primitive) -> list[str]:
    forward = inspect.unwrap(registry[full])
    module, _, name = full.rpartition(".")
    inputs = [("*" if p.kind is p.VAR_POSITIONAL else "") + p.name
              for p in inspect.signature(forward).parameters.values()
              if p.kind is not p.KEYWORD_ONLY]
    kernels = sorted(set(re.findall(r"\bkernels\.(\w+)\(", inspect.getsource(forward))))
    found = primitive.second_orders
    second = "✓" if "✓" in found else max(found, default="*inner*")
    return [f"`{name}`", module.removeprefix("minigrad.").replace(".", "/") + ".py",
            ", ".join(inputs), str(primitive.vjps), second,
            ", ".join(f"`{kernel}`" for kernel in kernels) or "–",
            "✓" if name in TRANSLATORS else "–", str(len(found) or "–")]


def second_order(case: OpCase) -> str:
    """Whether gradgradcheck passes on every pinned example; if it cannot be asked, why."""
    if not case.differentiable:
        return "–"
    for call in case.examples:
        try:
            gradgradcheck(bound(case, call), tensors(call))
        except RuntimeError as error:
            if not re.match(rf"_?{case.op.__name__}\w*: ", str(error)):
                raise AssertionError(f"{case.id}: the error does not name the op") from error
            return f"no: {error}"
    return "0" if case.zero_gradient else "✓"


def torch_name(case: OpCase) -> str:
    """Where torch has the function of this name: the one that is the reference, if several do."""
    name, reference = case.op.__name__, inspect.unwrap(case.reference)
    functional = ("functional", "activation", "conv", "distance", "pool", "norm", "loss",
                  "class_loss")
    places = [("torch", torch), ("F", torch.nn.functional), ("Tensor", torch.Tensor),
              ("torch.linalg", torch.linalg)]
    if case.id.partition(".")[0] in functional:
        places = [places[1], places[0], *places[2:]]
    places.sort(key=lambda place: getattr(place[1], name, None) is not reference)
    found = [f"{place}.{name}" for place, module in places if hasattr(module, name)]
    return TORCH_NAMES.get(name) or found[0]


def test_the_page_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python tests/test_op_table.py"


def test_what_cannot_be_differentiated_twice_is_told() -> None:
    def once(x: Any) -> Any:
        return x.exp()

    def refusing(x: Any) -> Any:
        raise RuntimeError("once: has no second derivative")

    case = OpCase(once, once, CASES[0].inputs, (Call([1.0, 2.0]),), run=refusing)
    assert second_order(case) == "no: once: has no second derivative"
    with pytest.raises(AssertionError, match="the error does not name the op"):
        second_order(replace(case, op=torch.exp))


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
