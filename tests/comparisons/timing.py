"""What tests of `speed` share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image


def no_compiler(model: Any, **_: Any) -> Any:
    """In place of torch.compile: what it makes fails when it is called."""
    def call(x: Any) -> None:
        raise RuntimeError("inductor raised:\nNo working C++ compiler\n\nSet TORCHDYNAMO_VERBOSE=1")
    return call


def is_picture(path: Path) -> bool:
    """Whether the file is a PNG that shows something."""
    with Image.open(path) as image:
        return image.format == "PNG" and min(image.size) > 100
