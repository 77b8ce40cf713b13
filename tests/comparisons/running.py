"""What the tests of the command line share: reading results, and small data to run on."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def results(folder: Path) -> dict[str, Any]:
    """What a run has left in its results.json."""
    return json.loads((folder / "results.json").read_text())


def run_of(folder: Path, task: str, impl: str) -> dict[str, Any]:
    """The one run of a task with an implementation."""
    (run,) = [r for r in results(folder)["runs"] if (r["task"], r["impl"]) == (task, impl)]
    return run


def one_line(capsys: Any) -> str:
    """The one line on stderr."""
    err = capsys.readouterr().err
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    return err


def message(info: pytest.ExceptionInfo[BaseException]) -> str:
    """The message of an error that `pytest.raises` caught, which is one line."""
    text = str(info.value)
    assert "\n" not in text
    return text


def idx_folder(folder: Path) -> Path:
    """MNIST in IDX files, 40 + 20 digits."""
    rng = np.random.default_rng(0)
    for part, n in (("train", 40), ("t10k", 20)):
        for name, shape, top in ((f"{part}-images-idx3-ubyte", (n, 28, 28), 256),
                                 (f"{part}-labels-idx1-ubyte", (n,), 10)):
            head = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
            body = rng.integers(0, top, shape, dtype=np.uint8).tobytes()
            (folder / f"{name}.gz").write_bytes(gzip.compress(head + body))
    return folder


def spiral() -> str:
    """The task file that CONTRIBUTING shows in its section "Add a task in one file"."""
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Add a task in one file\n")[2]
    code = re.search(r"```python\n(.*?)```", section, re.S)
    assert code is not None
    return code[1]
