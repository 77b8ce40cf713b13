"""Memory: what is given back and used again, what lies in which order, what is not copied."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import minigrad.functional as F
from minigrad import kernels, models, optim
from minigrad.kernels import memory

SHAPE = (100, 200, 3)       # large enough to be recycled


@pytest.fixture(autouse=True)
def nothing_lies_unused() -> Iterator[None]:
    """Whatever ran before; and what a test gives back is booked where it was lent"""
    gc.collect()
    kernels.empty(SHAPE, np.float32)                            # sorts in what was given back
    memory._free.clear()
    memory._bytes["unused"] = 0
    yield
    gc.collect()
    memory.bytes_in_use()


def address(x: Any) -> int:
    return x.__array_interface__["data"][0]     # type: ignore[no-any-return]


def test_memory_that_nobody_uses_is_used_again() -> None:
    x = kernels.empty(SHAPE, np.float32)
    first = address(x)
    del x
    y = kernels.empty(SHAPE[::-1], np.float32)
    assert address(y) == first
    assert y.shape == SHAPE[::-1]
    assert y.dtype == np.float32
    assert y.flags.writeable


def test_a_view_keeps_its_memory() -> None:
    x = kernels.empty(SHAPE, np.float32)
    first, view = address(x), x.transpose(2, 0, 1)[1:, ::2]
    del x
    other = kernels.empty(SHAPE, np.float32)
    assert not np.shares_memory(view, other)
    del view
    assert address(kernels.empty(SHAPE, np.float32)) == first


def test_a_block_serves_what_is_not_much_smaller() -> None:
    x = kernels.empty((300_001,), np.float64)
    first = address(x)
    del x
    assert address(kernels.empty((210_000,), np.float64)) == first
    assert address(kernels.empty((190_000,), np.float64)) != first


def test_what_lies_unused_is_bounded() -> None:
    """However many sizes are asked for, each again and again"""
    for _ in range(3):
        for n in range(1, 50):
            kernels.empty((400_000 * n,), np.float64)
    unused = sum(size for size, *_ in memory._free)
    assert unused == memory._bytes["unused"]
    assert unused <= max(memory.SPARE, memory.UNUSED * memory._bytes["most in use"])


def test_small_and_empty_arrays() -> None:
    for shape in ((), (0,), (3, 0, 2), (5,)):
        assert kernels.empty(shape, np.int32).shape == shape


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (1, 2, 3, 0), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_flat_and_empty_agree_on_the_order_of_memory(order: tuple[int, ...]) -> None:
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    x = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    assert kernels.memory_order(x) == order
    y = kernels.empty_in_order(x.shape, x.dtype, order)
    assert y.strides == x.strides
    assert np.shares_memory(kernels.flat(x, order), x)
    np.testing.assert_array_equal(kernels.flat(x, order), x.transpose(order).ravel())


def test_what_follows_a_convolution_takes_its_memory_as_it_lies() -> None:
    y = F.relu(F.conv2d(mg.randn(6, 2, 9, 9), mg.randn(4, 2, 3, 3)))
    for z in (y, F.max_pool2d(y, 2), F.local_response_norm(y, 3), F.avg_pool2d(y, 2),
              mg.cat([y, y], 1)[:, 2:6], F.batch_norm(y, None, None, training=True)):
        assert np.shares_memory(kernels.batch_last(z.data), z.data)
        assert np.shares_memory(z.flatten(1).data, z.data)


def test_gradients_reach_a_convolution_as_its_output_lies() -> None:
    x = mg.randn(6, 2, 4, 4, requires_grad=True)
    y = F.conv2d(x, mg.randn(4, 2, 3, 3))
    seen = []
    y.register_hook(lambda g: seen.append(g.data))
    F.linear(y.flatten(1), mg.randn(3, 16)).sum().backward()
    assert seen[0].strides == y.data.strides


def test_training_asks_the_system_for_no_memory_after_its_first_steps(
        monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.CNN()
    optimizer = optim.Adam(model.parameters())
    x, y = mg.randn(16, 1, 28, 28), mg.tensor(np.arange(16) % 10)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    for _ in range(8):              # until blocks of the sizes in between are no longer wanted
        step()
    asked: list[int] = []
    from_system = memory._from_system
    monkeypatch.setattr(memory, "_from_system",
                        lambda size: asked.append(size) or from_system(size))
    for _ in range(3):
        step()
    assert asked == []
