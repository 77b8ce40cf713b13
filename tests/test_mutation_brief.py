"""The mutation lab in brief: the same verdict from fewer checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigrad.tensor import Tensor
from minigrad.testing import mutation

RNG = np.random.default_rng(3)


def leaf(*shape: int) -> Tensor:
    return Tensor(RNG.standard_normal(shape), True)


def mul(a: Tensor, b: Tensor) -> Tensor:
    return a * b


def notices_all(fn: Any, inputs: Any) -> None:
    assert fn.__name__ not in ("tapped", "split"), "a mutant"


A, B = leaf(2, 3), leaf(3)


@pytest.mark.parametrize(("fn", "inputs", "equivalent"), [
    (mul, [A, B], {}),                                              # all are caught
    (mul, [leaf(1, 1), leaf(1, 1)], {"inputs[0] g ignored": "", "detached": "so it is said"}),
    (lambda x: x * 1.0, [leaf(2, 2)], {}),                          # "detached" escapes
    (lambda x: x.detach() * 2 + x * 0.0, [leaf(2, 3)], {"zeroed": "it is", "negated": "it is"}),
    (lambda x: x.sign() + 0 * x, [leaf(2, 3)], {"negated": "it is 0", "scaled": "it is 0"}),
])
@pytest.mark.parametrize("checks", [
    mutation.CHECKS, {**mutation.CHECKS, "all": notices_all},
    {"linearity": mutation.check_linearity, ".sum()": mutation.check_sum},
    {"my own": mutation.check_gradient}], ids=", ".join)
def test_in_brief_the_same_escape_and_are_stale(fn: Any, inputs: Any, equivalent: Any, checks: Any
                                                ) -> None:
    def found(brief: bool) -> tuple[Any, ...]:
        report = mutation.survey("fn", [mutation.Trial(fn, inputs, checks)], equivalent,
                                 brief=brief)
        missed = [(row.input, row.mutation.name, row.missed) for row in report.escaped]
        return report.ok, len(report.rows), missed, [row.mutation.name for row in report.stale]

    assert found(True) == found(False)


def test_in_brief_a_check_that_need_not_notice_is_not_run() -> None:
    ran: list[str] = []
    checks = {name: lambda fn, xs, name=name, run=run: (ran.append(name), run(fn, xs))
              for name, run in mutation.CHECKS.items()}
    report = mutation.survey("mul", [mutation.Trial(mul, [A, B], checks)], brief=True)
    assert report.ok
    assert ran.count("gradgradcheck") == 1 + 2              # the op as it is, "detached" twice
    assert ran.count(".sum()") == 1
