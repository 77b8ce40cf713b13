"""`export`: trained networks of either side, and of a user's own task, as ONNX and as weights."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from running import one_line, spiral
from safetensors import safe_open
from safetensors.numpy import load, load_file
from untrained import DIGITS, write

from comparisons import implementations
from comparisons.cli import main
from comparisons.tasks.registry import find
from minigrad import checkpoint
from minigrad.train import predict


def run(file: Path | bytes, x: Any) -> Any:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": x})[0]


@pytest.mark.parametrize(("task", "impl"), [
    ("mnist-mlp", "torch"), ("mnist-cnn", "minigrad"), ("mnist-cnn", "torch"),
    ("dexpression", "minigrad"), ("dexpression", "torch")])
def test_a_network_of_pictures(task, impl, tmp_path, capsys):
    path, model = write(tmp_path, task, impl)
    file = tmp_path / "net.onnx"
    assert main(["export", str(path), str(file)]) == 0
    told = capsys.readouterr().out
    assert f"{task}, trained on" in told
    assert "(no more than 1e-05)" in told
    assert ("computed from several of its outputs" in told) == (task == "dexpression")
    side = 48 if task == "dexpression" else 28
    x = np.random.default_rng(1).random((5, 1, side, side), np.float32)
    if impl == "torch":
        import torch
        with torch.no_grad():
            y = model.eval()(torch.tensor(x)).numpy()
    else:
        y = predict(model, x)
    np.testing.assert_allclose(run(file, x), y, rtol=0, atol=1e-5)
    about = {each.key: each.value for each in onnx.load(file).metadata_props}
    assert about["task"] == task
    assert about["image_size"] == f"{side}×{side}"
    assert "0 (black) to 1 (white)" in about["normalization"]
    assert "softmax" in about["outputs"]
    assert about["dataset"]
    assert task == "dexpression" or json.loads(about["classes"]) == DIGITS


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of two tasks of a user's own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "spiral.py").write_text(spiral())
    (folder / "sums.py").write_text(textwrap.dedent(SUMS))
    return folder


SUMS = '''
    """Sum and difference of two words' numbers."""

    import numpy as np

    from comparisons.datasets.base import Data
    from comparisons.tasks.options import Options
    from comparisons.tasks.task import Headline, Task


    class SumsTask(Task[Options]):
        name, title, options = "sums", "Sums", Options
        epochs, batch_size, lr = 1, 8, 0.1
        headlines = (Headline("error", "error", "none", "error"),)

        def load(self, options):
            x = np.random.default_rng(0).integers(0, 5, (24, 2))
            y = np.stack([x.sum(1), x[:, 0] - x[:, 1]], 1).astype(np.float32)
            return Data("numbers", "24 pairs", x[:16], y[:16], x[16:], y[16:])

        def model(self, implementation, data, options):
            nn = implementation.nn
            return nn.Sequential(nn.Embedding(5, 3), nn.Flatten(),
                                 nn.Linear(6, data.y.shape[1]))

        def optimizer(self, implementation, parameters, recipe):
            return implementation.optim.Adam(parameters, lr=recipe.lr)

        def loss(self, implementation, data, y):
            return implementation.functional.mse_loss

        def baselines(self, data, splits):
            return {"error": 0.0}

        def judge(self, data, trained):
            return {"error": 0.0}, {}
'''


@pytest.mark.parametrize(("task", "inputs", "outputs", "dtype", "meaning"), [
    ("regression", (8,), (1,), np.float64, "scale of the targets"),
    ("diabetes", (8,), (), np.float64, "the logit of 'diabetes'"),
    ("spiral", (2,), (3,), np.float32, "softmax"),
    ("sums", (2,), (2,), np.int64, "scale of the targets")])
def test_a_network_without_pictures(task, inputs, outputs, dtype, meaning, own, tmp_path, capsys):
    """sums is trained, which takes seconds; what `run` keeps of the others is the same but less."""
    flags = ["--task", str(own / f"{task}.py")] if task in ("spiral", "sums") else []
    path = tmp_path / "sums-minigrad" / "last.safetensors"
    if task == "sums":
        assert main(["run", flags[1], "--impl", "minigrad", "--out", str(tmp_path)]) == 0
    else:
        untrained(find(flags[1] if flags else task), path)
    file = tmp_path / "net.onnx"
    assert main(["export", str(path), str(file), *flags]) == 0
    assert "(no more than 1e-05)" in capsys.readouterr().out
    assert run(file, np.ones((4, *inputs), dtype)).shape == (4, *outputs)
    about = {each.key: each.value for each in onnx.load(file).metadata_props}
    assert meaning in about["outputs"]


def untrained(task: Any, path: Path) -> None:
    """A checkpoint of a new network of a task."""
    options = task.options()
    data = task.load(options)
    model = implementations.get("minigrad").new_model(
        lambda impl: task.model(impl, data, options), 0, task.dtype)
    checkpoint.save(path, model=model, config={
        "task": task.name, "dataset": data.name, "shape": list(data.x.shape[1:]),
        "classes": data.classes, "options": options.kept()})


def test_names_that_are_not_utf_8(tmp_path, capsys):
    written, _ = write(tmp_path, "mnist-mlp", "minigrad")
    path = written.rename(tmp_path / os.fsdecode(b"caf\xe9.safetensors"))
    graph, weights = (tmp_path / os.fsdecode(name) for name in (b"\xe9.onnx", b"\xff.safetensors"))
    assert main(["export", str(path), str(graph)]) == 0
    assert main(["export", str(path), str(weights)]) == 0
    assert capsys.readouterr().err == ""
    assert run(graph.read_bytes(), np.zeros((2, 1, 28, 28), np.float32)).shape == (2, 10)
    about = {each.key: each.value for each in onnx.load_from_string(graph.read_bytes()
                                                                    ).metadata_props}
    assert about["checkpoint"] == r"caf\udce9.safetensors"
    assert len(load(weights.read_bytes())) == 4


def test_weights_alone(tmp_path, capsys):
    path, _ = write(tmp_path, "mnist-cnn", "torch")
    file = tmp_path / "weights.safetensors"
    assert main(["export", str(path), str(file)]) == 0
    assert "tensors" in capsys.readouterr().out
    weights, kept = load_file(file), checkpoint.load(path).model
    assert weights.keys() == kept.keys()
    assert all((weights[key] == kept[key]).all() for key in kept)
    with safe_open(file, framework="np") as opened:
        assert json.loads(opened.metadata()["classes"]) == DIGITS


def test_what_cannot_be_written_is_one_line(tmp_path, capsys, monkeypatch):
    path, _ = write(tmp_path, "mnist-mlp", "minigrad")
    for file in ("net.pt", "net"):
        assert main(["export", str(path), str(tmp_path / file)]) == 1
        assert "must end in .onnx or .safetensors" in one_line(capsys)
    assert main(["export", str(tmp_path / "none"), str(tmp_path / "net.onnx")]) == 1
    assert "no such file" in one_line(capsys)
    kept = checkpoint.load(path)
    unknown = replace(kept, path=tmp_path / "own", config=kept.config | {"task": "spiral"})
    checkpoint.write(unknown)
    assert main(["export", str(unknown.path), str(tmp_path / "net.onnx")]) == 1
    assert "use `--task FILE`" in one_line(capsys)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main(["export", str(path), str(tmp_path / "net.onnx")]) == 1
    assert 'pip install "minigrad[onnx]"' in one_line(capsys)
    assert not (tmp_path / "net.onnx").exists()


def test_without_onnxruntime_it_is_said_that_nothing_was_compared(tmp_path, capsys, monkeypatch):
    path, _ = write(tmp_path, "mnist-mlp", "minigrad")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", str(path), str(tmp_path / "net.onnx")]) == 0
    assert "not compared: onnxruntime is not installed" in capsys.readouterr().out
