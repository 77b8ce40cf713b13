"""Checkpoints of untrained networks, and pictures to show them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from comparisons.datasets.drawn.generator import CLASSES
from minigrad import checkpoint, manual_seed, models
from torch_impl import checkpoint as torch_checkpoint, models as torch_models

DIGITS = [str(digit) for digit in range(10)]
NETWORKS = {"mnist-mlp": ("MLP", ((784, 500, 10),), (28, 28), DIGITS),
            "mnist-cnn": ("CNN", (10,), (28, 28), DIGITS),
            "dexpression": ("DeXpression", (7, 48, "compact", 1), (48, 48), CLASSES)}


def write(folder: Path, task: str, impl: str, **other: Any) -> tuple[Path, Any]:
    """A checkpoint of an untrained network as `run` leaves it, and the network."""
    name, arguments, size, classes = NETWORKS[task]
    manual_seed(1)
    torch.manual_seed(1)
    side = {"minigrad": models, "torch": torch_models}[impl]
    model = getattr(side, name)(*arguments)
    path = folder / f"{task}-{impl}" / "last.safetensors"
    dataset = "faces-generated" if task == "dexpression" else "mnist"
    options = {"size": 48, "variant": "compact"} if task == "dexpression" else {}
    config = {"task": task, "dataset": dataset, "shape": [1, *size], "classes": classes,
              "options": options} | other
    {"minigrad": checkpoint, "torch": torch_checkpoint}[impl].save(path, model=model, config=config)
    return path, model


def grey(values: Any) -> Image.Image:
    """Values in [0, 1] as a grey picture."""
    return Image.fromarray((np.clip(values, 0, 1) * 255).round().astype(np.uint8))


def enlarged(digit: Any, side: int) -> Any:
    """A digit, in [0, 1], scaled to a larger square."""
    return np.asarray(grey(digit).resize((side, side), Image.Resampling.BICUBIC), float) / 255
