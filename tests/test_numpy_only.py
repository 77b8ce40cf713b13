"""With MINIGRAD_KERNELS=numpy, NumPy is the only package that minigrad needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TESTS = Path(__file__).resolve().parent
TABLES = ("op_cases", "signatures.py", "test_nn.py", "optimisers.py",
          "test_lr_scheduler.py", "test_transforms.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with NumPy, minigrad and the tests' tables, as links, and nothing else."""
    installed = Path(np.__file__).parent.parent
    sources = [*installed.glob("numpy"), *installed.glob("numpy.libs"), TESTS.parent / "minigrad",
               TESTS / "numpy_only.py", *(TESTS / name for name in TABLES)]
    for source in sources:
        (tmp_path / source.name).symlink_to(source)
    return tmp_path


def run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that imports from Python's own library and this folder alone."""
    environment = {key: value for key, value in os.environ.items() if "PYTHON" not in key}
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c",
         f"import sys; sys.path.append({str(folder)!r}); {code}"],
        env=environment | {"MINIGRAD_KERNELS": "numpy"}, capture_output=True, text=True,
        check=False)


@pytest.mark.parametrize("package", ["numba", "scipy", "threadpoolctl", "torch", "hypothesis"])
def test_the_process_has_no_other_package(folder: Path, package: str) -> None:
    refused = run(folder, f"import numpy, {package}")
    assert f"No module named '{package}'" in refused.stderr


def test_all_of_minigrad_works(folder: Path) -> None:
    done = run(folder, "import numpy_only; numpy_only.main()")
    assert done.returncode == 0, done.stderr
