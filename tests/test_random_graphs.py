"""Random graphs of ops, with shared subexpressions, against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given, strategies as st

from minigrad import functional as F
from minigrad.autograd import grad
from minigrad.ops import shape
from minigrad.tensor import Tensor

N = 3       # every value in a graph is N × N, so that any op may follow any other

# the same expression on either side; all bounded and smooth, so that depth does not blow up
UNARY = {
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "sin": lambda x: x.sin(),
    "exp": lambda x: (-(x * x)).exp(),
    "log": lambda x: (x * x + 1.0).log(),
    "root": lambda x: (x * x + 1.0).sqrt(),
    "softmax": lambda x: x.softmax(-1),
    "norm": lambda x: x / (x * x + 1.0).sum(0, keepdim=True),
    "transpose": lambda x: x.transpose(0, 1),
    "rows": lambda x: x[[2, 0, 2]],
    "spread": lambda x: x.mean(1).expand(N, N),
    "flip": lambda x: x.flip(0) * 0.5 + x.reshape(N * N).roll(2).reshape(N, N),
    "cumsum": lambda x: x.cumsum(1).tanh(),
    "max": lambda x: x - x.amax(1, keepdim=True),
    "std": lambda x: x - x.mean(0) / (x.var(0) + 1.0),
    "tril": lambda x: x.tril() - 0.5,
}
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: (a * b).tanh(),
    "div": lambda a, b: a / (b * b + 1.0),
    "matmul": lambda a, b: (a @ b).tanh(),
    "row": lambda a, b: a + b[0],
    "column": lambda a, b: a * b[:, 1:2].sigmoid(),
    "maximum": lambda a, b: a.maximum(b),
}


def join(side: Any, a: Any, b: Any) -> Any:
    cat = shape.cat if side is Tensor else torch.cat
    return cat([a[:1], b[:2] * 0.5], 0)


def linear(side: Any, a: Any, b: Any) -> Any:
    f = F.linear if side is Tensor else torch.nn.functional.linear
    return f(a, b, b[0]).tanh()


JOINING = {"cat": join, "linear": linear}

steps = st.tuples(st.sampled_from([*UNARY, *BINARY, *JOINING]), st.integers(0, 99),
                  st.integers(0, 99))


def build(side: Any, leaves: list[Any], program: list[tuple[str, int, int]]) -> list[Any]:
    """Each step reads any two earlier values, so that subexpressions are shared."""
    values = list(leaves)
    for name, i, j in program:
        a, b = values[-1 - i % len(values)], values[-1 - j % len(values)]
        values.append(UNARY[name](a) if name in UNARY else BINARY[name](a, b) if name in BINARY
                      else JOINING[name](side, a, b))
    return values


@given(st.lists(steps, min_size=1, max_size=25), st.integers(0, 2**32 - 1))
def test_values_and_leaf_gradients_are_torchs(program: list[tuple[str, int, int]],
                                              seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = rng.standard_normal((3, N, N))
    leaves = [Tensor(x, True) for x in arrays]
    torch_leaves = [torch.tensor(x, requires_grad=True) for x in arrays]
    values, expected = build(Tensor, leaves, program), build(torch, torch_leaves, program)
    for y, t in zip(values, expected, strict=True):
        np.testing.assert_allclose(y.data, t.detach().numpy(), rtol=1e-10, atol=1e-10)
    u, v = rng.standard_normal((2, N, N))
    weigh = (values[-1] * Tensor(u)).sum() + (values[-1 - len(program) // 2] * Tensor(v)).sum()
    weigh.backward()
    ((expected[-1] * torch.tensor(u)).sum()
     + (expected[-1 - len(program) // 2] * torch.tensor(v)).sum()).backward()
    for x, t in zip(leaves, torch_leaves, strict=True):
        assert (x.grad is None) == (t.grad is None)
        if t.grad is not None:
            scale = max(1.0, float(t.grad.abs().max()))
            np.testing.assert_allclose(x.grad.data, t.grad.numpy(), rtol=1e-9, atol=1e-9 * scale)


@given(st.lists(steps, min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_second_gradients_are_torchs(program: list[tuple[str, int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = rng.standard_normal((3, N, N))
    u, v = rng.standard_normal((2, N, N))
    leaves = [Tensor(x, True) for x in arrays]
    torch_leaves = [torch.tensor(x, requires_grad=True) for x in arrays]
    y, t = build(Tensor, leaves, program)[-1], build(torch, torch_leaves, program)[-1]
    firsts = grad((y * Tensor(u)).sum(), leaves, create_graph=True, allow_unused=True)
    torch_firsts = torch.autograd.grad((t * torch.tensor(u)).sum(), torch_leaves,
                                       create_graph=True, allow_unused=True)
    pairs = [(a, b) for a, b in zip(firsts, torch_firsts, strict=True)
             if a is not None and a.requires_grad]
    if not pairs:
        return
    seconds = grad([a for a, _ in pairs], leaves, [Tensor(v) for _ in pairs], allow_unused=True)
    torch_seconds = torch.autograd.grad([b for _, b in pairs], torch_leaves,
                                        [torch.tensor(v) for _ in pairs], allow_unused=True)
    for a, b in zip(seconds, torch_seconds, strict=True):
        found = np.zeros((N, N)) if a is None else a.data
        expected = np.zeros((N, N)) if b is None else b.numpy()
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * scale)
