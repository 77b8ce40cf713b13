"""`gpu`: on this machine without a GPU, it says so; what it checks is rehearsed on the CPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from running import one_line

from comparisons import implementations
from comparisons.audits import gpu
from comparisons.cli import main
from comparisons.datasets.base import Data
from comparisons.tasks.registry import TASKS
from torch_impl import train

ROOT = Path(__file__).resolve().parents[2]
OTHERS = ("numba", "scipy", "matplotlib", "torchvision", "PIL", "sklearn", "safetensors", "tqdm",
          "threadpoolctl", "cv2", "onnx", "onnxruntime")
"""What a bare machine need not have: all dependencies but NumPy and PyTorch with its own."""


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(train, "pick_device", lambda name="auto": torch.device("cpu"))


def test_without_a_gpu_one_line_says_so(no_gpu, capsys):
    assert main(["gpu"]) == 1
    assert "finds no GPU on this machine" in one_line(capsys)


@pytest.mark.parametrize("before", [[], ["mnist-cnn"]])
def test_an_unknown_network_is_one_line(no_gpu, capsys, before):
    assert main(["gpu", *before, "mnist-rnn"]) == 1
    assert "no network is named mnist-rnn; there are regression; diabetes" in one_line(capsys)


def test_a_rehearsal_says_that_it_is_none(no_gpu, capsys):
    before = torch.backends.cudnn.allow_tf32
    assert main(["gpu", "regression", "diabetes", "--rehearse"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("REHEARSAL ON THE CPU, which says nothing about a GPU; PyTorch")
    assert told.splitlines()[-1].endswith("REHEARSAL ON THE CPU, which says nothing about a GPU")
    assert "all passed" in told
    assert told.count("bound 1e-09") == told.count("bound 1e-05") * 2 == 4
    assert torch.backends.cudnn.allow_tf32 == before


@pytest.fixture
def patched(monkeypatch):
    """A device that PyTorch takes for a GPU: the CPU, under another name."""
    monkeypatch.setattr(gpu, "find_device", lambda rehearse: (torch.device("cpu"), "Test GPU"))


def test_on_a_patched_device(patched, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "SECONDS", 0.01)
    assert main(["gpu", "MLP, plain"]) == 0
    first, *lines, last = filter(None, capsys.readouterr().out.splitlines())
    assert first.startswith("Test GPU; PyTorch")
    assert [line.split()[0] for line in lines] == [
        "mnist-mlp,", "float64", "float32", "mixed", "trained", "trained", "a"]
    assert "times as long" in lines[-1]
    assert last.startswith("all passed")
    assert last.endswith(": Test GPU")


@pytest.mark.parametrize(("spoil", "named"), [
    (lambda y: y * (1 + 1e-7), "float64"), (lambda y: y * (1 + 1e-4), "float32"),
    (lambda y: y * 1.2, "mixed"), (lambda y: y * float("nan"), "float32")])
def test_a_device_that_computes_otherwise_is_noticed(spoil, named, patched, capsys, monkeypatch):
    """An error of a ten-millionth in float64; in float32, one that TF32 would make."""
    relu = torch.nn.ReLU.forward
    monkeypatch.setattr(torch.nn.ReLU, "forward", lambda self, x: spoil(relu(self, x)))
    monkeypatch.setattr(gpu, "learned", lambda *given: (1.0, 0.0))
    monkeypatch.setattr(gpu, "step_seconds", lambda *given: 1.0)
    assert main(["gpu", "mnist-mlp, plain"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.split()[:1] == [named]]
    assert "OUT OF BOUNDS: outputs" in line


def test_a_training_that_does_not_learn_is_noticed(patched, capsys, monkeypatch):
    monkeypatch.setattr(gpu, "rate", lambda network: 0.0)
    monkeypatch.setattr(gpu, "step_seconds", lambda *given: 1.0)
    assert main(["gpu", "diabetes"]) == 1
    told = capsys.readouterr().out
    assert told.count("NOT LEARNED") == 2
    assert "2 failed" in told


def test_what_learns_slowest_learns_far_more_than_is_asked_for():
    """A GPU rounds otherwise, and is not to fail for it."""
    network = next(network for network in gpu.NETWORKS if network.name == "dexpression, paper")
    weights, _ = gpu.judge(network, *network.items(network.batch))
    rng = np.random.default_rng(0)
    weights = {key: (value * (1 + 1e-3 * rng.standard_normal(value.shape))).astype(value.dtype)
               for key, value in weights.items()}
    first, last = gpu.learned(network, weights, torch.device("cpu"), True)
    assert last < 0.9 * gpu.LEARNED * first


def test_every_network_of_every_task_is_checked():
    """Their layers are those that the tasks build, up to sizes."""
    own = {network.name: network for network in gpu.NETWORKS}
    implementation = implementations.get("minigrad")
    found = set()
    for name, task in TASKS.items():
        for options in task.variants:
            variant = options.own().get("variant")
            network = own[f"{name}, {variant}" if variant else name]
            like = Data("", "", np.empty((0, *network.shape), np.float32), np.empty((0, 1)),
                        classes=["a"] * 7)
            model = task.model(implementation, like, options)
            check = network.make(implementation.models)
            assert [key for key, _ in model.named_parameters()] == [
                key for key, _ in check.named_parameters()]
            found.add(network.name)
    assert found == own.keys()


def test_a_bare_machine_can_run_it():
    """A process that has NumPy and PyTorch, and none of the project's other dependencies. A
    variable that names minigrad's kernels is not needed; what is wrong is one line there, too."""
    code = (f"import sys; sys.modules.update(dict.fromkeys({OTHERS!r})); sys.argv[0] = 'gpu'\n"
            "from comparisons.cli import main\n"
            "status = main(['gpu', 'mnist-mlp, plain', '--rehearse'])\n"
            "import torch\n"
            "from torch_impl import train\n"
            "train.pick_device = lambda: torch.device('cpu')\n"
            "sys.exit(10 * status + main(['gpu']))")
    env = {key: value for key, value in os.environ.items() if key != "MINIGRAD_KERNELS"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          env=env, check=False)
    assert done.returncode == 1, done.stderr
    assert "all passed" in done.stdout
    assert re.fullmatch("comparisons: gpu: PyTorch .* finds no GPU on this machine; .*\n",
                        done.stderr)
