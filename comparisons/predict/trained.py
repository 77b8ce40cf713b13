"""The network in a checkpoint, built again from the configuration that was saved with it.

The checkpoint may come from somebody else, so nothing in its configuration is taken for granted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from comparisons import implementations
from comparisons.datasets.base import Array, Data
from comparisons.datasets.pictures import PIXELS
from comparisons.errors import Fault
from comparisons.implementations import Implementation
from comparisons.tasks.calibration import COLDEST, HOTTEST, Calibration
from comparisons.tasks.kept import blamed_on, options_of
from comparisons.tasks.registry import TASKS
from comparisons.tasks.task import Task
from minigrad import checkpoint
from minigrad.checkpoint import Checkpoint
from minigrad.schema import Also, Mismatch, check

POSITIVE = Also(float, lambda value: value > 0, "a number above 0")
COLUMN = {"name": str, "categories?": [str], "median?": float, "mean?": float, "std?": POSITIVE}
NUMERIC = {"name": str, "median": float, "mean": float, "std": POSITIVE}
ENCODING = {"target": str, "columns": [COLUMN],
            "scale": (None, Also([float], lambda scale: len(scale) == 2, "two numbers"))}
CALIBRATION = {
    "temperature": Also(float, lambda t: COLDEST / 2 < t < HOTTEST * 2, "a temperature"),
    "items": Also(int, lambda n: n >= 0, "a number from 0"),
    "steps": [Also([float], lambda step: len(step) == 2, "a threshold and an accuracy")]}
WHOLE = ("int64", "int32", "uint8", "bool")     # dtypes of inputs that are no floats
CONFIG = {"task": str, "dataset": str, "classes": [str], "options": {str: object},
          "shape": Also([int], lambda shape: all(0 < n <= PIXELS for n in shape)
                        and np.prod(shape, dtype=float) <= 3 * PIXELS, "the shape of an input"),
          "calibration?": (None, CALIBRATION), "encoding?": (None, ENCODING),
          "target_shape?": [int],
          "input_dtype?": Also(str, WHOLE.__contains__, ", ".join(WHOLE))}


def task_of(kept: Checkpoint, task: Task[Any] | None) -> Task[Any]:
    """The task of a checkpoint.

    task: the one that --task defines, or None.
    Raises: Fault naming the checkpoint if it names another one, or one that is not known.
    """
    path, config = kept.path, kept.config
    name = config.get("task") if isinstance(config, dict) else None
    if not isinstance(name, str):
        readers = ", ".join(n for n, known in TASKS.items() if known.subject is not None)
        raise Fault(f"{path}: names no task; expected a checkpoint of {readers}")
    if task is None and name not in TASKS:
        raise Fault(f"{path}: its task {name} is not one of {', '.join(TASKS)}; use "
                    "`--task FILE` to name the Python file that defines it")
    if task is not None and task.name != name:
        raise Fault(f"{path}: is a checkpoint of the task {name}, but --task defines {task.name}")
    return task or TASKS[name]


def with_options_of(kept: Checkpoint, task: Task[Any], config: dict[str, Any]) -> Task[Any]:
    """The task with the settings that a checkpoint was trained with. Raises: Fault if it has none
    such."""
    options = options_of(kept, task.options)
    with blamed_on(kept, "its options cannot be used"):
        return task.with_options(options)


def config_of(kept: Checkpoint) -> dict[str, Any]:
    """The configuration of a checkpoint. Raises: Fault naming what is missing or wrong in it."""
    config: dict[str, Any] = kept.config or {}
    if "classes" not in config:
        raise Fault(f"{kept.path}: does not name its classes; train the network again")
    try:
        check(config, CONFIG)
        for i, column in enumerate((config.get("encoding") or {}).get("columns", ())):
            if "categories" not in column:
                check(column, NUMERIC, f"encoding.columns[{i}]")
    except Mismatch as error:
        raise Fault(f"{kept.path}: its configuration cannot be used: {error}") from None
    return config


def calibration_of(kept: Checkpoint, config: dict[str, Any], sure: float | None) -> Calibration:
    """The calibration of a checkpoint; an older one has none.

    sure: the value of --sure, or None.
    Raises: Fault if it is given and the checkpoint has nothing to choose a threshold by.
    """
    calibration = Calibration.restored(config.get("calibration"))
    if sure is not None and not calibration.items:
        raise Fault(f"{kept.path}: --sure needs a network that was calibrated on held-out items; "
                    "train it with --calibrate SHARE or, for several trainings, with --folds K")
    return calibration


def network_of(kept: Checkpoint, task: Task[Any], config: dict[str, Any]
               ) -> tuple[Implementation, Any]:
    """The network of a checkpoint, in minigrad.

    Raises: Fault if it cannot be built; CheckpointError if the weights do not fit it.
    """
    implementation = implementations.get("minigrad")
    y = (np.empty(0, np.int64) if config["classes"] else
         np.empty((0, *config.get("target_shape", [1])), np.float32))
    like = Data(config["dataset"], "",
                np.empty((0, *config["shape"]), input_dtype(task, config)), y,
                classes=config["classes"], encoding=config.get("encoding"))
    options = options_of(kept, task.options)
    with blamed_on(kept, "its network cannot be built"):
        model = implementation.new_model(lambda impl: task.model(impl, like, options), 0,
                                         task.dtype)
    checkpoint.put(replace(kept, model=kept.weights), model=model)
    return implementation, model


def input_dtype(task: Task[Any], config: dict[str, Any]) -> np.dtype[Any]:
    """The dtype of the network's inputs."""
    dtype: np.dtype[Any] = np.dtype(config.get("input_dtype", task.dtype))
    return dtype


def usable(path: Path, outputs: Array, classes: Sequence[str]) -> Array:
    """The outputs of a checkpoint's network, (N, classes), or (N, 1) without classes.

    Raises: Fault if they are of another shape, or not finite.
    """
    if outputs.ndim != 2 or outputs.shape[1] != (len(classes) or 1):
        raise Fault(f"{path}: its network's outputs have the shape {outputs.shape}; expected "
                    f"{len(classes) or 1} for each item")
    return finite(path, outputs)


def finite(path: Path, outputs: Array) -> Array:
    """The outputs of a checkpoint's network. Raises: Fault if they are not finite."""
    if not np.isfinite(outputs).all():
        raise Fault(f"{path}: the network's outputs are not finite numbers (NaN or infinity); its "
                    "training has diverged")
    return outputs
