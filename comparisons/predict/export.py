"""`export`: a trained network as a file for other programs.

An ONNX file holds the network and, as texts in its metadata, what its inputs and outputs mean. A
safetensors file holds the weights alone, under the names of `state_dict()`, which are the same in
both implementations. Both are written from the weights that are evaluated: the averaged ones, where
a training keeps an average.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save as to_safetensors

from comparisons import implementations
from comparisons.datasets.base import Array
from comparisons.errors import Fault
from comparisons.files import check_writable, write_bytes
from comparisons.predict.trained import (
    config_of,
    finite,
    input_dtype,
    network_of,
    task_of,
    with_options_of,
)
from comparisons.tasks.task import Task
from minigrad import checkpoint

ENDINGS = (".onnx", ".safetensors")
SAMPLES = 3             # sample inputs
SHOWN = 4               # numbers of an output that a line shows
CLOSE = 1e-5            # relative to the largest output, at least 1


@dataclass(frozen=True)
class Network:
    """A trained network. shape, dtype: of one item of its input. about: what its file says."""

    task: Task[Any]
    model: Any
    weights: dict[str, Array]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    about: dict[str, str]


def main(path: Path, file: Path, task: Task[Any] | None = None) -> int:
    """Write the network of a checkpoint; return the exit status: 1 if onnxruntime's outputs are
    further than rounding from minigrad's.

    task: the one that --task defines, or None for one of the five.
    Raises: Fault for a file with another ending, and if the network cannot be exported.
    """
    if file.suffix not in ENDINGS:
        raise Fault(f"{file}: the name must end in {' or '.join(ENDINGS)}, which says what to "
                    "write: the network for other programs, or its weights")
    check_writable(file)
    network = load(path, task)
    print(f"{path}: {network.task.name}, trained on {network.about['dataset']}")
    if file.suffix == ".safetensors":
        return write_weights(network, file)
    return write_graph(path, network, file)


def load(path: Path, task: Task[Any] | None) -> Network:
    """The network of a checkpoint.

    Raises: CheckpointError if the file is not a checkpoint; Fault if its task is not known, or if
    it does not say what its network was trained on.
    """
    kept = checkpoint.load(path)
    task = task_of(kept, task)
    config = config_of(kept)
    task = with_options_of(kept, task, config)
    model = network_of(kept, task, config)[1]
    return Network(task, model.eval(), kept.weights, tuple(config["shape"]),
                   input_dtype(task, config), described(task, config, path))


def described(task: Task[Any], config: dict[str, Any], path: Path) -> dict[str, str]:
    """What a program needs to know that uses the network, as texts; lists and dicts as JSON.

    Names of files and folders need not be UTF-8, but these texts do: a byte is written as \\udce9.
    """
    shape, encoding = config["shape"], config.get("encoding")
    about = {"task": task.name, "title": task.title, "dataset": config["dataset"],
             "classes": json.dumps(config["classes"], ensure_ascii=False),
             "shape": json.dumps(shape), "checkpoint": path.name}
    if len(shape) == 3:
        about |= {"image_size": f"{shape[2]}×{shape[1]}",
                  "channels": {1: "grey", 3: "red, green, blue"}.get(shape[0], str(shape[0])),
                  "normalization": "pixels are numbers from 0 (black) to 1 (white): bytes / 255"}
    elif encoding is not None:
        about |= {"normalization": "see encoding: how the cells of a record become numbers",
                  "encoding": json.dumps(encoding, ensure_ascii=False)}
    else:
        about["normalization"] = "as the task's `load` and `splits` leave them"
    return {key: value.encode(errors="backslashreplace").decode() for key, value in about.items()}


def meaning(classes: list[str], outputs: tuple[int, ...]) -> str:
    """What the outputs for one item are."""
    if classes and outputs == (len(classes),):
        return "logits, one for each class in the order of `classes`; softmax gives probabilities"
    if len(classes) == 2 and outputs in ((), (1,)):
        return f"the logit of {classes[1]!r}; sigmoid gives its probability"
    return "numbers, on the scale of the targets that the network was trained on"


def write_weights(network: Network, file: Path) -> int:
    """The weights, without anything that only a training needs."""
    arrays = {key: np.asarray(array, order="C") for key, array in network.weights.items()}
    write_bytes(file, to_safetensors(arrays, network.about))
    total = sum(array.size for array in arrays.values())
    print(f"{file}: {len(arrays)} tensors, {total:,} numbers, named as in state_dict()")
    return 0


def write_graph(path: Path, network: Network, file: Path) -> int:
    """The network as an ONNX file, and what onnxruntime makes of it."""
    import minigrad.onnx
    x = samples(network)
    own = finite(path, implementations.get("minigrad").predict(network.model, x))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            done = minigrad.onnx.export(network.model, x, file, metadata=network.about | {
                "outputs": meaning(json.loads(network.about["classes"]), own.shape[1:])})
        except (minigrad.onnx.ExportError, ImportError) as error:
            raise Fault(f"{file}: {error}") from None
    batch = "N" if done.dynamic_batch else str(SAMPLES)
    sizes = [f"({', '.join([batch, *map(str, shape)])})"
             for shape in (network.shape, own.shape[1:])]
    print(f"{file}: {done.nodes} nodes, {file.stat().st_size:,} bytes, "
          f"{done.inputs[0]} {sizes[0]} → {done.outputs[0]} {sizes[1]}, {x.dtype}")
    if not done.dynamic_batch:
        print(f"the batch size is fixed: {done.why_fixed}")
    if type(network.task).outputs is not Task.outputs or len(network.task.views(x)) > 1:
        print(f"the file holds the network; what {network.task.name} is judged by is computed from "
              "several of its outputs (`outputs` of the task)")
    for warning in told:
        print(f"note: {warning.message}")
    if done.difference is None:
        print(f"not compared: {done.unchecked}")
        return 0
    show(file, x, own)
    far = not done.difference <= CLOSE
    print(f"largest difference, on these and other inputs and batch sizes: {done.difference:.1e} "
          f"of the largest output ({'MORE' if far else 'no more'} than {CLOSE:g})")
    return int(far)


def samples(network: Network) -> Array:
    """Sample inputs: pixels between 0 and 1, standardised columns, or the numbers of two words."""
    rng = np.random.default_rng(0)
    shape = (SAMPLES, *network.shape)
    x = (rng.integers(0, 2, shape) if network.dtype.kind != "f" else
         rng.random(shape) if len(network.shape) == 3 else rng.standard_normal(shape))
    return np.asarray(x, network.dtype)


def show(file: Path, x: Array, own: Array) -> None:
    """The outputs of both for each sample input."""
    import onnxruntime
    # not by its name: onnxruntime takes no name that is not UTF-8
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {session.get_inputs()[0].name: x})
    for title, outputs in (("minigrad", own), (f"onnxruntime {onnxruntime.__version__}", theirs)):
        print(f"outputs for {len(x)} sample inputs, {title}:")
        for row in outputs.reshape(len(x), -1):
            more = " …" if row.size > SHOWN else ""
            print("  " + " ".join(f"{number:11.7f}" for number in row[:SHOWN]) + more)
