"""Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file.

    tensors     model.<key of state_dict>, averaged.<the same of an AveragedModel>,
                optimizer.<parameter>.<key>, random.<framework>
    metadata    "minigrad": JSON of the format's version, epoch, step, config, the optimiser's
                options and plain numbers, the scheduler's state, and a SHA-256 of every tensor
                (name, dtype, shape and bytes); "sha256": that of the JSON

A file is written beside its target, flushed to the disk and then renamed, so the target is always
either the old checkpoint or the new one. What is read has been verified to the last bit, and
nothing in it is executed. torch_impl/checkpoint.py reads and writes the same files.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from minigrad import atomic
from minigrad.autograd import Array
from minigrad.random import default_generator
from minigrad.schema import Also, Mismatch, check, check_likeness, loads
from minigrad.tensor import Tensor

FORMAT = 1
DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
          "float16", "float32", "float64", "complex64")
COUNT = Also(int, lambda n: 0 <= n < 2**63, "a number from 0")
PARAMETER = re.compile(r"0|[1-9][0-9]{0,8}")            # the number of a parameter
CONTENT = {
    "format": int, "epoch": COUNT, "step": COUNT, "config": object,
    "optimizer": (None, {
        "state": Also({str: {str: object}}, lambda state: all(map(PARAMETER.fullmatch, state)),
                      "an object with the numbers of parameters as keys"),
        "param_groups": [{str: object}]}),
    "scheduler": (None, {str: object}), "sha256": {str: str}}


class CheckpointError(Exception):
    """A checkpoint that cannot be read or does not fit: one line that names the file."""


@dataclass
class Checkpoint:
    """What a file holds, with every tensor as a NumPy array."""

    path: Path
    model: dict[str, Array]
    optimizer: dict[str, Any] | None = None
    scheduler: dict[str, Any] | None = None
    epoch: int = 0
    step: int = 0
    config: dict[str, Any] | None = None
    random: dict[str, Array] = field(default_factory=dict)      # by framework
    averaged: dict[str, Array] | None = None

    @property
    def weights(self) -> dict[str, Array]:
        """The model to use: with averaged weights where the training kept some, else as it is."""
        return self.model if self.averaged is None else _under("module.", self.averaged)


def save(path: str | Path, *, model: Any, optimizer: Any = None, scheduler: Any = None,
         averaged: Any = None, epoch: int = 0, step: int = 0,
         config: dict[str, Any] | None = None) -> None:
    """Write a checkpoint, with minigrad's random state; a missing folder is made.

    averaged: an `optim.swa_utils.AveragedModel` of the model. epoch, step: how many are finished.
    config: anything JSON can hold.
    """
    write(state(path, model=model, optimizer=optimizer, scheduler=scheduler, averaged=averaged,
                epoch=epoch, step=step, config=config))


def state(path: str | Path, *, model: Any, optimizer: Any = None, scheduler: Any = None,
          averaged: Any = None, epoch: int = 0, step: int = 0,
          config: dict[str, Any] | None = None) -> Checkpoint:
    """What `save` would write now. Its arrays are those of the model, which training changes."""
    return Checkpoint(
        Path(path), _arrays(model.state_dict()),
        None if optimizer is None else _arrays(optimizer.state_dict()),
        None if scheduler is None else scheduler.state_dict(),
        epoch, step, config, Generators().state_dict(),
        None if averaged is None else _arrays(averaged.state_dict()))


def restore(checkpoint: str | Path | Checkpoint, *, model: Any = None, optimizer: Any = None,
            scheduler: Any = None, averaged: Any = None) -> Checkpoint:
    """Put a checkpoint's state into what is given, and minigrad's random numbers where they were.

    Raises: CheckpointError for a file that cannot be read, lacks what is asked for, or does not
    fit; then nothing has been changed.
    """
    checkpoint = checkpoint if isinstance(checkpoint, Checkpoint) else load(checkpoint)
    put(checkpoint, model=model, optimizer=optimizer, scheduler=scheduler, averaged=averaged,
        random=Generators())
    return checkpoint


class Generators:
    """The state of all random numbers that a checkpoint keeps."""

    def state_dict(self) -> dict[str, Any]:
        return {"minigrad": default_generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what there is."""
        if "minigrad" in state:
            default_generator.set_state(state["minigrad"])


def put(checkpoint: Checkpoint, **targets: Any) -> None:
    """Load each named part of a checkpoint into its target, by the target's load_state_dict: all
    parts or, where one does not fit, none."""
    targets = {name: target for name, target in targets.items() if target is not None}
    for name in targets:
        if getattr(checkpoint, name) is None:
            raise CheckpointError(f"{checkpoint.path}: holds no {name} state")
    before = {name: copy.deepcopy(target.state_dict()) for name, target in targets.items()}
    for name, target in targets.items():
        try:
            loaded = getattr(checkpoint, name)
            if name == "optimizer":
                check_optimizer_state(target, loaded)
            target.load_state_dict(loaded)
            if name == "optimizer":
                check_likeness(target.state_dict()["param_groups"], before[name]["param_groups"],
                               "param_groups")
            elif name == "scheduler":
                check_likeness(target.state_dict(), before[name])
        except Exception as error:      # a state that nobody has checked may lead to any
            for changed, state in before.items():
                targets[changed].load_state_dict(state)
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{checkpoint.path}: does not fit this {name}: {reason}"
                                  ) from error


def check_optimizer_state(optimizer: Any, loaded: dict[str, Any]) -> None:
    """Check that the state of each parameter has the values and shapes that a step would leave.

    A copy of the optimiser, with the loaded options and no state, takes this step, with gradients
    of zero.
    Raises: ValueError naming the first value that differs.
    """
    fresh = copy.deepcopy(optimizer)
    fresh.load_state_dict(loaded | {"state": {}})
    parameters = [p for group in fresh.param_groups for p in group["params"]]
    for p in parameters:
        p.grad = p.detach() * 0
    try:
        fresh.step()
    except Exception:       # it needs a closure, or gradients of another kind: not to be checked
        return
    expected = fresh.state_dict()["state"]
    for i, values in loaded["state"].items():
        if i not in range(len(parameters)):
            raise ValueError(f"holds the state of a parameter {i}; there are {len(parameters)}")
        for key, like in expected.get(i, {}).items() if values else ():
            if key not in values:
                raise ValueError(f"the state of parameter {i} has no {key}")
            if like is not None and (found := _shape(values[key])) != _shape(like):
                raise ValueError(f"the {key} of parameter {i} "
                                 + (f"has shape {found}" if found is not None else
                                    f"is {str(values[key])[:20]!r}")
                                 + f"; expected shape {_shape(like)}")


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of a number or a tensor, None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return ()
    return tuple(value.shape) if hasattr(value, "shape") else None


# ---- the file ------------------------------------------------------------------------------------

def write(checkpoint: Checkpoint) -> None:
    """Write a checkpoint to its path: all of it or nothing."""
    tensors = {f"model.{key}": array for key, array in checkpoint.model.items()}
    tensors |= {f"random.{name}": array for name, array in checkpoint.random.items()}
    tensors |= {f"averaged.{key}": array for key, array in (checkpoint.averaged or {}).items()}
    optimizer = checkpoint.optimizer
    if optimizer is not None:
        tensors |= {f"optimizer.{i}.{key}": value for i, values in optimizer["state"].items()
                    for key, value in values.items() if isinstance(value, np.ndarray)}
        numbers = {i: {key: value for key, value in values.items()
                       if not isinstance(value, np.ndarray)}
                   for i, values in optimizer["state"].items()}
        optimizer = {"state": numbers, "param_groups": optimizer["param_groups"]}
    tensors = {name: _writable(name, array) for name, array in tensors.items()}
    content = {
        "format": FORMAT, "epoch": checkpoint.epoch, "step": checkpoint.step,
        "config": checkpoint.config, "optimizer": optimizer, "scheduler": checkpoint.scheduler,
        "sha256": {name: _digest(name, array) for name, array in tensors.items()}}
    try:
        text = json.dumps(content, default=_plain)
        check(loads(text, standard=False), CONTENT)         # what is saved can be loaded
    except (ValueError, RecursionError) as error:
        raise TypeError("checkpoint: config and states may hold what JSON can, nested at most some "
                        f"hundred times: {error}") from None
    data = to_bytes(tensors, {"minigrad": text, "sha256": _sha256(text.encode())})
    atomic.write(checkpoint.path, data)


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint and verify it.

    Raises: CheckpointError where the file is missing, unreadable, damaged, or not a checkpoint.
    """
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{path}: cannot be read: not a file")
        with open(path, "rb"):          # safetensors calls every fault "no such file"
            pass
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}     # noqa: SIM118 no dict
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (SafetensorError, ArithmeticError, MemoryError, ValueError, TypeError, KeyError
            ) as error:
        raise CheckpointError(f"{path}: truncated, damaged or not a safetensors file: "
                              f"{' '.join(str(error).split())}") from None
    if "minigrad" not in metadata:
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of minigrad")
    text = metadata["minigrad"]
    if metadata.get("sha256") != _sha256(text.encode()):
        raise CheckpointError(f"{path}: damaged: the metadata does not match its checksum")
    try:
        content = loads(text, standard=False)
        check(content, {"format": int})
        if content["format"] != FORMAT:
            raise CheckpointError(f"{path}: format {content['format']}, this version reads "
                                  f"{FORMAT}")
        check(content, CONTENT)
    except Mismatch as error:
        raise CheckpointError(f"{path}: not a checkpoint that minigrad has written: {error}"
                              ) from None
    if content["sha256"].keys() != tensors.keys():
        raise CheckpointError(f"{path}: damaged: the tensors are not those of its checksums")
    for name, array in tensors.items():
        if content["sha256"][name] != _digest(name, array):
            raise CheckpointError(f"{path}: damaged: {name} does not match its checksum")
    optimizer = content["optimizer"] and _optimizer(path, content["optimizer"], tensors)
    return Checkpoint(path, _under("model.", tensors), optimizer, content["scheduler"],
                      content["epoch"], content["step"], content["config"],
                      _under("random.", tensors), _under("averaged.", tensors) or None)


def _optimizer(path: Path, saved: dict[str, Any], tensors: dict[str, Array]) -> dict[str, Any]:
    state = {int(i): values for i, values in saved["state"].items()}    # JSON's keys are strings
    for name, array in _under("optimizer.", tensors).items():
        i, _, key = name.partition(".")
        if i not in saved["state"]:
            raise CheckpointError(f"{path}: not a checkpoint that minigrad has written: the tensor "
                                  f"optimizer.{name} belongs to no parameter")
        state[int(i)][key] = array
    groups = [{key: value if key in ("params", "param_names") or not isinstance(value, list)
               else tuple(value) for key, value in group.items()}
              for group in saved["param_groups"]]         # betas are a tuple, which JSON has not
    return {"state": state, "param_groups": groups}


def _under(prefix: str, tensors: dict[str, Array]) -> dict[str, Array]:
    return {name.removeprefix(prefix): array for name, array in tensors.items()
            if name.startswith(prefix)}


def _arrays(state: Any) -> Any:
    """The same nested dicts with an array in place of each Tensor."""
    if isinstance(state, dict):
        return {key: _arrays(value) for key, value in state.items()}
    return state.data if isinstance(state, Tensor) else state


def _writable(name: str, array: Any) -> Array:
    """An array as safetensors writes it, which is its memory as it lies, whatever the strides.

    Raises: TypeError naming the array if safetensors does not hold its kind of values.
    """
    if not isinstance(array, np.ndarray | np.generic) or array.dtype.name not in DTYPES:
        kind = array.dtype if hasattr(array, "dtype") else type(array).__name__
        raise TypeError(f"checkpoint: {name} must be an array of {', '.join(DTYPES)}; got {kind}")
    # asarray keeps 0-d arrays 0-d
    return np.asarray(array, array.dtype.newbyteorder("="), order="C")


def _plain(value: Any) -> Any:
    """NumPy's numbers, and tensors of one element, as Python's."""
    if not hasattr(value, "item"):
        raise TypeError(f"checkpoint: config and states may hold what JSON can; got {value!r}")
    return value.item()


def _digest(name: str, array: Array) -> str:
    return _sha256(f"{name} {array.dtype} {array.shape} ".encode() + array.tobytes())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
