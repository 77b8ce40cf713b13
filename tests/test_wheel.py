"""The wheel holds all that a run needs: code, types, data, templates."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUILT_FROM = ("minigrad", "torch_impl", "comparisons", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, in a folder of its own."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    for name in BUILT_FROM:             # a copy: building leaves folders behind
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name,
                            ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source / name)
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out,
                    source], check=True, capture_output=True)
    (wheel,) = out.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(out / "unpacked")
    share_machine_code(out / "unpacked")
    return out / "unpacked"


def share_machine_code(unpacked: Path) -> None:
    """The kernels of the wheel, which are the same files as ours, are not compiled anew: Numba
    knows a file by its time and size."""
    kernels, ours = unpacked / "minigrad/kernels", ROOT / "minigrad/kernels"
    for file in kernels.glob("*.py"):
        shutil.copystat(ours / file.name, file)
    if kernels.is_dir():
        (ours / "__pycache__").mkdir(exist_ok=True)
        (kernels / "__pycache__").symlink_to(ours / "__pycache__")


def test_every_file_of_the_packages_is_in_it(unpacked):
    for package in BUILT_FROM[:3]:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (unpacked / path.relative_to(ROOT)).is_file(), path
    assert not (unpacked / "tests").exists()


def test_a_run_from_it_finds_its_data_and_makes_its_page(unpacked, tmp_path):
    told = subprocess.run(
        [sys.executable, "-m", "comparisons", "run", "diabetes", "mnist-mlp", "--impl", "minigrad",
         "--quick", "--out", "out"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(unpacked)})
    assert told.returncode == 0, told.stderr
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert '<section id="mnist-mlp">' in page
    where = subprocess.run([sys.executable, "-c", "import comparisons as c; print(c.__file__)"],
                           cwd=tmp_path, capture_output=True, text=True, check=True,
                           env=os.environ | {"PYTHONPATH": str(unpacked)}).stdout
    assert where.startswith(str(unpacked))
