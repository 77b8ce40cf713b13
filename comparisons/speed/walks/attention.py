"""The attention of every token to every other: many small products, and a softmax between them.

One array holds the queries q, keys k and values v of all tokens and heads, as a linear layer
computes them. For each sequence and each head,

    y = softmax(q kᵀ / √d) v.

Shapes: qkv (N, L, 3, heads, d) → y (N, L, heads, d).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

import minigrad as mg
from comparisons.datasets.base import Array
from comparisons.speed.clock import Repeat, digits, in_turn, quartiles
from comparisons.speed.limits import Limits
from comparisons.speed.walks import steps
from comparisons.speed.walks.steps import (
    Row,
    Step,
    Table,
    measured,
    microseconds,
    number,
    share,
    timed,
    title,
)
from minigrad import Tensor

SEQUENCES, LENGTH, HEADS, DEPTH = 16, 64, 4, 32
SCALE = DEPTH**-0.5
ONE_PRODUCT = 2 * SEQUENCES * HEADS * LENGTH**2 * DEPTH     # operations of q kᵀ, or of the other


# ---- the steps: qkv → y --------------------------------------------------------------------------

def by_einsum(qkv: Array) -> tuple[Array]:
    q, k, v = qkv.transpose(2, 0, 1, 3, 4)                      # (N, L, heads, d) each
    scores = np.einsum("nqhd,nkhd->nhqk", q, k) * SCALE
    return (np.einsum("nhqk,nkhd->nqhd", softmax(scores), v),)


def softmax(scores: Array) -> Array:
    values: Array = np.exp(scores - scores.max(-1, keepdims=True))
    values /= values.sum(-1, keepdims=True)
    return values


def by_copies(qkv: Array) -> tuple[Array]:
    q, k, v = np.ascontiguousarray(qkv.transpose(2, 0, 3, 1, 4))    # (N, heads, L, d) each
    k = np.ascontiguousarray(k.swapaxes(-2, -1))                # (N, heads, d, L)
    return ((softmax(q @ k * SCALE) @ v).swapaxes(1, 2),)


def by_views(qkv: Array) -> tuple[Array]:
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)                      # no copies
    return ((softmax(q @ k.swapaxes(-2, -1) * SCALE) @ v).swapaxes(1, 2),)


def in_one_pass(qkv: Array) -> tuple[Array]:
    q, k, v = qkv.transpose(2, 0, 3, 1, 4)
    weights = mg.softmax(Tensor(q @ k.swapaxes(-2, -1) * SCALE), -1).data
    return ((weights @ v).swapaxes(1, 2),)


def on_one_pool(qkv: Array) -> tuple[Array]:
    q, k, v = Tensor(qkv).permute(2, 0, 3, 1, 4)
    weights = mg.softmax(q @ k.transpose(-2, -1) * SCALE, -1)
    return ((weights @ v).transpose(1, 2).data,)


def by_torch(qkv: Array) -> tuple[Array]:
    q, k, v = torch.from_numpy(qkv).permute(2, 0, 3, 1, 4)
    weights = torch.softmax(q @ k.transpose(-2, -1) * SCALE, -1)
    return ((weights @ v).transpose(1, 2).numpy(),)


def by_torchs_own(qkv: Array) -> tuple[Array]:
    q, k, v = torch.from_numpy(qkv).permute(2, 0, 3, 1, 4)
    y = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    return (y.transpose(1, 2).numpy(),)


STEPS = (
    Step("np.einsum", by_einsum),
    Step("np.matmul, of copies", by_copies),
    Step("np.matmul, of views", by_views),
    Step("softmax in one pass", in_one_pass),
    Step("products on the same threads", on_one_pool),
    Step("PyTorch, the same ops", by_torch, blas=True),
    Step("PyTorch, scaled_dot_product_attention", by_torchs_own, blas=True),
)


# ---- the measurement -----------------------------------------------------------------------------

def run(rng: np.random.Generator, machine: Limits) -> Iterator[Row]:
    """A row for each step, then for each part, then for a softmax after a product."""
    qkv = rng.standard_normal((SEQUENCES, LENGTH, 3, HEADS, DEPTH), np.float32)
    yield from measured("attention", STEPS, [qkv], machine, 2 * ONE_PRODUCT,
                        qkv.nbytes + qkv.nbytes // 3)
    yield from parts(qkv, machine)
    yield from pools(rng)


def parts(qkv: Array, machine: Limits) -> Iterator[Row]:
    """The time of each part by itself, and of other ways to compute it."""
    q, k, v = Tensor(qkv).permute(2, 0, 3, 1, 4)
    keys = k.transpose(-2, -1)
    pairs = list(zip(q.data.reshape(-1, LENGTH, DEPTH), keys.data.reshape(-1, DEPTH, LENGTH),
                     strict=True))
    scores = q @ keys * SCALE
    weights, array = mg.softmax(scores, -1), scores.data
    ways: tuple[tuple[str, Callable[[], object], bool], ...] = (
        ("q kᵀ", lambda: q @ keys, True),
        ("q kᵀ, np.matmul of the whole stack", lambda: q.data @ keys.data, True),
        (f"q kᵀ, {len(pairs)} calls of np.matmul", lambda: [a @ b for a, b in pairs], True),
        ("· 1/√d", lambda: scores * SCALE, False),
        ("softmax", lambda: mg.softmax(scores, -1), False),
        ("softmax, NumPy's exp alone, one thread", lambda: np.exp(array), False),
        ("weights · v", lambda: weights @ v, True))
    for name, call, multiplies in ways:
        row: Row = {"table": "attention-parts", "title": name, **timed(call)}
        if multiplies:
            seconds = row["median_ms"] / 1e3
            row |= {"gflops": ONE_PRODUCT / seconds / 1e9,
                    "share": machine.share(ONE_PRODUCT, 0, seconds)}
        yield row


def pools(rng: np.random.Generator) -> Iterator[Row]:
    """The time of a softmax by itself, and right after a product of larger matrices."""
    scores = Tensor(rng.standard_normal((SEQUENCES * HEADS * LENGTH, LENGTH), np.float32))
    a = rng.standard_normal((SEQUENCES * LENGTH, HEADS * DEPTH), np.float32)
    b = rng.standard_normal((HEADS * DEPTH, 3 * HEADS * DEPTH), np.float32)
    ours: Any = (Tensor(a), Tensor(b))
    rows = partial(mg.softmax, scores, -1)
    for name, before in (("softmax by itself", lambda: None),
                         ("softmax after NumPy's product", lambda: a @ b),
                         ("softmax after minigrad's product", lambda: ours[0] @ ours[1])):
        _, times = in_turn({"": after(before, rows)}, steps.SECONDS)
        yield {"table": "pools", "title": name, **quartiles(times[""][:, 0])}


def after(before: Callable[[], object], call: Callable[[], object]) -> Repeat:
    """Times a call, each time after another one, which is not timed."""
    def repeat(n: int) -> tuple[float]:
        seconds = 0.0
        for _ in range(n):
            before()
            start = time.perf_counter()
            call()
            seconds += time.perf_counter() - start
        return (seconds / n,)
    return repeat


TABLES = (
    Table("attention", {"step": title, "µs": microseconds, "GFLOP/s": number("gflops"),
                        "share": share}),
    Table("attention-parts", {"part": title, "µs": microseconds, "GFLOP/s": number("gflops"),
                              "share": share}),
    Table("pools", {"": title, "µs": microseconds}))
NOTES = f"""\
attention: {digits(2 * ONE_PRODUCT / 1e6)} million operations in products, and
{SEQUENCES * HEADS * LENGTH**2:,} exponentials, which do not count as operations."""
