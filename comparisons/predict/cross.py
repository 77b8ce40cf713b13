"""`cross`: a network for expressions, tested on all faces of another source than its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from comparisons.datasets.base import Data
from comparisons.errors import Fault
from comparisons.predict.trained import config_of, network_of, task_of, usable, with_options_of
from comparisons.tasks.dexpression import DexpressionOptions, DexpressionTask
from comparisons.tasks.task import Details, Metrics, Split, Trained
from minigrad import checkpoint


def judged(path: Path, data_dir: Path | None) -> tuple[Data, str, Metrics, Details]:
    """The faces, what the network was trained on, and the results: `DexpressionTask.judge`'s.

    data_dir: the faces; None for the generated ones.
    Raises: Fault if the checkpoint is of another task, was trained on faces of the same source, or
    has other classes; NotThereError if `data_dir` holds no faces.
    """
    kept = checkpoint.load(path)
    task = task_of(kept, None)
    if not isinstance(task, DexpressionTask):
        raise Fault(f"{path}: is a checkpoint of {task.name}; expected one of "
                    f"{DexpressionTask.name}")
    config = config_of(kept)
    classes, before, (_, size, _) = config["classes"], config["dataset"], config["shape"]
    data = task.load(DexpressionOptions(data=data_dir, size=size, embedded=data_dir is None,
                                        neutral="neutral" in classes))
    if data.name == before:
        raise Fault(f"{path}: was trained on {before}, and so may know the persons; give faces of "
                    "another source")
    if data.classes != classes:
        raise Fault(f"{path}: has the classes {', '.join(classes)}, but {data.name} has "
                    f"{', '.join(data.classes)}")
    task = with_options_of(kept, task, config)
    implementation, model = network_of(kept, task, config)
    every, none = np.arange(len(data.y)), np.arange(0)
    split = Split(data.x[:0], data.y[:0], data.x, data.y, none, every)
    outputs = usable(path, task.outputs(implementation, model, data.x), classes)
    metrics, details = task.judge(data, [Trained(split, {}, outputs)])
    return data, before, metrics, details


def main(path: Path, data_dir: Path | None) -> int:
    """Print the results."""
    data, before, metrics, details = judged(path, data_dir)
    print(f"{path}: trained on {before}\n{data.name}: {data.source}\n"
          f"accuracy {metrics['test_accuracy']:.2%}, balanced accuracy "
          f"{metrics['balanced_accuracy']:.2%}")
    for line in DexpressionTask().remarks(metrics, details):
        print(f"  {line}")
    return 0
