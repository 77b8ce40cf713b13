"""A long training does not grow its process, and sizes that vary keep memory bounded.

Each test runs in a process of its own: in this one, other tests have left memory that is used
again, which would hide a leak.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

LIMIT = 2 * 2**20               # bytes that 1,000 steps may add
ROOT = Path(__file__).parents[1]


def private_bytes() -> int:
    """The memory that belongs to this process alone."""
    lines = Path("/proc/self/smaps_rollup").read_text("ascii").splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def peak_bytes() -> int:
    """The most memory that this process has had; getrusage's figure begins with the parent's."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def growth(step: Callable[[], Any], warm_up: int = 100, steps: int = 1000) -> int:
    """The bytes that these steps add, after others in which caches and pools fill."""
    for _ in range(warm_up):
        step()
    before = private_bytes()
    for _ in range(steps):
        step()
    return private_bytes() - before


def cnn() -> tuple[Any, Any]:
    import minigrad as mg
    from minigrad import nn

    mg.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
                          nn.Dropout(0.1), nn.Flatten(), nn.Linear(4 * 9, 3))
    return model, mg.randn(16, 1, 8, 8)


def transformer() -> tuple[Any, Any]:
    import minigrad as mg
    from minigrad import nn

    class Attention(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm, self.into, self.out = (
                nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width))

        def forward(self, x: Any) -> Any:
            q, k, v = self.into(self.norm(x)).chunk(3, -1)
            weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)
            return x + self.out(weights @ v)

    mg.manual_seed(0)
    model = nn.Sequential(Attention(8), nn.GELU(), nn.Flatten(), nn.Linear(48, 3))
    return model, mg.randn(16, 6, 8)


def training(model: Any, x: Any) -> Callable[[], Any]:
    import minigrad as mg
    import minigrad.functional as F
    from minigrad import optim

    y = mg.tensor([0, 1, 2, 1] * 4)
    optimizer = optim.AdamW(model.parameters(), 1e-3)

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def plain(model: Any, x: Any) -> int:
    return growth(training(model, x))


def compiled(model: Any, x: Any) -> int:
    import minigrad as mg

    return growth(mg.compile(training(model, x)))


def scheduled_and_averaged(model: Any, x: Any) -> int:
    from minigrad import nn, optim
    from minigrad.optim import lr_scheduler, swa_utils

    averaged = swa_utils.AveragedModel(
        model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.99))
    optimizer = optim.SGD(model.parameters(), 0.01, momentum=0.9)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, 100)
    forward_and_back = training(model, x)

    def step() -> None:
        forward_and_back()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        averaged.update_parameters(model)

    return growth(step)


def in_a_process(code: str) -> list[int]:
    """The numbers that these lines print in a process of their own."""
    done = subprocess.run(
        [sys.executable, "-c", f"from test_memory_of_a_training import *\n{code}"], text=True,
        capture_output=True, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])})
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize("network", ["cnn", "transformer"])
def test_a_thousand_steps_do_not_grow_the_process(network: str) -> None:
    grown = in_a_process("for kind in (plain, compiled, scheduled_and_averaged):\n"
                         f"    print(kind(*{network}()))")
    assert len(grown) == 3
    assert max(grown) < LIMIT, grown


def test_a_leak_would_be_noticed() -> None:
    grown, = in_a_process("kept = []\nprint(growth(lambda: kept.append(bytes(4096))))")
    assert grown >= LIMIT


def random_shapes(steps: int, seed: int = 0) -> tuple[int, int]:
    """The bytes that lie unused after steps that need arrays of random shapes, and their bound."""
    import numpy as np

    from minigrad.kernels import memory

    rng = np.random.default_rng(seed)
    most = 0
    for _ in range(steps):
        shapes = rng.integers(1, 200, (4, 3))
        held = [memory.empty(tuple(map(int, shape)), np.float32) for shape in shapes]
        del held
        memory.bytes_in_use()
        most = max(most, memory._bytes["unused"])
    return most, max(memory.SPARE, memory.UNUSED * memory._bytes["most in use"])


def test_sizes_that_vary_keep_what_is_recycled_bounded() -> None:
    most, bound, grown = in_a_process(
        "import numpy\nfrom minigrad.kernels import memory\nbefore = private_bytes()\n"
        "print(*random_shapes(500))\nprint(private_bytes() - before)")
    assert 0 < most <= bound
    # besides what lies unused, there is at most what was in use
    assert grown <= bound + bound // 3 + LIMIT


def sizes(seed: int = 0) -> Iterator[tuple[int, int, int]]:
    """The numbers of images, and their heights and widths, at random."""
    import numpy as np

    rng = np.random.default_rng(seed)
    while True:
        count, height, width = map(int, rng.integers((1, 16, 16), (17, 81, 81)))
        yield count, height, width


def varied_training(sizes: Iterator[tuple[int, int, int]], warm_up: int, steps: int
                    ) -> tuple[int, int, int]:
    """The bytes beside the recycled ones that a training on images of these sizes adds to the
    process after the first steps, the most that lies unused, and its bound.

    In the first steps, kernels are loaded, each in two versions, and the plans for sizes fill their
    caches, which takes 25 MB. What the C library keeps for the next call of malloc is given back
    before counting.
    """
    import ctypes

    import numpy as np

    import minigrad as mg
    import minigrad.functional as F
    from minigrad import nn, optim
    from minigrad.kernels import memory

    trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda keep: None)
    mg.manual_seed(0)
    rng = np.random.default_rng(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
                        nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    optimizer = optim.Adam(net.parameters())
    most = 0

    def train(steps: int) -> int:
        nonlocal most
        for n, *size in itertools.islice(sizes, steps):
            optimizer.zero_grad()
            y = mg.tensor(rng.integers(0, 3, n))
            F.cross_entropy(net(mg.randn(n, 3, *size)), y).backward()
            optimizer.step()
            memory.bytes_in_use()
            most = max(most, memory._bytes["unused"])
        trim(0)
        return private_bytes() - memory.bytes_in_use() - memory._bytes["unused"]

    before = train(warm_up)
    grown = train(steps) - before
    return grown, most, max(memory.SPARE, memory.UNUSED * memory._bytes["most in use"])


def test_a_training_on_varied_sizes_stays_bounded() -> None:
    grown, most, bound = in_a_process(
        "again = itertools.cycle(list(itertools.islice(sizes(), 150)))\n"
        "print(*varied_training(again, 150, 150))")
    assert 0 < most <= bound
    assert grown < LIMIT, grown


OF_PICTURES = """
from comparisons.datasets.picture_folders import load_pictures
from comparisons.tasks.images import ImageTask
from comparisons.tasks.options import Options

class Pictures(ImageTask[Options]):
    name = title = "pictures"
    options, reads, epochs, batch_size, lr = Options, "pictures", 1, 32, 1e-2

    def load(self, options):
        return load_pictures(options.data, ({side}, {side}), dtype="uint8")

    def model(self, implementation, data, options):
        nn = implementation.nn
        return nn.Sequential(nn.AvgPool2d({pool}), nn.Flatten(),
                             nn.Linear({values}, len(data.classes)))
"""


def fill(folder: Path, count: int, side: int) -> None:
    """Two classes with so many grey pictures each, which are links to one file."""
    from PIL import Image

    for name, level in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        Image.new("L", (side, side), level).save(folder / name / "0.png")
        for i in range(1, count):
            os.link(folder / name / "0.png", folder / name / f"{i}.png")


def test_pictures_need_little_more_memory_than_what_is_trained_on(tmp_path: Path) -> None:
    """1,500 pictures as they are would take 135 MB, as float32 of 96×96 pixels they take 55 MB."""
    fill(tmp_path, 750, 300)
    peak, size = in_a_process(
        "from comparisons.datasets.picture_folders import load_pictures\n"
        f"before = peak_bytes()\ndata = load_pictures(Path({str(tmp_path)!r}), (96, 96))\n"
        "print(peak_bytes() - before, data.x.nbytes + data.x_test.nbytes)")
    assert size == 1500 * 96 * 96 * 4
    assert peak < 1.6 * size, peak


def test_a_run_on_pictures_keeps_a_byte_for_each_value(tmp_path: Path) -> None:
    """Reading, the references, training, evaluation and the report, after a run on few pictures."""
    fill(tmp_path / "few", 20, 20)
    fill(tmp_path / "many", 1000, 20)
    peak, = peaks_of_runs(tmp_path, 160, "few", "many")
    levels = 2000 * 160 * 160           # as float32, the pictures alone are four times as large
    assert 0.8 * levels < peak < 3 * levels, peak / levels


def peaks_of_runs(folder: Path, side: int, first: str, *then: str, limit: int | None = None
                  ) -> list[int]:
    """How many bytes the peaks of runs on pictures are above that of the first run.

    The runs are on folders of pictures, which are scaled to side × side pixels and, if they take
    more bytes than the limit, lie in a file.
    """
    (folder / "task.py").write_text(OF_PICTURES.format(
        side=side, pool=side // 10, values=(side // (side // 10))**2))
    return in_a_process(f"""
import contextlib
from comparisons.cli import main
from comparisons.datasets import stored
from comparisons.tasks import classification
from comparisons.training import environment
stored.LIMIT = {limit} or stored.LIMIT
classification.LINEAR_VALUES = 10**6
environment.reset_peak_rss = lambda: None       # here, reading counts as well
folder = Path({str(folder)!r})

def run(data):
    with contextlib.redirect_stdout(None):
        assert main(["run", str(folder / "task.py"), "--impl", "minigrad", "--data",
                     str(folder / data), "--out", str(folder / "out")]) == 0
    return peak_bytes()

before = run({first!r})
print(*[run(data) - before for data in {then!r}])""")


IN_A_FILE = 2**20       # bytes; pictures that take more lie in a file, so that little waits for it
A_PICTURE = 400         # bytes that may remain in memory of each: where its file is, its class, its
                        # row, its digest and its answers


def test_pictures_in_a_file_leave_little_in_memory(tmp_path: Path) -> None:
    """8,000 more pictures, which take 18 MB, add at most 3.2 MB, and what the peak varies by.

    In each run, the test pictures fill the pieces in which they are computed.
    """
    for name, count in (("first", 1000), ("few", 1000), ("many", 5000)):
        fill(tmp_path / name, count, 20)
    few, many = peaks_of_runs(tmp_path, 48, "first", "few", "many", limit=IN_A_FILE)
    assert many - few < 8000 * A_PICTURE + LIMIT, (few, many)
