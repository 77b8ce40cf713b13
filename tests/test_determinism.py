"""The same bits for any number of threads and in each process, and memory that does not grow.

A whole training of a small CNN and a small transformer stands for what people train.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

import minigrad as mg
import minigrad.functional as F
from minigrad import nn, optim
from minigrad.kernels import compile as kernel_compiler, memory

STEPS = 12
Values = list[Any]


class CNN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3), nn.GroupNorm(4, 16), nn.GELU(), nn.AvgPool2d(2), nn.Flatten(),
            nn.Dropout(0.2), nn.Linear(16 * 5 * 5, 4))

    def forward(self, x: Any) -> Any:
        return self.body(x)


class Transformer(nn.Module):
    """One block over 12 tokens of 32 values: attention with 4 heads, and an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(20, 32)
        self.before, self.between = nn.LayerNorm(32), nn.LayerNorm(32)
        self.qkv, self.out = nn.Linear(32, 96, bias=False), nn.Linear(32, 32)
        self.mlp = nn.Sequential(nn.Linear(32, 128), nn.GELU(), nn.Linear(128, 32))
        self.head = nn.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        x = self.tokens(x)                                              # (N, 12, 32)
        n = x.shape[0]
        q, k, v = self.qkv(self.before(x)).reshape(n, 12, 3, 4, 8).permute(2, 0, 3, 1, 4)
        weights = F.softmax(q @ k.transpose(-1, -2) * 8**-0.5, -1)      # (N, 4, 12, 12)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(n, 12, 32))
        return self.head((x + self.mlp(self.between(x))).mean(1))


def trained(seed: int) -> Values:
    """The weights, buffers and losses of both after some steps. The batches do not depend on the
    seed, which initialises the weights and draws dropout's masks."""
    rng = np.random.default_rng(0)
    found: Values = []
    for model, made, inputs in (
            (CNN, optim.Adam, rng.normal(size=(STEPS, 32, 1, 24, 24)).astype(np.float32)),
            (Transformer, optim.AdamW, rng.integers(0, 20, (STEPS, 32, 12)))):
        mg.manual_seed(seed)
        net = model()
        optimizer = made(net.parameters(), lr=1e-3)
        for x in inputs:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(mg.tensor(x)), mg.tensor(np.arange(32) % 4))
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            found.append(loss.data.copy())
        found += [value.data.copy() for value in net.state_dict().values()]
    return found


def digest(values: Values) -> str:
    return hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()


def resident() -> int:
    """The bytes of this process that lie in memory."""
    if (pages := Path("/proc/self/statm")).exists():
        return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def growth() -> int:
    """By how many bytes 1,000 steps of a small network grow this process."""
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    optimizer = optim.Adam(net.parameters())
    x, y = mg.randn(64, 1, 8, 8), mg.tensor(np.arange(64) % 3)

    def steps(n: int) -> int:
        for _ in range(n):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
        return resident()

    return -steps(200) + steps(1000)


def child() -> None:
    digests = {}
    for threads in (1, 2, 4):
        numba.set_num_threads(threads)
        digests[threads] = digest(trained(0))
    print(json.dumps({"digests": digests, "growth": growth()}))


@pytest.fixture(scope="module")
def of_another_process() -> Any:
    folder = Path(__file__).parent
    path = os.pathsep.join([str(folder.parent), str(folder), *sys.path])
    done = subprocess.run([sys.executable, "-c", "import test_determinism as t; t.child()"],
                          capture_output=True, text=True, check=True, timeout=400,
                          env=os.environ | {"NUMBA_NUM_THREADS": "4", "PYTHONPATH": path})
    return json.loads(done.stdout)


def test_any_number_of_threads_and_each_process_give_the_same_bits(of_another_process: Any) -> None:
    digests = of_another_process["digests"]
    assert digests == dict.fromkeys(("1", "2", "4"), digest(trained(0)))


def test_1000_steps_grow_a_process_by_less_than_2_mb(of_another_process: Any) -> None:
    assert of_another_process["growth"] < 2_000_000


def test_another_seed_gives_other_bits() -> None:
    assert digest(trained(1)) != digest(trained(0)) == digest(trained(0))


def test_loops_and_twins_agree_on_a_whole_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """They round in other orders. A step of Adam changes a weight by up to 1e-3, so a hundredth of
    a step is left of 12. (No layer here has a bias that changes nothing, as one before a norm or
    one of keys does: Adam would make whole steps of its rounding errors.)"""
    monkeypatch.setattr(kernel_compiler, "TWINS_ONLY", False)
    loops = trained(0)
    monkeypatch.setattr(kernel_compiler, "TWINS_ONLY", True)
    twins = trained(0)
    for a, b in zip(loops, twins, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_what_batches_and_images_of_many_sizes_leave_is_bounded() -> None:
    rng = np.random.default_rng(0)
    conv = nn.Conv2d(1, 8, 3)
    for _ in range(150):
        n, height, width = rng.integers(4, 64, 3).tolist()
        conv(mg.randn(n, 1, height, width)).square().mean().backward()
    memory.bytes_in_use()               # sorts in what was given back
    unused = sum(size for size, *_ in memory._free)
    assert unused <= max(memory.SPARE, memory.UNUSED * memory._bytes["most in use"])
